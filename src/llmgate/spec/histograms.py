"""How long things took, kept so that hours can be added to days: counts in buckets that grow by a tenth."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Final

import attrs

__all__ = ["Histogram", "bucket_of"]

_LEAST: Final = 0.001
"""Seconds: whatever takes no longer is in bucket 0."""
_GROWTH: Final = 1.1
_LAST: Final = 200
"""The last bucket, which takes whatever is longer too: it begins behind two days."""
_STEP: Final = math.log(_GROWTH)
_MOST: Final = _LEAST * _GROWTH**_LAST


def bucket_of(seconds: float) -> int:
    """The bucket of a duration, from 0 to 200."""
    if not seconds > _LEAST:
        return 0
    if seconds >= _MOST:
        return _LAST
    return math.ceil(math.log(seconds / _LEAST) / _STEP - 1e-9)


@attrs.frozen
class Histogram:
    """Counts of durations by bucket; two of them are merged by adding their counts.

    Args:
        counts: How many durations fell into each bucket that is not empty.
    """

    counts: Mapping[int, int] = attrs.field(factory=dict)

    @classmethod
    def of(cls, durations: Iterable[float]) -> Histogram:
        """The histogram of durations in seconds."""
        counts: dict[int, int] = {}
        for one in durations:
            bucket = bucket_of(one)
            counts[bucket] = counts.get(bucket, 0) + 1
        return cls(counts)

    @property
    def total(self) -> int:
        """How many durations there are."""
        return sum(self.counts.values())

    def merged(self, *others: Histogram) -> Histogram:
        """The histogram of all durations together."""
        counts = dict(self.counts)
        for other in others:
            for bucket, count in other.counts.items():
                counts[bucket] = counts.get(bucket, 0) + count
        return Histogram(counts)

    def percentile(self, share: float) -> float | None:
        """The duration that a share of all does not exceed, within 5 %.

        Args:
            share: From 0 to 1, for example 0.95.

        Returns:
            Seconds; None where nothing was counted.
        """
        total = self.total
        if not total:
            return None
        rank, seen = max(1, math.ceil(share * total - 1e-9)), 0
        for bucket in sorted(self.counts):
            seen += self.counts[bucket]
            if seen >= rank:
                break
        return _LEAST * _GROWTH ** (bucket - 0.5) if bucket else _LEAST
