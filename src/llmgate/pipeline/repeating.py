"""Requests that are sent again in the background, each an exchange of its own that is charged and recorded like any."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import attrs

from llmgate.spec import GatewayRequest, GatewayResponse

from .draining import Drains
from .frame import ExchangeFrame
from .streaming import GatewayStream

if TYPE_CHECKING:
    from .pipeline import Pipeline

__all__ = ["Repeats", "Way"]

log = logging.getLogger("llmgate.exchange")

Way: TypeAlias = Literal["send", "stream", "carry"]
"""By which method of its frame a request went."""


class Repeats:
    """What a Pipeline sends again for nobody: an answer that a stage wants to have anew.

    As many run at once as answers are read on for callers who have left (``stream.max-drains``); more are not begun.
    One takes no longer than any request may.

    Args:
        pipeline: Whose they are.
    """

    def __init__(self, pipeline: Pipeline) -> None:
        self._pipeline = pipeline
        self.drains = Drains()

    def begin(
        self,
        frame: ExchangeFrame,
        way: Way,
        stage: str,
        notes: Mapping[str, Any],
        done: Callable[[], Awaitable[None]],
    ) -> bool:
        """Send what a frame was asked for again; says whether that has begun.

        Args:
            frame: Whose request it is.
            way: By which method it went.
            stage: The stage that wants it.
            notes: What that stage's notes of the new exchange begin with.
            done: Called when it is over, however it went.
        """
        request = frame.exchange.request
        if request is None or not self._pipeline.ready:
            return False
        if not self.drains.admit(frame.snapshot.config.stream.max_drains):
            return False
        self._pipeline.own(self._run(_Again.of(frame, request, way), stage, notes, done))
        return True

    async def _run(
        self, again: _Again, stage: str, notes: Mapping[str, Any], done: Callable[[], Awaitable[None]]
    ) -> None:
        async def sent() -> bool:
            frame = again.frame(self._pipeline)
            frame.exchange.notes(stage).update(notes)
            async with frame:
                return await again.send(frame)

        try:
            await self.drains.run(sent, self._pipeline.config.timeouts.total)
        except Exception:
            log.exception("a request that was sent again in the background failed unexpectedly")
        finally:
            await done()

    async def finish(self, seconds: float) -> int:
        """Let those that run end, and cut those that have not after a time; see ``Drains.finish``."""
        return await self.drains.finish(seconds)


@attrs.frozen
class _Again:
    """What a new exchange needs to know of the one before; it does not hold on to that one."""

    request: GatewayRequest
    way: Way
    settings: Mapping[str, Any]
    headers: Mapping[str, str]
    own_key: bool

    @classmethod
    def of(cls, frame: ExchangeFrame, request: GatewayRequest, way: Way) -> _Again:
        exchange = frame.exchange
        settings = {
            "operation": exchange.operation,
            "credentials": frame.credentials,
            "principal": exchange.principal,
            "surface": exchange.surface,
            "client_address": exchange.client_address,
            "client_request_id": None,
        }
        # Whoever waits for the answer has no part in this one, nor has his patience.
        return cls(attrs.evolve(request, deadline=None), way, settings, exchange.client_headers, frame.own_key)

    def frame(self, pipeline: Pipeline) -> ExchangeFrame:
        frame = ExchangeFrame(pipeline, **self.settings)
        frame.own_key, frame.repeated = self.own_key, True
        frame.exchange.client_headers = self.headers
        return frame

    async def send(self, frame: ExchangeFrame) -> bool:
        """Have the whole answer pass by; nobody holds it but the stages that want to."""
        if self.way == "send":
            await frame.send(self.request)
            return True
        answer = await (frame.stream(self.request) if self.way == "stream" else frame.carry(self.request))
        if isinstance(answer, GatewayResponse):
            return True
        if isinstance(answer, GatewayStream):
            async for _ in answer:
                await asyncio.sleep(0)
        return True
