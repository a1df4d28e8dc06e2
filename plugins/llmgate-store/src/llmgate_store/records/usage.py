"""Answers what records add up to: from hours and days that are added up already, else from the exchanges."""

from __future__ import annotations

import datetime as dt
import math
from collections import defaultdict
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
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

from .blocks import (
    DIMENSIONS_AT_MOST,
    Block,
    Cells,
    Wanted,
    dimensions_key,
    kept_blocks,
    key_of,
    pieces,
    totals_of_days,
)
from .choosing import conditions_of
from .packing import unpack_into
from .rows import COLUMNS, EVERYTHING, fitted
from .spans import Stretch, hours_fit, stretch_of
from .tables import exchanges, properties, usage_tallies

__all__ = ["cells_of_day", "usage_report"]

Group = tuple[str | None, ...]

_QUARTER: Final = 900
_A_DAY: Final = 86400.0
_MOST_NAMED: Final = 400
"""Groups whose histograms are asked for by name; where there are more, all are read."""
_FOUND_AT_ONCE: Final = "user"
"""A dimension of so many values that the exchanges of one are found sooner by their index than any block is read."""


async def usage_report(
    database: Database, query: UsageQuery, now: float, timeout: float, missed: Callable[[Wanted], None] = lambda _: None
) -> UsageReport:
    """What records add up to; see ``RecordReader.usage``.

    Args:
        database: Open.
        query: The question.
        now: Seconds since the epoch.
        timeout: Seconds that the answer may take.
        missed: Is told of blocks that would have made it quicker.
    """
    async with database.read(timeout) as connection:
        question = _Question(connection, query, now)
        groups = await question.groups()
        order = sorted(groups, key=lambda group: question.rank(group, groups[group]))
        dropped = max(0, len(order) - query.limit)
        # With a period the latest groups stay, else the dearest, which come first.
        shown = order[dropped:] if question.period else order[: query.limit]
        await question.add_histograms({group: groups[group] for group in shown})
        if question.missed is not None:
            missed(question.missed)
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


