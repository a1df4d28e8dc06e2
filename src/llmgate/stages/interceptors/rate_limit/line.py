"""Requests over a limit that wait for their turn, first come first served."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from typing import TYPE_CHECKING, Final

import attrs

from llmgate.spec import Clock

if TYPE_CHECKING:
    from .account import Charge

__all__ = ["Lines"]

_LOOK: Final = 0.25
"""Seconds after which a place is looked for again, which another process may have given back."""


@attrs.define(eq=False)
class _Line:
    """Who waits for one key: the first of them asks, the others wait for it."""

    turn: asyncio.Lock = attrs.field(factory=asyncio.Lock)
    freed: asyncio.Event = attrs.field(factory=asyncio.Event)
    length: int = 0


class Lines:
    """One line for each key that refuses.

    Args:
        clock: Tells the time.
        longest: Seconds that a request waits at most.
        most: Requests that may wait, in all lines together.
    """

    def __init__(self, clock: Clock, longest: float, most: int) -> None:
        self._clock = clock
        self._longest = longest
        self._most = most
        self._lines: dict[str, _Line] = {}
        self._waiting = 0

    def __len__(self) -> int:
        """How many wait."""
        return self._waiting

    def before(self, keys: Iterable[str]) -> str | None:
        """The first of some keys for which others wait already, so that nobody passes them."""
        return next((key for key in keys if key in self._lines), None) if self._lines else None

    def freed(self, key: str) -> None:
        """Something has been given back: whoever is first looks again."""
        line = self._lines.get(key)
        if line is not None:
            line.freed.set()

    async def wait(self, key: str, until: float, ask: Callable[[], Awaitable[Charge | None]]) -> None:
        """Wait for the turn, then ask until there is room or no time left.

        Args:
            key: The key that has refused, or for which others wait.
            until: Monotonic time at which the caller stops waiting.
            ask: Tells the charge that is refused, None where all are granted.

        Raises:
            TimeoutError: its turn has not come.
        """
        if self._waiting >= self._most:
            raise TimeoutError
        line = self._lines.setdefault(key, _Line())
        line.length += 1
        self._waiting += 1
        end = min(self._clock.monotonic() + self._longest, until)
        try:
            async with asyncio.timeout(max(0.0, end - self._clock.monotonic())), line.turn:
                await self._first(line, end, ask)
        finally:
            self._waiting -= 1
            line.length -= 1
            if not line.length:
                self._lines.pop(key, None)

    async def _first(self, line: _Line, end: float, ask: Callable[[], Awaitable[Charge | None]]) -> None:
        while True:
            line.freed.clear()
            refused = await ask()
            if refused is None:
                return
            wait = refused.decision.retry_after if refused.decision is not None else _LOOK
            if refused.limit.at_once:
                wait = _LOOK
            left = end - self._clock.monotonic()
            if wait > left and not (refused.limit.at_once and left > 0):
                return
            await self._pause(line, min(wait, left))

    async def _pause(self, line: _Line, seconds: float) -> None:
        sleeping = asyncio.ensure_future(self._clock.sleep(seconds))
        freed = asyncio.ensure_future(line.freed.wait())
        try:
            await asyncio.wait({sleeping, freed}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            sleeping.cancel()
            freed.cancel()
