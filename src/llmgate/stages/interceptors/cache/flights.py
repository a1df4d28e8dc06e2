"""Requests that are on their way, so that equal ones wait for one answer instead of asking for it again."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from typing import Final, TypeAlias

import attrs

from .entries import Entry

__all__ = ["Flights", "Landing", "Place"]

Place: TypeAlias = "tuple[str, int]"
"""The key of a request and the number of its bucket."""


_REMEMBERED: Final = 4096
"""Closed places that are remembered, for those who look into the store while one is closed."""


@attrs.frozen
class Landing:
    """How a request has ended.

    Args:
        entry: Its answer; None where it has none to share.
        left: Whether it ended because its caller left or had no more time, so that another may take its place.
    """

    entry: Entry | None
    left: bool = False


class Flights:
    """Who is on the way for what, in this process."""

    def __init__(self) -> None:
        self.under_way: dict[Place, asyncio.Future[Landing] | Landing | None] = {}
        # A future from when somebody waits for it, which hardly anybody does; without one, how it has ended.
        self._closed: OrderedDict[Place, int] = OrderedDict()
        self.closed = 0
        """How many have been closed so far."""

    def __len__(self) -> int:
        """How many are on their way."""
        return len(self.under_way)

    def __contains__(self, place: Place) -> bool:
        return place in self.under_way

    def start(self, place: Place) -> None:
        """Go for an answer; others may wait for it until ``close``."""
        self.under_way[place] = None

    async def landing(self, place: Place, seconds: float) -> Landing | None:
        """Wait for one that is on its way; None where it has not come within that time."""
        known = self.under_way[place]
        if isinstance(known, Landing):
            return known
        if known is None:
            known = self.under_way[place] = asyncio.get_running_loop().create_future()
        await asyncio.wait({known}, timeout=seconds)
        return known.result() if known.done() else None

    def land(self, place: Place, landing: Landing) -> None:
        """Say how it has ended; whoever waits goes on."""
        known = self.under_way[place]
        if known is None:
            self.under_way[place] = landing
        elif isinstance(known, asyncio.Future) and not known.done():
            known.set_result(landing)

    def close(self, place: Place) -> None:
        """The answer can be found in the store, or will never be: whoever comes now does not wait. Idempotent."""
        if place not in self.under_way:
            return
        known = self.under_way.pop(place)
        if isinstance(known, asyncio.Future) and not known.done():
            known.set_result(Landing(None))
        self.closed += 1
        self._closed[place] = self.closed
        if len(self._closed) > _REMEMBERED:
            self._closed.popitem(last=False)

    def closed_since(self, place: Place, count: int) -> bool:
        """Whether it has been closed since ``closed`` was ``count``."""
        return self._closed.get(place, 0) > count

    def clear(self) -> None:
        """Let everybody go."""
        for place in tuple(self.under_way):
            self.close(place)
