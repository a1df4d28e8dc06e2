"""Makes the blocks that questions by several dimensions are answered from, beside whatever else goes on."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Final

import sqlalchemy as sa

from llmgate.spec import Tally
from llmgate_store.database import Database

from .blocks import Block, Cells, Days, Wanted, beside, kept_blocks, pieces, row_of, totals_of_days
from .book import upsert
from .tables import usage_blocks
from .usage import cells_of_day

__all__ = ["MOST_CELLS", "MOST_KINDS", "build_blocks"]

MOST_CELLS: Final = 50_000
"""Combinations of values that a block may have; days with more are counted from the exchanges each time."""
MOST_KINDS: Final = 24
"""Sets of dimensions that blocks are kept by."""
_CHANGED: Final = ("requests", "cost_nano", "cost_unknown", "sums", "histograms")
_A_CELL: Final = 100
"""Characters that one combination is written as, about."""
_PAUSE: Final = 0.01
"""Seconds between two blocks, in which others have the database for themselves."""


async def build_blocks(database: Database, wanted: Wanted, timeout: float, futile: set[tuple[str, int]]) -> int:
    """Make the blocks that are not kept, or do not say any more what is so.

    Args:
        database: Open.
        wanted: Which.
        timeout: Seconds that each question and each transaction may take.
        futile: Days whose exchanges are known not to add up to what was counted, since some of them are gone; more
            are added.

    Returns:
        How many were made.
    """
    async with database.read(timeout) as connection:
        kinds = await connection.execute(sa.select(usage_blocks.c.dimensions).distinct())
        known = set(kinds.scalars())
        if wanted.dimensions not in known and len(known) >= MOST_KINDS:
            return 0
        days = await totals_of_days(connection, wanted.first, wanted.end)
        kept = await kept_blocks(connection, wanted.dimensions, wanted.first, wanted.end, days)
    builder = _Builder(database, wanted.dimensions, days, kept, timeout, futile)
    for block in pieces(wanted.first, wanted.end):
        await builder.ensure(block)
    return builder.made


class _Builder:
    """Makes blocks, the small ones first.

    Args:
        database: Open.
        dimensions: By what.
        days: The totals of the days.
        kept: Blocks that are there.
        timeout: See ``build_blocks``.
        futile: See there.
    """

    def __init__(
        self,
        database: Database,
        dimensions: str,
        days: Days,
        kept: set[Block],
        timeout: float,
        futile: set[tuple[str, int]],
    ) -> None:
        self._database, self._dimensions, self._days, self._kept = database, dimensions, days, kept
        self._timeout, self._futile = timeout, futile
        self.made = 0

    async def ensure(self, block: Block) -> bool:
        """Make a block unless it is there; False where it cannot be."""
        if block in self._kept or not block.totals(self._days)[0]:
            return True
        parts = block.parts()
        if parts:
            there = [await self.ensure(one) for one in parts]
            if not all(there):
                return False
            cells = await self._together([one for one in parts if one in self._kept])
        elif (self._dimensions, block.first) in self._futile:
            return False
        else:
            async with self._database.read(self._timeout) as connection:
                cells = await cells_of_day(connection, self._dimensions, block.first)
        return await self._keep(block, cells)

    async def _together(self, blocks: list[Block]) -> Mapping[str, Tally]:
        async with self._database.read(self._timeout) as connection:
            added = Cells(connection, self._dimensions)
            for block in blocks:
                await added.add(block)
            cells = await asyncio.to_thread(lambda: dict(added.tallies()))
            await added.add_histograms(cells)
        return cells

    async def _keep(self, block: Block, cells: Mapping[str, Tally]) -> bool:
        row = None
        if len(cells) <= MOST_CELLS:
            row = await beside(len(cells) * _A_CELL, row_of, self._dimensions, block, cells)
        told = None if row is None else (row["requests"], row["cost_nano"], row["cost_unknown"])
        if row is None or told != block.totals(self._days):
            if block.days == 1:
                self._futile.add((self._dimensions, block.first))
            return False
        async with self._database.write(self._timeout) as connection:
            await connection.execute(upsert(connection, usage_blocks, _CHANGED), [row])
        self._kept.add(block)
        self.made += 1
        await asyncio.sleep(_PAUSE)
        return True
