"""A clock that stands still until a test moves it."""

from __future__ import annotations

import asyncio
import heapq
import itertools
import random
from collections.abc import Generator
from typing import Any, Final

__all__ = ["FakeClock"]

_TURNS: Final = 10
"""Turns of the event loop that awaiting ``advance`` gives to whoever has been woken."""


class _Turns:
    """What ``advance`` returns: awaiting it lets the woken tasks run; not awaiting it is fine too."""

    def __await__(self) -> Generator[Any, None, None]:
        for _ in range(_TURNS):
            yield from asyncio.sleep(0).__await__()


class FakeClock:
    """Implements ``llmgate.spec.Clock`` with time and chance that a test holds.

    Args:
        now: Seconds since the epoch at the start.
        monotonic: Monotonic seconds at the start; another number than ``now`` on purpose, so that code which mixes the
            two up is found out.
        seed: Seed of ``random()``: the same seed gives the same numbers.
    """

    def __init__(self, *, now: float = 1_700_000_000.0, monotonic: float = 1000.0, seed: int = 0) -> None:
        self._now = now
        self._monotonic = monotonic
        self._random = random.Random(seed)
        self._sleepers: list[tuple[float, int, asyncio.Future[None]]] = []
        self._order = itertools.count()

    def now(self) -> float:
        """Seconds since the epoch."""
        return self._now

    def monotonic(self) -> float:
        """Seconds that never go back."""
        return self._monotonic

    def random(self) -> float:
        """A number in [0, 1), from the seed."""
        return self._random.random()

    async def sleep(self, seconds: float) -> None:
        """Wait until ``advance`` has moved the time by ``seconds``; at once when they are not positive."""
        if seconds <= 0:
            await asyncio.sleep(0)
            return
        woken = asyncio.get_running_loop().create_future()
        heapq.heappush(self._sleepers, (self._monotonic + seconds, next(self._order), woken))
        await woken

    @property
    def sleeping(self) -> int:
        """How many tasks wait in ``sleep``."""
        return sum(not woken.done() for _, _, woken in self._sleepers)

    def advance(self, seconds: float) -> _Turns:
        """Move the time; whoever sleeps until then is woken, the earliest first.

        A task that sleeps again when it has been woken counts from the new time: move in several steps to let something
        periodic run several times.

        Args:
            seconds: How far, not negative.

        Returns:
            Something that can be awaited to let the woken tasks run, and need not be.

        Raises:
            ValueError: ``seconds`` is negative.
        """
        if seconds < 0:
            raise ValueError("time does not go back: advance by a positive number of seconds, or use shift_wall")
        self._now += seconds
        self._monotonic += seconds
        while self._sleepers and self._sleepers[0][0] <= self._monotonic:
            _, _, woken = heapq.heappop(self._sleepers)
            if not woken.done():
                woken.set_result(None)
        return _Turns()

    def shift_wall(self, seconds: float) -> None:
        """Set the wall clock forth or back and leave the monotonic one, as a correction of the system's time does."""
        self._now += seconds
