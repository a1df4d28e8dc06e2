"""Questions by several dimensions: from blocks of days once somebody has asked, and never otherwise than counted."""

from __future__ import annotations

from collections.abc import Sequence

import attrs
import pytest
import sqlalchemy as sa
from hypothesis import given, strategies as st
from llmgate_store.records import building
from llmgate_store.records.blocks import Block, _as_number, _unpacked, pieces
from llmgate_store.records.logger import SqlRecords
from llmgate_store.records.retention import Retention
from llmgate_store.records.tables import usage_blocks
from record_bench import NOON, expected, make_records, open_logger, put

from llmgate.spec import SUMS, Record, RecordFilter, StageContext, Tally, UsageQuery

DAY = 86400.0
RECORDS = make_records(1500, days=40.0)
QUERIES = [
    UsageQuery(by=("model", "user"), limit=5000),
    UsageQuery(by=("user", "model"), filter=RecordFilter(since=NOON - 30.5 * DAY, until=NOON - 1.25 * DAY)),
    UsageQuery(by=("model", "user"), filter=RecordFilter(since=NOON - 3 * DAY, until=NOON - 2.9 * DAY)),
    UsageQuery(by=("model", "team", "user"), filter=RecordFilter(since=NOON - 25 * DAY)),
    UsageQuery(by=("model",), filter=RecordFilter(equal={"team": "red"})),
    UsageQuery(by=("model",), filter=RecordFilter(equal={"team": ""})),
    UsageQuery(by=(), filter=RecordFilter(equal={"team": "red", "model": "gpt-4o"})),
    UsageQuery(by=("day", "model", "user"), limit=5000),
    UsageQuery(by=("month", "team", "model")),
    UsageQuery(by=("team", "user"), filter=RecordFilter(equal={"user": "ann"})),
]


