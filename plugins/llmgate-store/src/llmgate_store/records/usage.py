"""Answers what records add up to: from hours and days that are added up already, else from the exchanges."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Any, Final

import attrs
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from llmgate.spec import (
    PERIODS,
    PROPERTY,
    SUMS,
    RecordFilter,
    Tally,
    UsageQuery,
    UsageReport,
    UsageRow,
    period_of,
)
from llmgate_store.database import Database

from .choosing import conditions_of
from .packing import unpack_into
from .rows import COLUMNS, EVERYTHING
from .spans import Stretch, hours_fit, stretch_of
from .tables import exchanges, properties, usage_tallies

__all__ = ["usage_report"]

Group = tuple[str | None, ...]

_QUARTER: Final = 900
_MOST_NAMED: Final = 400
"""Groups whose histograms are asked for by name; where there are more, all are read."""


async def usage_report(database: Database, query: UsageQuery, now: float, timeout: float) -> UsageReport:
    """What records add up to; see ``RecordReader.usage``.

    Args:
        database: Open.
        query: The question.
        now: Seconds since the epoch.
        timeout: Seconds that the answer may take.
    """
    async with database.read(timeout) as connection:
        question = _Question(connection, query, now)
        groups = await question.groups()
        order = sorted(groups, key=lambda group: question.rank(group, groups[group]))
        dropped = max(0, len(order) - query.limit)
        # With a period the latest groups stay, else the dearest, which come first.
        shown = order[dropped:] if question.period else order[: query.limit]
        await question.add_histograms({group: groups[group] for group in shown})
        if not query.by:
            total = groups.get((), Tally())
        elif any(one.startswith(PROPERTY) for one in query.by):
            total = Tally()
            for tally in groups.values():
                total.merge(tally)
        else:
            whole = _Question(connection, attrs.evolve(query, by=()), now)
            sums = await whole.groups()
            await whole.add_histograms(sums)
            total = sums.get((), Tally())
    return UsageReport([UsageRow(group, groups[group]) for group in shown], total, dropped)


class _Question:
    """One question, and how it is answered.

    Args:
        connection: Whom to ask.
        query: What.
        now: Seconds since the epoch.
    """

    def __init__(self, connection: AsyncConnection, query: UsageQuery, now: float) -> None:
        self._connection = connection
        self._query = query
        self._now = now
        self.period = next((one for one in query.by if one in PERIODS), None)
        self._names = [one for one in query.by if one not in PERIODS]
        self._dimension = self._added_up_by()
        self._stretch: Stretch | None = None if self._dimension is None else stretch_of(query, self.period, now)

    def _added_up_by(self) -> str | None:
        """The dimension whose rows have the answer; None where only the exchanges have."""
        wanted = self._query.filter
        named = {*self._names, *wanted.equal}
        if len(named) > 1 or not wanted.only_equal:
            return None
        if self.period and not hours_fit(self._query.zone, wanted.since, wanted.until, self._now):
            return None
        return next(iter(named), EVERYTHING)

    def rank(self, group: Group, tally: Tally) -> Any:
        """Where a group stands: by time, then the dearest, the most used, by name."""
        names = tuple(one or "" for one in group)
        time = names[self._query.by.index(self.period)] if self.period else ""
        return time, -tally.cost_nano, -tally.requests, names

    def _group(self, values: Sequence[str | None], moment: float | None) -> Group:
        rest = iter(values)
        return tuple(
            period_of(moment or 0, one, self._query.zone) if one in PERIODS else next(rest) or None
            for one in self._query.by
        )

    async def groups(self) -> dict[Group, Tally]:
        """The sums of every group. Exchanges that are looked at one by one have their histograms, too."""
        found: dict[Group, Tally] = {}
        if self._stretch is None:
            await self._from_exchanges(self._query.filter, found)
            return found
        await self._from_tallies(self._stretch, found)
        for since, until in self._stretch.edges:
            await self._from_exchanges(attrs.evolve(self._query.filter, since=since, until=until), found)
        return found

    def _spanned(self, stretch: Stretch, asked: sa.Select[Any]) -> sa.Select[Any] | sa.CompoundSelect[Any]:
        """A question to the rows of every span, each by its own stretch of the primary key.

        With the spans in one condition, joined by OR, SQLite reads every row of the dimension.
        """
        row = usage_tallies.c
        asked = asked.where(row.dimension == self._dimension)
        asked = asked.where(*(row.value == value for value in self._query.filter.equal.values()))
        each = [
            asked.where(row.grain == one.grain, row.starts_at >= one.first, row.starts_at < one.end)
            for one in stretch.spans
        ]
        return each[0] if len(each) == 1 else sa.union_all(*each)

    def _tallied(self, key: Sequence[Any]) -> Group:
        """The group of a row of what is added up already, by its value and its hour, whichever are asked for."""
        return self._group(key[: len(self._names)], key[-1] * 3600 if self.period else None)

    async def _from_tallies(self, stretch: Stretch, found: dict[Group, Tally]) -> None:
        if not stretch.spans:
            return
        row = usage_tallies.c
        keys = [*([row.value] if self._names else []), *([row.starts_at] if self.period else [])]
        sums = [sa.func.sum(row[name]).label(name) for name in SUMS]
        asked = self._spanned(stretch, sa.select(*keys, *sums).group_by(*keys))
        for one in await self._connection.execute(asked):
            _add_sums(found, self._tallied(one[: len(keys)]), one[len(keys) :])

    async def add_histograms(self, groups: dict[Group, Tally]) -> None:
        """Add the histograms of what is added up already to groups that have their sums."""
        stretch = self._stretch
        if stretch is None or not stretch.spans or not groups:
            return
        row = usage_tallies.c
        keys = [*([row.value] if self._names else []), *([row.starts_at] if self.period else [])]
        asked = sa.select(*keys, row.durations, row.first_contents)
        if self._names and len(groups) <= _MOST_NAMED:
            place = self._query.by.index(self._names[0])
            asked = asked.where(row.value.in_(sorted({group[place] or "" for group in groups})))
        packed: dict[tuple[Any, ...], tuple[list[str], list[str]]] = defaultdict(lambda: ([], []))
        for *key, durations, first_contents in await self._connection.execute(self._spanned(stretch, asked)):
            parts = packed[tuple(key)]
            parts[0].append(durations)
            parts[1].append(first_contents)
        for key, (durations, first_contents) in packed.items():
            tally = groups.get(self._tallied(key))
            if tally is not None:
                unpack_into(" ".join(durations), tally.durations)
                unpack_into(" ".join(first_contents), tally.first_contents)

    async def _from_exchanges(self, wanted: RecordFilter, found: dict[Group, Tally]) -> None:
        row, keys, source = exchanges.c, [], exchanges
        for number, name in enumerate(self._names):
            if name.startswith(PROPERTY):
                known = properties.alias()
                named = self._followed(known.c.name) == name.removeprefix(PROPERTY).lower()
                its_own = known.c.exchange_id == self._followed(row.id)
                source = source.join(known, sa.and_(its_own, named))  # type: ignore[assignment]
                keys.append(known.c.value.label(f"k{number}"))
            else:
                keys.append(row[COLUMNS[name]].label(f"k{number}"))
        if self.period:
            step = self._step()
            keys.append((row.quarter - row.quarter % step).label("step"))
        conditions = conditions_of(wanted)
        for extra, columns in ((None, _SUMMED), ("duration_bucket", ()), ("first_content_bucket", ())):
            more = [] if extra is None else [row[extra].label("bucket"), sa.func.count().label("times")]
            grouped = [*(sa.literal_column(key.name) for key in keys), *([] if extra is None else [row[extra]])]
            asked = sa.select(*keys, *more, *columns).select_from(source).where(*conditions).group_by(*grouped)
            for one in await self._connection.execute(asked):
                self._take(one, extra, found, len(keys) - (self.period is not None))

    def _followed(self, column: sa.ColumnElement[Any]) -> sa.ColumnElement[Any]:
        """A column of a join that begins with the exchanges, as no index of it leads elsewhere.

        SQLite keeps no statistics, and would begin with every value of a property where an hour is asked for.
        """
        return column.concat("") if self._connection.dialect.name == "sqlite" else column

    def _take(self, row: Any, extra: str | None, found: dict[Group, Tally], names: int) -> None:
        keys = names + (self.period is not None)
        group = self._group(row[:names], row[names] * _QUARTER if self.period else None)
        if extra is None:
            _add_sums(found, group, row[keys:])
            return
        bucket, times = row[keys:]
        if bucket is not None:
            tally = found.get(group) or found.setdefault(group, Tally())
            counts = tally.durations if extra == "duration_bucket" else tally.first_contents
            counts[bucket] = counts.get(bucket, 0) + int(times)

    def _step(self) -> int:
        """How many quarters of an hour are one step of time."""
        wanted = self._query.filter
        return 4 if hours_fit(self._query.zone, wanted.since, wanted.until, self._now) else 1


def _add_sums(found: dict[Group, Tally], group: Group, values: Sequence[Any]) -> None:
    """Add sums, in the order of ``SUMS``, to those of a group; nothing where no exchange is in them."""
    sums: dict[str, Any] = {name: int(value or 0) for name, value in zip(SUMS, values, strict=True)}
    if not sums["requests"]:
        return
    if group in found:
        found[group].merge(Tally(**sums))
    else:
        found[group] = Tally(**sums)


def _sum(column: Any, name: str) -> sa.ColumnElement[Any]:
    return sa.func.coalesce(sa.func.sum(column), 0).label(name)


_ROW: Final = exchanges.c
_SUMMED: Final = (
    sa.func.count().label("requests"),
    _sum(sa.case((_ROW.outcome.in_(("error", "incomplete")), 1), else_=0), "errors"),
    _sum(sa.case((_ROW.cache.in_(("hit", "stale")), 1), else_=0), "cache_hits"),
    *(_sum(_ROW[name], name) for name in ("input_tokens", "output_tokens", "cache_read", "cache_write", "reasoning")),
    _sum(_ROW.cost_nano, "cost_nano"),
    _sum(sa.case((_ROW.cost_nano.is_(None), 1), else_=0), "cost_unknown"),
    _sum(_ROW.duration_us, "duration_us"),
)
