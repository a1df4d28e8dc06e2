"""A stretch of time as whole days, whole hours, and what is left of an hour at its ends."""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Sequence
from typing import Final

import attrs

from llmgate.spec import UsageQuery

from .rows import DAY, HOUR

__all__ = ["Span", "Stretch", "hours_fit", "stretch_of"]

_SECONDS: Final = 3600
_EARLIEST: Final = 2020
"""The year before which no gateway recorded anything."""
_EVER: Final = 2**40
"""More hours than any clock shows."""


@attrs.frozen
class Span:
    """Rows of one grain: those whose hour is ``first`` or later and before ``end``."""

    grain: int
    first: int
    end: int


@attrs.frozen
class Stretch:
    """What to add up for a stretch of time.

    Args:
        spans: Rows of what is added up already.
        edges: Moments, in seconds, between which single exchanges are to be added up.
    """

    spans: Sequence[Span]
    edges: Sequence[tuple[float, float]]


def stretch_of(query: UsageQuery, period: str | None, now: float) -> Stretch:
    """How a question's time is covered.

    Args:
        query: The question.
        period: The period that it groups by; None for none.
        now: Seconds since the epoch.
    """
    since = 0.0 if query.filter.since is None else max(0.0, query.filter.since)
    until = query.filter.until
    first = math.ceil(since / _SECONDS)
    end = _EVER if until is None else max(0, math.floor(until / _SECONDS))
    if end < first or until == since:
        return Stretch((), [(since, until or since)])
    edges = [(since, first * float(_SECONDS))] if first * _SECONDS > since else []
    if until is not None and end * _SECONDS < until:
        edges.append((end * float(_SECONDS), until))
    if period == "hour" or (period is not None and query.zone is not dt.UTC):
        return Stretch([Span(HOUR, first, end)], edges)
    from_day = -(-first // DAY) * DAY
    to_day = min(end, int(now) // _SECONDS) // DAY * DAY
    if from_day >= to_day:
        return Stretch([Span(HOUR, first, end)], edges)
    spans = [Span(HOUR, first, from_day), Span(DAY, from_day, to_day), Span(HOUR, to_day, end)]
    return Stretch([one for one in spans if one.first < one.end], edges)


def hours_fit(zone: dt.tzinfo, since: float | None, until: float | None, now: float) -> bool:
    """Whether the hours of a zone begin with those of UTC, all through a stretch of time."""
    last = dt.datetime.fromtimestamp(min(now if until is None else until, now), dt.UTC).year
    first = max(_EARLIEST, dt.datetime.fromtimestamp(max(0.0, min(since or 0.0, now)), dt.UTC).year)
    moments = [dt.datetime(year, month, 1, tzinfo=dt.UTC) for year in range(first, last + 1) for month in (1, 7)]
    offsets = [one.astimezone(zone).utcoffset() for one in moments]
    return all(one is not None and not one.total_seconds() % _SECONDS for one in offsets)