async def cells_of_day(connection: AsyncConnection, dimensions: str, day: int) -> Mapping[str, Tally]:
    """What the exchanges of a day (UTC) add up to by several dimensions, counted one by one.

    Args:
        connection: Whom to ask.
        dimensions: By what, see ``blocks.dimensions_key``.
        day: Days since the epoch.
    """
    wanted = RecordFilter(since=day * _A_DAY, until=(day + 1) * _A_DAY)
    question = _Question(connection, UsageQuery(by=dimensions.split(" "), filter=wanted), day * _A_DAY)
    return {key_of(group): tally for group, tally in (await question.counted(wanted)).items()}


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
        self._blocked = self._kept_by()
        self._cells: list[tuple[float, Cells]] = []
        self.missed: Wanted | None = None
        """Blocks that would have made it quicker; None where all are there."""

    def _added_up_by(self) -> str | None:
        """The dimension whose rows have the answer; None where only the exchanges have."""
        wanted = self._query.filter
        named = {*self._names, *wanted.equal}
        if len(named) > 1 or not wanted.only_equal:
            return None
        if self.period and not hours_fit(self._query.zone, wanted.since, wanted.until, self._now):
            return None
        return next(iter(named), EVERYTHING)

    def _kept_by(self) -> Sequence[str]:
        """The dimensions whose blocks have the answer for whole days; none where only the exchanges have."""
        named = {*self._names, *self._query.filter.equal}
        if self._stretch is not None or not 1 < len(named) <= DIMENSIONS_AT_MOST or not self._query.filter.only_equal:
            return ()
        if any(one.startswith(PROPERTY) for one in named) or _FOUND_AT_ONCE in self._query.filter.equal:
            return ()
        timed = self.period is not None and (self.period == "hour" or self._query.zone is not dt.UTC)
        return () if timed else sorted(named)

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
        if self._blocked:
            await self._from_blocks(found)
            return found
        if self._stretch is None:
            return await self.counted(self._query.filter)
        await self._from_tallies(self._stretch, found)
        for since, until in self._stretch.edges:
            await self._from_exchanges(attrs.evolve(self._query.filter, since=since, until=until), found)
        return found

    async def counted(self, wanted: RecordFilter) -> dict[Group, Tally]:
        """The sums and the histograms of every group, counted from the exchanges."""
        found: dict[Group, Tally] = {}
        await self._from_exchanges(wanted, found)
        return found

    async def _from_blocks(self, found: dict[Group, Tally]) -> None:
        """Whole days from the blocks that are kept, all else from the exchanges."""
        wanted, dimensions = self._query.filter, dimensions_key(self._blocked)
        since = 0.0 if wanted.since is None else max(0.0, wanted.since)
        last = self._now if wanted.until is None else min(self._now, wanted.until)
        first, end = math.ceil(since / _A_DAY), math.floor(last / _A_DAY)
        days = await totals_of_days(self._connection, first, end)
        first = min(days, default=end)
        kept = await kept_blocks(self._connection, dimensions, first, end, days)
        covering = list(pieces(first, end, largest=1) if self.period else pieces(first, end))
        taken = [one for block in covering for one in _those_kept(block, kept)]
        if any(block not in kept and block.totals(days)[0] for block in covering):
            self.missed = Wanted(dimensions, first, end)
        cells = Cells(self._connection, dimensions)
        for block in taken:
            if self.period or not self._cells:
                cells = Cells(self._connection, dimensions)
                self._cells.append((block.first * _A_DAY, cells))
            await cells.add(block)
        for moment, one in self._cells:
            for key, tally in one.tallies():
                group = self._group_of(key, moment)
                if group is not None:
                    _add(found, group, tally)
        for from_moment, to_moment in _beside(taken, wanted.since, wanted.until):
            await self._from_exchanges(attrs.evolve(wanted, since=from_moment, until=to_moment), found)

    def _group_of(self, key: str, moment: float) -> Group | None:
        """The group of the key of a block; None where it is left out."""
        values = dict(zip(self._blocked, key.split("\x00"), strict=True))
        if any(values[name] != (fitted(value) or "") for name, value in self._query.filter.equal.items()):
            return None
        return self._group([values[name] for name in self._names], moment)

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
        for moment, cells in self._cells:
            await cells.add_histograms(self._by_key(groups, moment))
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

    def _by_key(self, groups: Mapping[Group, Tally], moment: float) -> Mapping[str, Tally]:
        """Groups by their keys in blocks, with a period those of its moment."""
        equal, found = self._query.filter.equal, {}
        for group, tally in groups.items():
            values = dict(zip(self._query.by, group, strict=True))
            if self.period is None or values[self.period] == period_of(moment, self.period, self._query.zone):
                key = key_of([fitted(equal[name]) if name in equal else values[name] for name in self._blocked])
                found[key] = tally
        return found

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
    if sums["requests"]:
        _add(found, group, Tally(**sums))


def _add(found: dict[Group, Tally], group: Group, tally: Tally) -> None:
    if group in found:
        found[group].merge(tally)
    else:
        found[group] = tally


def _those_kept(block: Block, kept: Collection[Block]) -> Iterator[Block]:
    """Of a block itself, or else of its parts, those that are kept."""
    if block in kept:
        yield block
        return
    for part in block.parts():
        yield from _those_kept(part, kept)


def _beside(
    blocks: Sequence[Block], since: float | None, until: float | None
) -> Iterator[tuple[float | None, float | None]]:
    """The stretches of time between moments that no block covers."""
    place = since
    for block in blocks:
        if place is None or place < block.first * _A_DAY:
            yield place, block.first * _A_DAY
        place = block.end * _A_DAY
    if place is None or until is None or place < until:
        yield place, until


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
