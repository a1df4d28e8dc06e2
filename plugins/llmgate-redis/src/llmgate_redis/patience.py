"""How long the server is waited for: a process that was held up itself does not blame the server."""

from __future__ import annotations

import asyncio
from types import TracebackType

__all__ = ["Patience"]

_TURNS = 2
"""Turns of the event loop in which an answer that has arrived is read and given to whoever waits for it."""


class Patience:
    """``asyncio.timeout``, but that what has arrived by the time that it fires is read first.

    Where the event loop was held up for longer than the time-out, it finds the answer and the end of the time-out at
    once, and would let go of the answer.

    Args:
        seconds: How long.
    """

    __slots__ = ("_loop", "_seconds", "_timer", "_within")

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds

    async def __aenter__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._within = asyncio.timeout(None)
        await self._within.__aenter__()
        self._timer: asyncio.Handle = self._loop.call_later(self._seconds, self._wait_turn, _TURNS)

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._timer.cancel()
        await self._within.__aexit__(kind, error, traceback)

    def _wait_turn(self, left: int) -> None:
        if left:
            self._timer = self._loop.call_soon(self._wait_turn, left - 1)
        else:
            self._within.reschedule(self._loop.time())
