"""Answers that are read to their end after their caller has left: how many at once, for how long, and until when."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable

from llmgate.spec import GatewayError

__all__ = ["Drains"]


class Drains:
    """The answers that a Pipeline reads on for nobody; it holds none of what they say.

    Attributes:
        running: How many are being read.
        completed: How many have come to their end.
        cut: How many have not, because of a bound, a failure of the provider or a shutdown.
        refused: How many were not begun, because too many were running or the gateway was about to stop.
    """

    def __init__(self) -> None:
        self.running = 0
        self.completed = 0
        self.cut = 0
        self.refused = 0
        self._over = False
        self._bounds: set[asyncio.Timeout] = set()
        self._idle = asyncio.Event()

    def admit(self, most: int) -> bool:
        """Take a place for one more, which ``run`` gives back.

        Args:
            most: How many there may be at once.
        """
        if self._over or self.running >= most:
            self.refused += 1
            return False
        self.running += 1
        self._idle.clear()
        return True

    async def run(self, read: Callable[[], Awaitable[bool]], seconds: float) -> bool:
        """Read an answer on.

        Args:
            read: Reads; says whether it came to the end.
            seconds: How long it may take.

        Returns:
            Whether the answer has come to its end.
        """
        whole = False
        try:
            async with asyncio.timeout(seconds) as bound:
                self._bounds.add(bound)
                try:
                    whole = await read()
                finally:
                    self._bounds.discard(bound)
        except (TimeoutError, GatewayError):
            pass  # nobody is there to be told; the attempt's account says what happened
        finally:
            self.running -= 1
            self.completed += whole
            self.cut += not whole
            if not self.running:
                self._idle.set()
        return whole

    async def finish(self, seconds: float) -> int:
        """Let those that run end, and cut those that have not after a time; meanwhile no more are begun.

        Args:
            seconds: How long they get.

        Returns:
            How many had to be cut.
        """
        if not self.running:
            return 0
        self._over = True
        await asyncio.sleep(0)  # one that has just got its place has begun now
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._idle.wait(), max(0.0, seconds))
        late = set(self._bounds)
        for bound in late:
            bound.reschedule(asyncio.get_running_loop().time())
        if late:
            await self._idle.wait()
        self._over = False
        return len(late)
