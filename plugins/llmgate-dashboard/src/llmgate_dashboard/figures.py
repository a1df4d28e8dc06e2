"""What the first page shows: the sums of a time, how they came about, and who shares in them."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Mapping, Sequence
from typing import Any, Final

import attrs

from llmgate.spec import Histogram, Tally, UsageReport, Visitor

from .questions import Question

__all__ = ["Figures", "Row", "Series", "ask_figures"]

_ROWS: Final = 50
"""Groups of the table."""


@attrs.frozen
class Row:
    """A line of the table.

    Args:
        name: What the records of the group have in common; None where they have nothing there.
        tally: What they add up to.
        share: Of all that was spent, or of all requests where nothing was, in hundredths.
    """

    name: str | None
    tally: Tally
    share: float

    @property
    def p95(self) -> float | None:
        """Seconds that 95 of 100 requests do not exceed."""
        return percentile(self.tally, 0.95)


@attrs.frozen
class Series:
    """How the figures came about: what each part of the time adds up to."""

    beginnings: Sequence[float]
    tallies: Sequence[Tally]

    def as_json(self, *names: str) -> str:
        """Moments and some columns, as the script reads them."""
        return json.dumps([list(self.beginnings), *(self.column(name) for name in names)], separators=(",", ":"))

    def rows(self, names: Sequence[str]) -> Sequence[tuple[float, Sequence[float | None]]]:
        """The same as lines of a table, the latest first."""
        columns = [self.column(name) for name in names]
        lines = [(moment, list(values)) for moment, *values in zip(self.beginnings, *columns, strict=True)]
        return lines[::-1]

    def column(self, name: str) -> Sequence[float | None]:
        """One figure of each part: a sum by its name, ``answered``, ``usd``, or a percentile such as ``p95``."""
        return [_figure(tally, name) for tally in self.tallies]


@attrs.frozen
class Figures:
    """What the first page shows.

    Args:
        total: All together.
        series: By hours or days.
        rows: By the dimension that was asked for.
        left_out: How many groups are not among the rows.
        deployments: How the deployments do.
    """

    total: Tally
    series: Series
    rows: Sequence[Row]
    left_out: int
    deployments: Sequence[Mapping[str, Any]]


async def ask_figures(visitor: Visitor, question: Question, now: float, zone: dt.tzinfo) -> Figures:
    """The figures as a visitor may see them.

    Raises:
        GatewayError: the gateway cannot be asked.
    """
    span = question.span
    beginnings, labels = span.beginnings(now, zone), span.labels(now, zone)
    words = {**question.words(str(zone)), "since": [f"{beginnings[0]:.0f}"]}
    course = await visitor.usage({**words, "by": [span.period], "limit": [str(span.count + 2)]})
    groups = await visitor.usage({**words, "by": [question.by], "limit": [str(_ROWS)]})
    found = {row.group[0]: row.tally for row in course.rows}
    return Figures(
        total=course.total,
        series=Series(beginnings, [found.get(label, Tally()) for label in labels]),
        rows=_rows(groups),
        left_out=groups.left_out,
        deployments=await visitor.deployments(),
    )


def _rows(report: UsageReport) -> Sequence[Row]:
    money = report.total.cost_nano
    whole = money or report.total.requests or 1
    rows = [
        Row(row.group[0], row.tally, 100 * (row.tally.cost_nano if money else row.tally.requests) / whole)
        for row in report.rows
    ]
    return sorted(rows, key=lambda row: (-row.tally.cost_nano, -row.tally.requests))


def percentile(tally: Tally, share: float) -> float | None:
    """Seconds that a share of the requests does not exceed."""
    return Histogram(tally.durations).percentile(share)


def _figure(tally: Tally, name: str) -> float | None:
    if name == "answered":
        return tally.requests - tally.errors
    if name == "usd":
        return tally.cost_nano / 1e9
    if name.startswith("p"):
        return percentile(tally, int(name[1:]) / 100)
    value: int = getattr(tally, name)
    return value