@pytest.fixture(autouse=True)
def noon(context: StageContext, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is noon of the last day."""
    monkeypatch.setattr(type(context.clock), "now", lambda _: NOON)


async def ask(logger: SqlRecords, query: UsageQuery, records: Sequence[Record]) -> bool:
    """See that a question is answered right; whether blocks are being made for it now."""
    before = logger._building
    report = await logger.usage(query)
    wanted = expected(records, query)
    assert {tuple(row.group): row.tally for row in report.rows} == wanted, query
    assert report.total.cost_nano == sum(one.cost_nano for one in wanted.values()), query
    return logger._building is not before


async def built(logger: SqlRecords) -> None:
    assert logger._building is not None
    await logger._building


async def blocks(logger: SqlRecords) -> list[tuple[str, int, int]]:
    assert logger._database is not None
    row = usage_blocks.c
    async with logger._database.read() as connection:
        found = await connection.execute(sa.select(row.dimensions, row.days, row.first_day))
        return [tuple(one) for one in found]


async def test_every_question_is_answered_from_blocks_as_if_counted_one_by_one(url: str, context: StageContext):
    logger = await open_logger(url, context, batch=500)
    await put(logger, RECORDS)
    for query in QUERIES:
        if await ask(logger, query, RECORDS):
            await built(logger)
            assert not await ask(logger, query, RECORDS), "what has been made is used, and not made again"
    kept = await blocks(logger)
    assert {one[0] for one in kept} == {"model user", "model team user", "model team"}
    assert {one[1] for one in kept} >= {1, 4, 16}
    await logger.aclose()


async def test_what_comes_late_counts_at_once(url: str, context: StageContext):
    logger, (query, *_) = await open_logger(url, context, batch=500), QUERIES
    await put(logger, RECORDS[10:])
    assert await ask(logger, query, RECORDS[10:])
    await built(logger)
    await put(logger, RECORDS[:10])
    assert await ask(logger, query, RECORDS), "the blocks of its day are worth nothing"
    await built(logger)
    assert not await ask(logger, query, RECORDS)
    await logger.aclose()


async def test_a_cost_that_is_filled_in_counts_at_once(url: str, context: StageContext):
    pending = {"llmgate.mapping": "pending"}
    waiting = [
        attrs.evolve(one, cost_nano=None, metadata=pending) if one.cost_nano is None else one for one in RECORDS[:300]
    ]
    logger, (query, *_) = await open_logger(url, context, batch=500), QUERIES
    await put(logger, waiting)
    assert await ask(logger, query, waiting)
    await built(logger)
    assert await logger.fill_costs(lambda one: attrs.evolve(one, cost_nano=7)) > 0
    filled = [attrs.evolve(one, cost_nano=7) if one.cost_nano is None else one for one in waiting]
    assert await ask(logger, query, filled)
    await logger.aclose()


async def test_days_that_cannot_be_counted_any_more_are_not_tried_again_and_again(url: str, context: StageContext):
    logger, (query, *_) = await open_logger(url, context, batch=500), QUERIES
    await put(logger, RECORDS)
    assert logger._database is not None
    retention = Retention(logger._database, context.clock, 30)
    await retention.records(20 * DAY)
    await logger.usage(query)
    await built(logger)
    known = set(logger._futile)
    assert known
    assert all(days == 1 or first + days <= NOON // DAY for _, days, first in await blocks(logger))
    await logger.usage(query)
    await built(logger)
    assert logger._futile == known
    await retention.usage(5 * DAY)
    assert {first for _, _, first in await blocks(logger)} <= set(range(int(NOON // DAY) - 5, int(NOON // DAY)))
    await logger.aclose()


async def test_there_is_a_bound_to_what_is_kept(url: str, context: StageContext, monkeypatch: pytest.MonkeyPatch):
    logger = await open_logger(url, context, batch=500)
    await put(logger, RECORDS[:200])
    monkeypatch.setattr(building, "MOST_KINDS", 1)
    for by in (("model", "user"), ("model", "team")):
        await ask(logger, UsageQuery(by=by), RECORDS[:200])
        await built(logger)
    assert {one[0] for one in await blocks(logger)} == {"model user"}
    monkeypatch.setattr(building, "MOST_KINDS", 9)
    monkeypatch.setattr(building, "MOST_CELLS", 0)
    await ask(logger, UsageQuery(by=("model", "team")), RECORDS[:200])
    await built(logger)
    assert {one[0] for one in await blocks(logger)} == {"model user"}
    await logger.aclose()


async def test_who_closes_while_blocks_are_made_waits_for_none(url: str, context: StageContext):
    logger, (query, *_) = await open_logger(url, context, batch=500), QUERIES
    await put(logger, RECORDS[:100])
    await logger.usage(query)
    task = logger._building
    assert task is not None
    await logger.aclose()
    assert task.done()
    again = await open_logger(url, context)
    assert await ask(again, query, RECORDS[:100])
    await again.aclose()


@given(st.integers(0, 30_000), st.integers(0, 700))
def test_days_are_covered_once_by_few_blocks(first: int, count: int):
    found = list(pieces(first, first + count))
    assert [day for one in found for day in range(one.first, one.end)] == list(range(first, first + count))
    assert len(found) <= 18 + count // 64
    for one in found:
        assert one.first % one.days == 0
        assert [part.days for part in one.parts()] == ([] if one.days == 1 else [one.days // 4] * 4)


@given(st.lists(st.lists(st.integers(-(2**36), 2**36), min_size=len(SUMS), max_size=len(SUMS)), max_size=5))
def test_sums_in_one_number_add_up_each_by_itself(rows: list[list[int]]):
    tallies = [Tally(**dict(zip(SUMS, row, strict=True))) for row in rows]
    whole = Tally()
    for one in tallies:
        whole.merge(one)
    assert _unpacked(sum(_as_number(one) for one in tallies)) == whole


def test_a_block_is_worth_the_totals_of_its_days():
    assert Block(4, 4).totals({3: (1, 1, 1), 4: (2, 3, 0), 7: (1, 10, 1), 8: (9, 9, 9)}) == (3, 13, 1)
