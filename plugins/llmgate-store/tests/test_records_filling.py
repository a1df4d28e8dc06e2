"""Costs that become known later: in the records, in what they add up to, and once."""

from __future__ import annotations

import asyncio

import attrs
import sqlalchemy as sa
from llmgate_store.database import Database
from llmgate_store.records import tables
from record_bench import expected, make_records, open_logger, put

from llmgate.spec import Record, RecordFilter, RecordQuery, StageContext, UsageQuery

PENDING = {"llmgate.mapping": "pending"}
FILLED = {"llmgate.mapping": "back-filled"}


def waiting(one: Record) -> Record:
    attempts = tuple(attrs.evolve(each, cost_nano=None) for each in one.attempts)
    return attrs.evolve(one, cost_nano=None, attempts=attempts, metadata=PENDING)


def reckoned(one: Record) -> Record:
    attempts = tuple(attrs.evolve(each, cost_nano=7_000) for each in one.attempts)
    return attrs.evolve(one, cost_nano=7_000 * len(attempts), attempts=attempts, metadata=FILLED)


def reckon(one: Record) -> Record | None:
    """Prices are known now for every model but one."""
    return None if one.attempts[-1].model == "gemini-flash" else reckoned(one)


async def test_what_becomes_known_is_written_once_however_many_look(
    url: str, context: StageContext, database: Database
) -> None:
    plain = make_records(900)
    records = [waiting(one) if number % 3 else one for number, one in enumerate(plain)]
    first, second = await open_logger(url, context), await open_logger(url, context)
    await put(first, records)
    filled = await asyncio.gather(first.fill_costs(reckon), second.fill_costs(reckon))
    after = [reckon(one) or one if one.metadata == PENDING else one for one in records]
    wanted = sum(one.metadata == FILLED for one in after)
    assert wanted > 200, "several pages"
    assert sum(filled) == wanted
    assert await first.fill_costs(reckon) == 0
    for query in (UsageQuery(), UsageQuery(by=("model",)), UsageQuery(by=("user",)), UsageQuery(by=("day",))):
        report = await second.usage(query)
        assert {tuple(row.group): row.tally for row in report.rows} == expected(after, query)
    page = await second.find_records(RecordQuery(RecordFilter(housekeeping=True), limit=900))
    assert {one.id: one for one in page.records} == {one.id: one for one in after}
    costs = sa.select(sa.func.count()).where(tables.attempts.c.cost_nano == 7_000)
    async with database.read() as connection:
        assert (await connection.execute(costs)).scalar_one() == sum(
            len(one.attempts) for one in after if one.metadata == FILLED
        )
    await first.aclose()
    await second.aclose()
