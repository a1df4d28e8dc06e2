"""What a page is asked: which time, which records, grouped by what; as links write it and as the gateway is asked."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from typing import Final, Self
from urllib.parse import urlencode

import attrs

from llmgate.spec import DIMENSIONS, PROPERTY, InvalidRequestError, period_of

__all__ = ["DEFAULT", "NARROWED", "RANGES", "Question", "Span"]

DEFAULT: Final = "24h"
NARROWED: Final = tuple(DIMENSIONS)
"""Dimensions by which figures are narrowed."""
EXPLORED: Final = (*NARROWED, "property", "status", "error", "session", "prompt", "cache", "slower", "text")
"""Words by which requests are found."""


@attrs.frozen
class Span:
    """A length of time that ends now.

    Args:
        name: As links write it.
        label: As people read it.
        period: How finely it is divided: ``hour`` or ``day``.
        count: Into how many parts.
    """

    name: str
    label: str
    period: str
    count: int

    def beginnings(self, now: float, zone: dt.tzinfo) -> Sequence[float]:
        """When each part begins, in seconds since the epoch."""
        there = dt.datetime.fromtimestamp(now, zone)
        if self.period == "hour":
            last = there.replace(minute=0, second=0, microsecond=0).timestamp()
            return [last - 3600 * back for back in range(self.count - 1, -1, -1)]
        days = [there.date() - dt.timedelta(days=back) for back in range(self.count - 1, -1, -1)]
        return [dt.datetime(day.year, day.month, day.day, tzinfo=zone).timestamp() for day in days]

    def labels(self, now: float, zone: dt.tzinfo) -> Sequence[str]:
        """What the gateway calls each part."""
        return [period_of(one, self.period, zone) for one in self.beginnings(now, zone)]


RANGES: Final[Mapping[str, Span]] = {
    one.name: one
    for one in (
        Span("24h", "24 hours", "hour", 24),
        Span("7d", "7 days", "hour", 7 * 24),
        Span("30d", "30 days", "day", 30),
        Span("90d", "90 days", "day", 90),
    )
}


@attrs.frozen
class Question:
    """What is asked.

    Args:
        span: Which time.
        by: The dimension of the table.
        narrow: Words that narrow it, with their texts.
        live: Whether the page keeps itself up to date.
    """

    span: Span = RANGES[DEFAULT]
    by: str = "model"
    narrow: Mapping[str, str] = attrs.field(factory=dict)
    live: bool = True

    @classmethod
    def read(cls, query: Mapping[str, Sequence[str]], words: Sequence[str]) -> Self:
        """What the query of an address asks; fields that a form has left empty ask nothing.

        Raises:
            InvalidRequestError: it asks for what there is not.
        """
        given = {name: texts[-1].strip() for name, texts in query.items() if texts and texts[-1].strip()}
        span = RANGES.get(given.pop("range", DEFAULT))
        if span is None:
            raise InvalidRequestError(f"range: choose one of {', '.join(RANGES)}", param="range")
        by = given.pop("by", "model")
        if by not in NARROWED and not (by.startswith(PROPERTY) and by != PROPERTY):
            raise InvalidRequestError(f"by: {by[:64]!r} is no dimension", param="by")
        live = given.pop("live", "on") != "off"
        return cls(span, by, {name: given[name] for name in words if name in given}, live)

    def words(self, zone: str) -> dict[str, Sequence[str]]:
        """The words that narrow, as the gateway is asked."""
        return {"zone": [zone], **{name: [text] for name, text in self.narrow.items()}}

    def link(self, **changes: str | None) -> str:
        """The query that asks the same but for some words; None leaves a word out."""
        said: dict[str, str | None] = {
            "range": None if self.span.name == DEFAULT else self.span.name,
            "by": None if self.by == "model" else self.by,
            **self.narrow,
            "live": None if self.live else "off",
            **changes,
        }
        written = urlencode({name: text for name, text in said.items() if text is not None})
        return f"?{written}" if written else ""
