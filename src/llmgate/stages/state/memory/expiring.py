"""A table whose entries have an end, swept a little at every touch instead of all at once."""

from __future__ import annotations

import heapq
import itertools
import math
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Final, Generic, TypeVar

import attrs

__all__ = ["ExpiringTable"]

ValueT = TypeVar("ValueT")

_SWEPT_AT_ONCE: Final = 20
"""Due entries removed by one sweep: more than can be added until the next, so that a table does not grow with dead ones
though a store sweeps its five tables in turn."""

_SLACK: Final = 64


@attrs.define(eq=False)
class _Entry(Generic[ValueT]):
    value: ValueT
    expires: float
    scheduled: float = math.inf


class ExpiringTable(Generic[ValueT]):
    """Values by key, each until its time; the key used longest ago comes first.

    Times are monotonic seconds; infinity is never. An entry's end may be moved later at no cost: the schedule is put
    right when the old end comes.

    Args:
        weigh: How much an entry counts; None for nothing.
    """

    def __init__(self, weigh: Callable[[Hashable, ValueT], int] | None = None) -> None:
        self._weigh = weigh
        self.weight = 0
        """What the entries count together."""
        self._entries: OrderedDict[Hashable, _Entry[ValueT]] = OrderedDict()
        self._schedule: list[tuple[float, int, Hashable]] = []
        self._order = itertools.count()

    def __len__(self) -> int:
        """How many entries there are, those whose time is over and that have not been swept yet included."""
        return len(self._entries)

    def get(self, key: Hashable, now: float) -> ValueT | None:
        """The value, None when there is none or its time is over."""
        entry = self._entries.get(key)
        if entry is None:
            return None
        if entry.expires <= now:
            self.pop(key)
            return None
        self._entries.move_to_end(key)
        return entry.value

    def put(self, key: Hashable, value: ValueT, expires: float) -> None:
        """Keep a value until ``expires``."""
        entry = self._entries.get(key)
        if entry is None:
            entry = self._entries[key] = _Entry(value, expires)
        else:
            self._count(key, entry, -1)
            entry.value, entry.expires = value, expires
            self._entries.move_to_end(key)
        self._count(key, entry, 1)
        if expires < entry.scheduled:
            self._plan(key, entry)

    def pop(self, key: Hashable) -> None:
        """Forget a key."""
        entry = self._entries.pop(key, None)
        if entry is not None:
            self._count(key, entry, -1)

    def pop_oldest(self) -> None:
        """Forget the key used longest ago."""
        key, entry = self._entries.popitem(last=False)
        self._count(key, entry, -1)

    def sweep(self, now: float, most: int | None = _SWEPT_AT_ONCE) -> None:
        """Forget entries whose time is over, at most ``most`` of them; all with None."""
        swept = 0
        while self._schedule and self._schedule[0][0] <= now and (most is None or swept < most):
            due, _, key = heapq.heappop(self._schedule)
            swept += 1
            entry = self._entries.get(key)
            if entry is None or entry.scheduled != due:
                continue
            entry.scheduled = math.inf
            if entry.expires <= now:
                self.pop(key)
            elif entry.expires < math.inf:
                self._plan(key, entry)

    def clear(self) -> None:
        """Forget everything."""
        self._entries.clear()
        self._schedule.clear()
        self.weight = 0

    def _count(self, key: Hashable, entry: _Entry[ValueT], sign: int) -> None:
        if self._weigh is not None:
            self.weight += sign * self._weigh(key, entry.value)

    def _plan(self, key: Hashable, entry: _Entry[ValueT]) -> None:
        entry.scheduled = entry.expires
        heapq.heappush(self._schedule, (entry.expires, next(self._order), key))
        if len(self._schedule) > 2 * len(self._entries) + _SLACK:
            # Most of it belongs to keys that were forgotten or given another end.
            self._schedule = [
                (one.scheduled, next(self._order), name)
                for name, one in self._entries.items()
                if one.scheduled < math.inf
            ]
            heapq.heapify(self._schedule)
