"""Time and chance, handed to stages so that tests can hold both."""

from __future__ import annotations

import asyncio
import random
import time
from typing import Protocol

__all__ = ["Clock", "SystemClock"]


class Clock(Protocol):
    """Where every stage takes its time and its dice from; modules never ask ``time`` or ``random`` themselves."""

    def now(self) -> float:
        """Seconds since the epoch: for records and for anything a person or another machine reads."""
        ...

    def monotonic(self) -> float:
        """Seconds that never go back: for durations and deadlines."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Wait."""
        ...

    def random(self) -> float:
        """A number in [0, 1)."""
        ...


class SystemClock:
    """The real clock.

    Args:
        seed: Makes ``random()`` repeatable; None takes real chance.
    """

    def __init__(self, seed: int | None = None) -> None:
        self.random = random.Random(seed).random  # noqa: S311 - spreads load, keeps no secret
        """A number in [0, 1)."""

    # The functions themselves: each request asks for the time a dozen times.
    now = staticmethod(time.time)
    """Seconds since the epoch."""
    monotonic = staticmethod(time.monotonic)
    """Seconds that never go back."""

    async def sleep(self, seconds: float) -> None:
        """Wait."""
        await asyncio.sleep(seconds)
