"""What whole days add up to by several dimensions together: blocks of 1, 4, 16 and 64 days (UTC).

A block is kept once somebody has asked for its dimensions, and writers of records know nothing of it: it counts only
while its totals are those of the same days in ``usage_tallies``, which every writer keeps. So a record that comes late,
or a cost that is filled in, makes the blocks of its day worth nothing until they are made anew.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import Any, Final, TypeVar

import attrs
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from llmgate.codecs.jsons import dumps, loads
from llmgate.spec import SUMS, Tally

from .packing import pack, unpack_into
from .rows import DAY, EVERYTHING
from .tables import usage_blocks, usage_tallies

__all__ = [
    "DIMENSIONS_AT_MOST",
    "Block",
    "Cells",
    "Days",
    "Wanted",
    "beside",
    "dimensions_key",
    "kept_blocks",
    "key_of",
    "pieces",
    "row_of",
    "totals_of_days",
]

DIMENSIONS_AT_MOST: Final = 3
"""Dimensions that a block is kept by."""
_GROWTH: Final = 4
_LARGEST: Final = 64
_BETWEEN: Final = "\x00"
"""What stands between the values of a key; no value has it, see ``rows.fitted``."""
_MUCH: Final = 32 * 1024
_FEW: Final = 40
_MANY: Final = 72
_ORDER: Final = ("requests", "cost_nano", "duration_us", "input_tokens", "output_tokens")
_PACKED: Final = (*_ORDER, *(name for name in SUMS if name not in _ORDER))
"""The sums as one large number holds them, those that are often 0 at its upper end."""
_BITS: Final = {name: _FEW if name in ("requests", "errors", "cache_hits", "cost_unknown") else _MANY for name in SUMS}

T = TypeVar("T")
Totals = tuple[int, int, int]
"""Requests, their cost, and how many of them have none that is known."""
Days = Mapping[int, Totals]
"""The totals of days, by their number since the epoch; days without requests are left out."""


@attrs.frozen(order=True)
class Block:
    """Some days, of which the first is a multiple of their number.

    Args:
        first: Days since the epoch.
        days: How many.
    """

    first: int
    days: int

    @property
    def end(self) -> int:
        """The day behind it."""
        return self.first + self.days

    def parts(self) -> Sequence[Block]:
        """The smaller blocks that it consists of; none for a single day."""
        size = self.days // _GROWTH
        return [Block(first, size) for first in range(self.first, self.end, size)] if size else ()

    def totals(self, days: Days) -> Totals:
        """What its days add up to."""
        found = [days[day] for day in range(self.first, self.end) if day in days]
        return sum(one[0] for one in found), sum(one[1] for one in found), sum(one[2] for one in found)


@attrs.frozen
class Wanted:
    """Blocks that somebody would have liked to have.

    Args:
        dimensions: By what, see ``dimensions_key``.
        first: The first day.
        end: The day behind the last.
    """

    dimensions: str
    first: int
    end: int


def pieces(first: int, end: int, *, largest: int = _LARGEST) -> Iterator[Block]:
    """The largest blocks that cover some days.

    Args:
        first: The first day.
        end: The day behind the last.
        largest: Days of a block at most.
    """
    while first < end:
        size = largest
        while size > 1 and (first % size or first + size > end):
            size //= _GROWTH
        yield Block(first, size)
        first += size


def dimensions_key(dimensions: Collection[str]) -> str:
    """What a set of dimensions is called in the table."""
    return " ".join(sorted(dimensions))


def key_of(values: Sequence[str | None]) -> str:
    """The key of the exchanges that have some values, in the order of the names of their dimensions."""
    return _BETWEEN.join([one or "" for one in values])


async def totals_of_days(connection: AsyncConnection, first: int, end: int) -> dict[int, Totals]:
    """The totals of days as every writer keeps them; see ``Days``."""
    row = usage_tallies.c
    asked = sa.select(row.starts_at, row.requests, row.cost_nano, row.cost_unknown).where(
        row.dimension == EVERYTHING, row.grain == DAY, row.starts_at >= first * DAY, row.starts_at < end * DAY
    )
    return {
        one.starts_at // DAY: (one.requests, one.cost_nano, one.cost_unknown)
        for one in await connection.execute(asked)
        if one.requests
    }


async def kept_blocks(connection: AsyncConnection, dimensions: str, first: int, end: int, days: Days) -> set[Block]:
    """The blocks within some days that are kept and still say what is so.

    Args:
        connection: Whom to ask.
        dimensions: By what, see ``dimensions_key``.
        first: The first day.
        end: The day behind the last.
        days: The totals of these days.
    """
    row = usage_blocks.c
    asked = sa.select(row.first_day, row.days, row.requests, row.cost_nano, row.cost_unknown).where(
        row.dimensions == dimensions, row.first_day >= first, row.first_day < end
    )
    found = set()
    for one in await connection.execute(asked):
        block = Block(one.first_day, one.days)
        if block.end <= end and block.totals(days) == (one.requests, one.cost_nano, one.cost_unknown):
            found.add(block)
    return found


class Cells:
    """What exchanges add up to by the key of their values, added up from blocks.

    Args:
        connection: Whom to ask.
        dimensions: By what, see ``dimensions_key``.
    """

    def __init__(self, connection: AsyncConnection, dimensions: str) -> None:
        self._connection = connection
        self._dimensions = dimensions
        self._packed: dict[str, int] = {}
        self._keys: dict[Block, Sequence[str]] = {}

    async def add(self, block: Block) -> None:
        """Add the sums of a kept block."""
        text = await self._text(block, usage_blocks.c.sums)
        if text is not None:
            await beside(len(text), self._add, block, text)

    def _add(self, block: Block, text: str) -> None:
        said = loads(text.encode())
        packed, known = self._packed, self._packed.get
        self._keys[block] = keys = said["keys"]
        for key, number in zip(keys, said["sums"], strict=True):
            packed[key] = known(key, 0) + int(number, 16)

    def tallies(self) -> Iterator[tuple[str, Tally]]:
        """The keys, and their sums without histograms."""
        for key, packed in self._packed.items():
            yield key, _unpacked(packed)

    async def add_histograms(self, wanted: Mapping[str, Tally]) -> None:
        """Add the histograms of all blocks that were added to the tallies of some keys."""
        for block, keys in self._keys.items():
            text = await self._text(block, usage_blocks.c.histograms)
            if text is not None:
                await beside(len(text), _add_histograms, text, keys, wanted)

    async def _text(self, block: Block, column: Any) -> str | None:
        row = usage_blocks.c
        its_own = (row.dimensions == self._dimensions, row.days == block.days, row.first_day == block.first)
        found = (await self._connection.execute(sa.select(column).where(*its_own))).scalar_one_or_none()
        return None if found is None else str(found)


def _add_histograms(text: str, keys: Sequence[str], wanted: Mapping[str, Tally]) -> None:
    said = loads(text.encode())
    for key, durations, first_contents in zip(keys, said["durations"], said["first_contents"], strict=True):
        tally = wanted.get(key)
        if tally is not None:
            unpack_into(durations, tally.durations)
            unpack_into(first_contents, tally.first_contents)


async def beside(size: int, work: Callable[..., T], *arguments: Any) -> T:
    """Do some work, in a thread where it is much, so that requests go on meanwhile.

    Args:
        size: Characters that it looks at, about.
        work: What is done.
        *arguments: With what.
    """
    return await asyncio.to_thread(work, *arguments) if size > _MUCH else work(*arguments)


def row_of(dimensions: str, block: Block, cells: Mapping[str, Tally]) -> dict[str, Any]:
    """The row of a block, in ``usage_blocks``.

    Args:
        dimensions: By what, see ``dimensions_key``.
        block: Which.
        cells: What its exchanges add up to, by their keys.
    """
    tallies = cells.values()
    return {
        "dimensions": dimensions,
        "days": block.days,
        "first_day": block.first,
        "requests": sum(one.requests for one in tallies),
        "cost_nano": sum(one.cost_nano for one in tallies),
        "cost_unknown": sum(one.cost_unknown for one in tallies),
        "sums": dumps({"keys": list(cells), "sums": [f"{_as_number(one):x}" for one in tallies]}).decode(),
        "histograms": dumps(
            {
                "durations": [pack(one.durations) for one in tallies],
                "first_contents": [pack(one.first_contents) for one in tallies],
            }
        ).decode(),
    }


def _as_number(tally: Tally) -> int:
    number, place = 0, 0
    for name in _PACKED:
        number += getattr(tally, name) << place
        place += _BITS[name]
    return number


def _unpacked(number: int) -> Tally:
    sums: dict[str, Any] = {}
    for name in _PACKED:
        bits = _BITS[name]
        half = 1 << (bits - 1)
        sums[name] = value = ((number + half) & ((1 << bits) - 1)) - half
        number = (number - value) >> bits
    return Tally(**sums)
