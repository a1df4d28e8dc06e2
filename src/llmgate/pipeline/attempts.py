"""The account of the tries of one exchange: who may start, who learns of it, and what each releases at its end."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine
from typing import Any

from llmgate.spec import Attempt, Clock, Deployment, Exchange, ExchangeView, GatewayError, RoutingStrategy

from .chain import Chain
from .costs import cost_of, estimate
from .snapshot import Snapshot

__all__ = ["Attempts"]

log = logging.getLogger("llmgate.exchange")


class Attempts:
    """What an exchange's frame knows of its tries.

    Args:
        own: Runs work in a task that the Pipeline waits for when it closes.
    """

    exchange: Exchange
    view: ExchangeView
    clock: Clock
    chain: Chain
    snapshot: Snapshot
    _entered: list[int]

    def __init__(self, own: Callable[[Coroutine[Any, Any, None]], asyncio.Task[None]]) -> None:
        self._own = own
        self._strategies: dict[int, RoutingStrategy[Any]] = {}
        self._passed: dict[int, int] = {}
        self._releases: list[asyncio.Task[None]] = []

    @property
    def id(self) -> str:
        """Our id of the exchange, known before it is entered."""
        return self.exchange.id

    @property
    def under_way(self) -> bool:
        """Whether a try has not ended, or interceptors still release what one held."""
        return any(attempt.finished is None for attempt in self.exchange.attempts) or not all(
            releasing.done() for releasing in self._releases
        )

    def new_attempt(self, deployment: Deployment, strategy: RoutingStrategy[Any]) -> Attempt:
        """Begin the account of a try."""
        attempt = Attempt(len(self.exchange.attempts), deployment, started=self.clock.monotonic())
        if self.exchange.trace is not None and self.snapshot.tracing is not None:
            attempt.span_id = self.snapshot.tracing.span_id()
        self._strategies[attempt.index] = strategy
        return attempt

    async def start_attempt(self, attempt: Attempt) -> bool:
        """Ask the interceptors whether a try may start; False skips its deployment."""
        if self.chain.watches_attempts:
            passed = [0]
            try:
                allowed = await self.chain.before_attempt(self.view, attempt, passed)
            except BaseException:
                await self._release(attempt, passed[0])
                raise
            if not allowed:
                await self._release(attempt, passed[0])
                return False
            self._passed[attempt.index] = passed[0]
        self.exchange.attempts.append(attempt)
        self._tell(attempt, "started")
        return True

    def note_content(self, attempt: Attempt) -> None:
        """The first content of a try has come: from here on it is the one that answers."""
        attempt.first_content = self.exchange.first_content = self.clock.monotonic()
        self.snapshot.failing.answered(attempt.deployment)
        self.snapshot.health.answered(attempt, attempt.first_content)
        self._tell(attempt, "first_content")

    async def end_attempt(self, attempt: Attempt, error: GatewayError | None) -> None:
        """Close the account of a try; nothing happens when it is closed already."""
        if attempt.finished is not None:
            return
        attempt.finished = self.clock.monotonic()
        attempt.error = error
        if attempt.deployment.provider.prices is not None:
            attempt.cost_nano = cost_of(attempt, self.exchange)
            if attempt.cost_nano is None:
                estimate(attempt, self.exchange)
        if error is not None:
            self.snapshot.failing.failed(attempt.deployment, error, attempt.finished)
        self.snapshot.health.finished(attempt, attempt.finished)
        self._tell(attempt, "finished")
        if self.chain.watches_attempts:
            await self._release(attempt, self._passed.get(attempt.index, 0))

    async def _release(self, attempt: Attempt, passed: int) -> None:
        """Let the interceptors release what an attempt held, to the end even if the caller leaves meanwhile."""

        async def run() -> None:
            for failure in await self.chain.after_attempt(self.view, attempt, passed):
                log.error("%s: an interceptor failed after an attempt", self.id, exc_info=failure)

        releasing = self._own(run())
        self._releases.append(releasing)
        await asyncio.shield(releasing)

    async def _tell_settled(self) -> None:
        """Let the interceptors settle; one that fails to cannot fail the request."""
        for failure in await self.chain.on_settle(self.view, self._entered[0]):
            log.error("%s: an interceptor failed to settle", self.id, exc_info=failure)

    def _tell(self, attempt: Attempt, what: str) -> None:
        """Let the strategy learn; one that fails to learn cannot fail the request."""
        try:
            getattr(self._strategies[attempt.index], what)(attempt)
        except Exception:
            log.exception("%s: the routing strategy failed in %s", self.id, what)
