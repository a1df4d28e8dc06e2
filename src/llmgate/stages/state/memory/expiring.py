"""Tables whose entries have an end, swept a little at every touch instead of all at once."""

from __future__ import annotations

import heapq
import itertools
import math
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Final, Generic, TypeVar

import attrs

__all__ = ["EndingTable", "Entry", "ExpiringTable"]

ValueT = TypeVar("ValueT")

_SWEPT_AT_ONCE: Final = 40
"""Due entries removed by one sweep: more than can be added until the next, so that a table does not grow with dead ones
though a store sweeps its five tables in turn."""

_SLACK: Final = 64


@attrs.define(eq=False)
class Entry:
    """Something that is kept until its time; monotonic seconds, infinity is never.

    Args:
        expires: When it ends.
        scheduled: When the table looks at it; the table's own.
    """

    expires: float
    scheduled: float = attrs.field(default=math.inf, init=False)


EntryT = TypeVar("EntryT", bound=Entry)


class EndingTable(Generic[EntryT]):
    """Entries by key, each until its time.

    An entry's end may be moved later at no cost: the schedule is put right when the old end comes. Whoever moves it
    sooner says so by ``keep``.

    Args:
        linger: Seconds for which an entry may stay past its end, where nobody needs its room: one that is renewed
            again and again is then not made and scheduled anew each time. Whoever looks into ``entries`` looks at the
            end of what is found there.
    """

    def __init__(self, *, linger: float = 0.0) -> None:
        self.linger = linger
        self.entries: dict[Hashable, EntryT] = {}
        self.schedule: list[tuple[float, int, Hashable]] = []
        """When to look at which key, the soonest first; ``sweep`` has nothing to do before."""
        self._order = itertools.count()

    def __len__(self) -> int:
        """How many entries there are, those whose time is over and that have not been swept yet included."""
        return len(self.entries)

    def keep(self, key: Hashable, entry: EntryT) -> None:
        """Keep an entry, or tell that the end of one has moved."""
        self.entries[key] = entry
        if entry.expires + self.linger < entry.scheduled:
            self._plan(key, entry)

    def pop(self, key: Hashable) -> None:
        """Forget a key."""
        self.entries.pop(key, None)

    def sweep(self, now: float, most: int | None = _SWEPT_AT_ONCE) -> None:
        """Forget entries whose time is over, at most ``most`` of them; all with None, those that linger included."""
        swept, until = 0, now if most is not None else now + self.linger
        renewed: list[tuple[Hashable, EntryT]] = []
        while self.schedule and self.schedule[0][0] <= until and (most is None or swept < most):
            due, _, key = heapq.heappop(self.schedule)
            swept += 1
            entry = self.entries.get(key)
            if entry is None or entry.scheduled != due:
                continue
            entry.scheduled = math.inf
            if entry.expires <= now:
                self.pop(key)
            elif entry.expires < math.inf:
                renewed.append((key, entry))
        for key, entry in renewed:
            self._plan(key, entry)

    def clear(self) -> None:
        """Forget everything."""
        self.entries.clear()
        self.schedule.clear()

    def _plan(self, key: Hashable, entry: EntryT) -> None:
        entry.scheduled = entry.expires + self.linger
        heapq.heappush(self.schedule, (entry.scheduled, next(self._order), key))
        if len(self.schedule) > 2 * len(self.entries) + _SLACK:
            # Most of it belongs to keys that were forgotten or given another end.
            self.schedule = [
                (one.scheduled, next(self._order), name)
                for name, one in self.entries.items()
                if one.scheduled < math.inf
            ]
            heapq.heapify(self.schedule)


@attrs.define(eq=False)
class _Value(Entry, Generic[ValueT]):
    value: ValueT


class ExpiringTable(EndingTable[_Value[ValueT]]):
    """Values by key, each until its time; the key used longest ago comes first.

    Args:
        weigh: How much an entry counts; None for nothing.
    """

    entries: OrderedDict[Hashable, _Value[ValueT]]

    def __init__(self, weigh: Callable[[Hashable, ValueT], int] | None = None) -> None:
        super().__init__()
        self.entries = OrderedDict()
        self._weigh = weigh
        self.weight = 0
        """What the entries count together."""

    def get(self, key: Hashable, now: float) -> ValueT | None:
        """The value, None when there is none or its time is over."""
        entry = self.entries.get(key)
        if entry is None:
            return None
        if entry.expires <= now:
            self.pop(key)
            return None
        self.entries.move_to_end(key)
        return entry.value

    def put(self, key: Hashable, value: ValueT, expires: float) -> None:
        """Keep a value until ``expires``."""
        entry = self.entries.get(key)
        if entry is None:
            entry = _Value(expires, value)
        else:
            self._count(key, entry, -1)
            entry.value, entry.expires = value, expires
            self.entries.move_to_end(key)
        self._count(key, entry, 1)
        self.keep(key, entry)

    def pop(self, key: Hashable) -> None:
        """Forget a key."""
        entry = self.entries.pop(key, None)
        if entry is not None:
            self._count(key, entry, -1)

    def pop_oldest(self) -> None:
        """Forget the key used longest ago."""
        key, entry = self.entries.popitem(last=False)
        self._count(key, entry, -1)

    def clear(self) -> None:
        """Forget everything."""
        super().clear()
        self.weight = 0

    def _count(self, key: Hashable, entry: _Value[ValueT], sign: int) -> None:
        if self._weigh is not None:
            self.weight += sign * self._weigh(key, entry.value)
