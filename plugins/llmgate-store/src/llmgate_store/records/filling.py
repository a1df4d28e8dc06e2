"""Costs that were unknown for want of a price, written anew: in the records, and in what they add up to."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from llmgate.spec import Record
from llmgate_store.database import Database

from .rows import Cell, bounded_cost, places_of
from .tables import attempts, exchange_records, exchanges, usage_tallies

__all__ = ["fill_costs"]

_PENDING: Final = '"llmgate.mapping":"pending"'
_PAGE: Final = 200
"""Records that are looked at, and written, at once."""


async def fill_costs(database: Database, reckon: Callable[[Record], Record | None], timeout: float) -> int:
    """Write anew what can be reckoned now; see ``RecordReader.fill_costs``.

    Args:
        database: Open.
        reckon: See there.
        timeout: Seconds that each question and each transaction may take.
    """
    filled, behind = 0, ""
    while True:
        async with database.read(timeout) as connection:
            page = await _page(connection, behind)
        known = [new for new in (reckon(one) for one in page.values()) if new is not None and new.cost_nano is not None]
        if known:
            async with database.write(timeout) as connection:
                filled += await _fill(connection, known)
        if len(page) < _PAGE:
            return filled
        behind = max(page)


async def _page(connection: AsyncConnection, behind: str) -> Mapping[str, Record]:
    """The next records that wait for a price, by their ids as they are kept."""
    row, whole = exchanges.c, exchange_records.c
    joined = exchanges.join(exchange_records, whole.exchange_id == row.id)
    asked = sa.select(row.id, whole.record).select_from(joined)
    waits = (row.id > behind, row.cost_nano.is_(None), whole.record.contains(_PENDING, autoescape=True))
    found = await connection.execute(asked.where(*waits).order_by(row.id).limit(_PAGE))
    return {one.id: Record.from_json(json.loads(one.record)) for one in found}


async def _fill(connection: AsyncConnection, records: Sequence[Record]) -> int:
    """Write the costs of records that have none yet; those that somebody else has just written are left alone."""
    filled = []
    for record in sorted(records, key=lambda one: one.id):
        record_id = record.id[:64]
        still = (exchanges.c.id == record_id, exchanges.c.cost_nano.is_(None))
        changed = await connection.execute(sa.update(exchanges).where(*still).values(cost_nano=record.cost_nano))
        if changed.rowcount != 1:
            continue
        filled.append(record)
        text = json.dumps({**record.as_json(), "content": None}, separators=(",", ":"))
        await connection.execute(
            sa.update(exchange_records).where(exchange_records.c.exchange_id == record_id).values(record=text)
        )
        for number, one in enumerate(record.attempts):
            its_own = (attempts.c.exchange_id == record_id, attempts.c.number == number)
            await connection.execute(sa.update(attempts).where(*its_own).values(cost_nano=one.cost_nano))
    await _count(connection, filled)
    return len(filled)


async def _count(connection: AsyncConnection, records: Sequence[Record]) -> None:
    """Add up the costs; rows are taken in the order in which every writer takes them."""
    costs: Counter[Cell] = Counter()
    times: Counter[Cell] = Counter()
    for record in records:
        for cell in places_of(record):
            costs[cell] += bounded_cost(record.cost_nano)
            times[cell] += 1
    row = usage_tallies.c
    for dimension, grain, starts_at, value in sorted(times):
        cell = (dimension, grain, starts_at, value)
        key: tuple[Any, ...] = (
            row.dimension == dimension,
            row.grain == grain,
            row.starts_at == starts_at,
            row.value == value,
        )
        changes = {"cost_nano": row.cost_nano + costs[cell], "cost_unknown": row.cost_unknown - times[cell]}
        await connection.execute(sa.update(usage_tallies).where(*key).values(**changes))
