"""The interceptors of one route, compiled into one list a phase, so that a phase nobody uses costs nothing."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeAlias

from llmgate.spec import (
    Aspect,
    Attempt,
    Clock,
    Deployment,
    Exchange,
    ExchangeView,
    GatewayChunk,
    GatewayError,
    GatewayRequest,
    GatewayResponse,
    Interceptor,
)

__all__ = ["Chain"]

Numbered: TypeAlias = tuple[int, Interceptor[Any]]


class Chain:
    """The interceptors of one route in written order.

    ``entered`` counts, per exchange, how many of them ``before_request`` has reached; the closing phases run for those
    only, in reverse.

    Args:
        interceptors: Outermost first.
    """

    def __init__(self, interceptors: Sequence[Interceptor[Any]]) -> None:
        self.size = len(interceptors)
        numbered = list(enumerate(interceptors))
        self._before_request = _taking_part(numbered, "before_request")
        self._counted = [(index + 1, interceptor) for index, interceptor in self._before_request]
        self._on_route = _taking_part(numbered, "on_route")
        self._attempt = [
            entry
            for entry in numbered
            if _takes_part(entry[1], "before_attempt") or _takes_part(entry[1], "after_attempt")
        ]
        self._on_chunk = [
            entry[1]
            for entry in reversed(_taking_part(numbered, "on_chunk"))
            if Aspect.STREAM in entry[1].reads or Aspect.STREAM in entry[1].writes
        ]
        self._on_sent = _taking_part(numbered, "on_sent")
        self._after_response = list(reversed(_taking_part(numbered, "after_response")))
        self._on_settle = list(reversed(_taking_part(numbered, "on_settle")))
        self.reads_requests = any(Aspect.REQUEST in one.reads | one.writes for one in interceptors)
        self.watches_attempts = bool(self._attempt)
        self.reads_stream = bool(self._on_chunk)
        self.watches_bytes = bool(self._on_sent)
        self.settles = bool(self._on_settle)
        self.repeats = any(interceptor.repeats for interceptor in interceptors)
        self._at_once: bool | None = None

    @property
    def settles_at_once(self) -> bool:
        """Whether no interceptor waits for anything when it settles; asked once they are open."""
        if self._at_once is None:
            self._at_once = all(interceptor.settles_at_once for _, interceptor in self._on_settle)
        return self._at_once

    async def before_request(
        self, view: ExchangeView, request: GatewayRequest, entered: list[int]
    ) -> GatewayRequest | GatewayResponse:
        """Run the phase.

        Args:
            view: The exchange.
            request: What is asked.
            entered: One number, raised before each interceptor is called.

        Returns:
            The request to go on with, or the response that answers it here.
        """
        for number, interceptor in self._counted:
            entered[0] = number
            answer = await interceptor.before_request(view, request)
            if answer is None:
                continue
            if isinstance(answer, GatewayResponse):
                return answer
            request = answer
        entered[0] = self.size
        return request

    async def measured(
        self, exchange: Exchange, view: ExchangeView, request: GatewayRequest, entered: list[int], clock: Clock
    ) -> GatewayRequest | GatewayResponse:
        """Run ``before_request`` and note how long each interceptor took and what it said; the arguments are its own.

        Args:
            exchange: Where it is noted.
            view: See ``before_request``.
            request: See ``before_request``.
            entered: See ``before_request``.
            clock: Time.
        """
        for index, interceptor in self._before_request:
            entered[0] = index + 1
            started = clock.monotonic()
            try:
                answer = await interceptor.before_request(view, request)
            except BaseException as failure:
                word = failure.code if isinstance(failure, GatewayError) else "failed"
                exchange.step(interceptor.name, word, clock.monotonic() - started)
                raise
            verdict = "passed" if answer is None or answer is request else "changed"
            if isinstance(answer, GatewayResponse):
                exchange.step(interceptor.name, "answered", clock.monotonic() - started)
                return answer
            exchange.step(interceptor.name, verdict, clock.monotonic() - started)
            request = request if answer is None else answer
        entered[0] = self.size
        return request

    async def on_route(self, view: ExchangeView, deployments: Sequence[Deployment]) -> Sequence[Deployment]:
        """Run the phase; a deployment that was not there before is left out."""
        for _, interceptor in self._on_route:
            known = set(deployments)
            deployments = [one for one in await interceptor.on_route(view, deployments) if one in known]
        return deployments

    async def before_attempt(self, view: ExchangeView, attempt: Attempt, passed: list[int]) -> bool:
        """Run the phase; ``passed`` is raised for each interceptor that lets the attempt through."""
        for index, interceptor in self._attempt:
            if not await interceptor.before_attempt(view, attempt):
                return False
            passed[0] = index + 1
        return True

    async def after_attempt(self, view: ExchangeView, attempt: Attempt, passed: int) -> Sequence[Exception]:
        """Run the phase, innermost first, for those that let the attempt through; see ``on_settle``."""
        failures: list[Exception] = []
        for index, interceptor in reversed(self._attempt):
            if index >= passed:
                continue
            try:
                await interceptor.after_attempt(view, attempt)
            except Exception as failure:  # noqa: BLE001 - what one holds, the others hold too and must release
                failures.append(failure)
        return failures

    def on_chunk(self, view: ExchangeView, chunk: GatewayChunk) -> GatewayChunk | None:
        """Run the phase, innermost first."""
        for interceptor in self._on_chunk:
            changed = interceptor.on_chunk(view, chunk)
            if changed is None:
                return None
            chunk = changed
        return chunk

    def on_sent(self, view: ExchangeView, data: bytes, entered: int) -> None:
        """Run the phase for the interceptors that were entered."""
        for index, interceptor in self._on_sent:
            if index < entered:
                interceptor.on_sent(view, data)

    async def after_response(self, view: ExchangeView, response: GatewayResponse, entered: int) -> GatewayResponse:
        """Run the phase, innermost first."""
        for index, interceptor in self._after_response:
            if index < entered:
                response = await interceptor.after_response(view, response)
        return response

    async def on_settle(self, view: ExchangeView, entered: int) -> Sequence[Exception]:
        """Run the phase, innermost first; one that fails does not keep the others from running.

        Returns:
            What was raised.
        """
        failures: list[Exception] = []
        for index, interceptor in self._on_settle:
            if index >= entered:
                continue
            try:
                await interceptor.on_settle(view)
            except Exception as failure:  # noqa: BLE001 - the exchange is over whatever a plugin does
                failures.append(failure)
        return failures


def _taking_part(numbered: Sequence[Numbered], phase: str) -> list[Numbered]:
    return [entry for entry in numbered if _takes_part(entry[1], phase)]


def _takes_part(interceptor: Interceptor[Any], phase: str) -> bool:
    return phase not in interceptor.skips and getattr(type(interceptor), phase) is not getattr(Interceptor, phase)
