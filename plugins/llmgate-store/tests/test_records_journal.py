"""The logger ``sql`` behind a real journal: a database that is away under load, and a restart meanwhile."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import attrs
import pytest
import sqlalchemy as sa
from falling_door import FallingDoor
from llmgate_store.database import Database
from llmgate_store.records import tables
from llmgate_store.records.book import RecordBook
from llmgate_store.records.logger import SqlRecords
from record_bench import NOON, expected, make_records, open_logger

from llmgate.journal import Courier, Journal, JournalSettings
from llmgate.spec import Record, StageContext, SystemClock, UsageQuery

SECONDS = float(os.environ.get("LLMGATE_OUTAGE", "1"))
"""How long the database is away."""
EVERY = 0.005
PATIENCE = 60 + 2 * SECONDS


@asynccontextmanager
async def process(path: Path, url: str, context: StageContext) -> AsyncIterator[tuple[Journal, Courier, SqlRecords]]:
    """What a process has of records, from its start to its end."""
    journal = Journal(JournalSettings(path), SystemClock())
    await journal.open()
    logger = await open_logger(url, context, batch=100, write_timeout=2.0, patience=0.5)
    courier = journal.courier("loggers[0]", "sql", logger)
    courier.start()
    try:
        yield journal, courier, logger
    finally:
        await courier.aclose()
        await logger.aclose()
        await journal.aclose()


async def load(journal: Journal, records: Sequence[Record], over: asyncio.Event | None = None) -> Sequence[Record]:
    """Have records written as a busy gateway does, whatever becomes of the database; those that were in time."""
    for number, record in enumerate(records):
        if over is not None and over.is_set():
            return records[:number]
        kept = journal.write(record)
        if kept is not None:
            await journal.wait(kept)
        await asyncio.sleep(EVERY)
    return records


async def brought(courier: Courier) -> None:
    async with asyncio.timeout(PATIENCE):
        while courier.backlog:  # noqa: ASYNC110 - nobody tells of it
            await asyncio.sleep(0.05)


@pytest.fixture
def order(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The ids of records in the order in which they were committed."""
    committed: list[str] = []
    write = RecordBook.write

    async def writing(self: RecordBook, records: Sequence[Record]) -> int:
        number = await write(self, records)
        committed.extend(one.id for one in records)
        return number

    monkeypatch.setattr(RecordBook, "write", writing)
    return committed


def in_turn(count: int) -> list[Record]:
    return [attrs.evolve(one, started_at=NOON + number) for number, one in enumerate(make_records(count))]


async def counted(database: Database) -> int:
    async with database.read() as connection:
        return int((await connection.execute(sa.select(sa.func.count()).select_from(tables.exchanges))).scalar_one())


async def check(logger: SqlRecords, database: Database, records: Sequence[Record]) -> None:
    assert await counted(database) == len(records)
    query = UsageQuery(by=("model",))
    report = await logger.usage(query)
    assert {tuple(row.group): row.tally for row in report.rows} == expected(records, query)


@pytest.mark.timeout(120 + 4 * SECONDS)
async def test_a_database_that_is_away_under_load_loses_nothing_and_the_backlog_comes_in_order(
    url: str, context: StageContext, database: Database, tmp_path: Path, order: list[str]
) -> None:
    door = FallingDoor(url)
    await door.lift()
    records: Sequence[Record] = in_turn(round((SECONDS + 1) / EVERY))
    async with process(tmp_path / "journal", door.url, context) as (journal, courier, logger):
        over = asyncio.Event()  # how many come in so long depends on what else the machine does
        loading = asyncio.ensure_future(load(journal, records, over))
        await asyncio.sleep(0.3)
        await door.drop()
        await asyncio.sleep(SECONDS)
        assert courier.backlog, "what comes meanwhile waits"
        await door.lift()
        await asyncio.sleep(0.3)
        over.set()
        records = await loading
        await brought(courier)
        assert courier.dropped == 0
        await check(logger, database, records)
    assert list(dict.fromkeys(order)) == [one.id for one in records]
    await door.leave()


@pytest.mark.timeout(180)
async def test_a_restart_while_the_database_is_away_loses_nothing_either(
    url: str, context: StageContext, database: Database, tmp_path: Path, order: list[str]
) -> None:
    door: Any = FallingDoor(url)
    await door.lift()
    records = in_turn(150)
    async with process(tmp_path / "journal", door.url, context) as (journal, courier, logger):
        await load(journal, records[:50])
        await brought(courier)
        await door.drop()
        await load(journal, records[50:100])
    await door.lift()
    async with process(tmp_path / "journal", door.url, context) as (journal, courier, logger):
        await load(journal, records[100:])
        async with asyncio.timeout(PATIENCE):
            while await counted(database) < len(records):  # noqa: ASYNC110 - as above
                await asyncio.sleep(0.05)
        await brought(courier)
        await check(logger, database, records)
    once = list(dict.fromkeys(order))
    assert [one for one in once if one in {each.id for each in records[:100]}] == [one.id for one in records[:100]]
    await door.leave()
