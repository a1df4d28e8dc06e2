"""How long a deployment has taken lately: the last answers, and the percentiles over them."""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from typing import Final

import attrs

__all__ = ["Latencies", "Percentiles"]

KEPT: Final = 128
"""Answers that are remembered of each deployment, in 2.5 kB."""

OLDEST: Final = 900.0
"""Seconds after which an answer says nothing of the present."""


@attrs.frozen
class Percentiles:
    """Seconds within which half, 95 and 99 of 100 answers came, by the nearest rank."""

    p50: float
    p95: float
    p99: float

    @classmethod
    def of(cls, seconds: Sequence[float]) -> Percentiles | None:
        """The percentiles of some times; None where there are none."""
        if not seconds:
            return None
        ranked = sorted(seconds)
        p50, p95, p99 = (ranked[-(-len(ranked) * percent // 100) - 1] for percent in (50, 95, 99))
        return cls(p50, p95, p99)


class Latencies:
    """The last answers of a deployment, in a ring that never grows."""

    __slots__ = ("_ended", "_first", "_next", "_total")

    def __init__(self) -> None:
        self._ended = array("d")
        self._first = array("f")
        self._total = array("f")
        self._next = 0

    def __len__(self) -> int:
        """How many are remembered."""
        return len(self._ended)

    def add(self, now: float, first: float, total: float) -> None:
        """Remember an answer; the oldest one makes room.

        Args:
            now: Monotonic seconds.
            first: Seconds until its first content.
            total: Seconds until its end.
        """
        if len(self._ended) < KEPT:
            self._ended.append(now)
            self._first.append(first)
            self._total.append(total)
            return
        place = self._next
        self._ended[place], self._first[place], self._total[place] = now, first, total
        self._next = (place + 1) % KEPT

    def recent(self, now: float) -> tuple[Sequence[float], Sequence[float]]:
        """The times until the first content and until the end of those answers that still say something.

        Args:
            now: Monotonic seconds.
        """
        kept = [place for place, ended in enumerate(self._ended) if now - ended <= OLDEST]
        return [self._first[place] for place in kept], [self._total[place] for place in kept]
