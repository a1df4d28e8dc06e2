"""The logger of records: each once, in order, whatever the database and other processes do."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from pathlib import Path
from typing import Any

import attrs
import pytest
import sqlalchemy as sa
from falling_door import FallingDoor
from llmgate_store.database import Database
from llmgate_store.errors import StoreUnavailableError
from llmgate_store.records import tables
from llmgate_store.records.book import RecordBook, RecordsRefusedError
from llmgate_store.records.logger import SqlRecords
from record_bench import NOON, expected, make_records, open_logger, put
from store_bench import make_context

from llmgate.spec import Content, RecordContent, RecordQuery, StageContext, UsageQuery
from llmgate.testing import FakeClock
from llmgate.testing.samples import sample_record


async def _count(database: Database, table: sa.Table) -> int:
    async with database.read() as connection:
        return int((await connection.execute(sa.select(sa.func.count()).select_from(table))).scalar_one())


async def test_a_record_is_written_once_however_often_it_is_given(url: str, context: StageContext, database: Database):
    records = make_records(50)
    first, second = await open_logger(url, context), await open_logger(url, context)
    await put(first, [*records, *records])
    await asyncio.gather(put(first, records), put(second, records[:30]), put(second, records[20:]))
    assert await _count(database, tables.exchanges) == 50
    assert await _count(database, tables.attempts) == sum(len(one.attempts) for one in records)
    report = await second.usage(UsageQuery())
    assert report.total == expected(records, UsageQuery())[()]
    await first.aclose()
    await second.aclose()


async def test_as_many_records_as_there_are_are_written_each_with_its_own(
    url: str, context: StageContext, database: Database
):
    records = make_records(25 + 26 + 1 + 7 + 60)
    logger = await open_logger(url, context)
    start = 0
    for count in (25, 26, 1, 7, 60):  # of some tables 25 rows are inserted together
        await put(logger, records[start : start + count])
        start += count
        assert await _count(database, tables.exchanges) == start
    for one in records:
        kept = await logger.read_record(one.id)
        assert kept is not None
        assert kept.record == attrs.evolve(one, content=None)
    async with database.read() as connection:
        said = {
            tuple(row)
            for row in await connection.execute(sa.select(tables.attempts.c.exchange_id, tables.attempts.c.number))
        }
    assert said == {(one.id, number) for one in records for number in range(len(one.attempts))}
    await logger.aclose()


PROGRAM = """
import asyncio, sys
sys.path.insert(0, {tests!r})
from pathlib import Path
from record_bench import make_records, open_logger, put
from store_bench import SERVERS, make_context
async def main():
    logger = await open_logger({url!r}, make_context(Path("/")), batch=50)
    records = make_records(1250, seed=int(sys.argv[1])) + make_records(40, seed=99)
    for start in range(0, len(records), 43):
        await put(logger, records[start:start + 43])
    assert not logger.refused
    await logger.aclose()
asyncio.run(main())
"""


@pytest.mark.timeout(240)
async def test_four_processes_write_five_thousand_records(url: str, context: StageContext, database: Database):
    program = PROGRAM.format(tests=str(Path(__file__).parent), url=url)
    writers = [
        await asyncio.create_subprocess_exec(
            sys.executable, "-W", "error", "-c", program, str(seed), stderr=subprocess.PIPE
        )
        for seed in range(4)
    ]
    errors = await asyncio.gather(*(one.communicate() for one in writers))
    assert [one.returncode for one in writers] == [0] * 4, errors
    assert await _count(database, tables.exchanges) == 5040
    records = [one for seed in (0, 1, 2, 3) for one in make_records(1250, seed=seed)] + make_records(40, seed=99)
    logger = await open_logger(url, context)
    for query in (UsageQuery(by=("model",)), UsageQuery(by=("user",))):
        report = await logger.usage(query)
        assert {tuple(row.group): row.tally for row in report.rows} == expected(records, query)
    await logger.aclose()


@pytest.mark.timeout(300)
async def test_nothing_is_lost_while_the_database_is_away(url: str, context: StageContext, database: Database):
    door = FallingDoor(url)
    await door.lift()
    logger = await open_logger(door.url, context, batch=20, write_timeout=2.0, patience=0.5)
    records = [attrs.evolve(one, started_at=NOON + number) for number, one in enumerate(make_records(300))]
    failed = 0
    for number, one in enumerate(records):
        if number == 60:
            await door.drop()
        if number == 240:
            await door.lift()
        await logger.record(one)
        if (number % 10 == 9 and number < 120) or number > 280:
            try:
                await logger.flush()
            except StoreUnavailableError:
                failed += 1
    assert failed, "the database was away"
    for _ in range(200):  # the logger tries again by itself
        if await _count(database, tables.exchanges) == 300:
            break
        await asyncio.sleep(0.1)
    assert await _count(database, tables.exchanges) == 300
    await logger.flush()
    query = UsageQuery(by=("model",))
    report = await logger.usage(query)
    assert {tuple(row.group): row.tally for row in report.rows} == expected(records, query)
    await logger.aclose()
    await door.leave()


@pytest.mark.parametrize("kept_url", ["postgresql", "mariadb"], indirect=True)  # a file is not away
async def test_the_gateway_starts_while_the_database_is_away(url: str, context: StageContext, database: Database):
    door = FallingDoor(url)
    await door.lift()
    await door.drop()
    logger = await open_logger(door.url, context)
    await logger.record(sample_record())
    with pytest.raises(StoreUnavailableError):
        await logger.flush()
    with pytest.raises(StoreUnavailableError):
        await logger.find_records(RecordQuery())
    await door.lift()
    await logger.flush()
    assert await _count(database, tables.exchanges) == 1
    await logger.aclose()
    await door.leave()


async def test_what_waits_is_bounded_and_in_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    written: list[str] = []
    away = True

    async def write(_: Any, records: Any) -> int:
        if away:
            raise StoreUnavailableError("away")
        written.extend(one.id for one in records)
        return len(records)

    monkeypatch.setattr(RecordBook, "write", write)
    logger = await open_logger(
        f"sqlite:///{tmp_path}/x.db", make_context(tmp_path, clock=FakeClock()), batch=4, max_waiting=10
    )
    records = [sample_record() for _ in range(12)]
    for one in records[:10]:
        await logger.record(one)
    for one in records[10:]:
        with pytest.raises(StoreUnavailableError, match="too many wait"):
            await logger.record(one)
    await logger.record(records[0])
    away = False
    await logger.flush()
    assert written == [one.id for one in records[:10]]
    await logger.aclose()


async def test_large_contents_are_bounded_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    async def write(_: Any, __: Any) -> int:
        raise StoreUnavailableError("away")

    monkeypatch.setattr(RecordBook, "write", write)
    logger = await open_logger(f"sqlite:///{tmp_path}/x.db", make_context(tmp_path), max_waiting_bytes=100_000)
    large = RecordContent(Content(60_000, text="x" * 60_000), None)
    await logger.record(sample_record(content=large))
    with pytest.raises(StoreUnavailableError, match="too many wait"):
        await logger.record(sample_record(content=large))
    await logger.aclose()


async def test_a_record_that_is_refused_does_not_keep_back_the_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    written: list[str] = []

    async def write(_: Any, records: Any) -> int:
        if any(one.request_model == "bad" for one in records):
            raise RecordsRefusedError("DataError")
        written.extend(one.id for one in records)
        return len(records)

    monkeypatch.setattr(RecordBook, "write", write)
    logger = await open_logger(f"sqlite:///{tmp_path}/x.db", make_context(tmp_path))
    records = [sample_record(request_model="bad" if number in (3, 7) else "good") for number in range(10)]
    await put(logger, records)
    assert written == [one.id for one in records if one.request_model == "good"]
    assert logger.refused == 2
    await logger.aclose()


HOSTILE = "\x00\r\n\ud800%_\\'\"\u2028 \U0001f511 " + "x" * 5000


async def test_whatever_is_in_a_record_is_written(url: str, context: StageContext):
    logger = await open_logger(url, context)
    names = "operation surface error_code error_message principal client_address router request_model response_model"
    names += " finish_reason user session_id session_path session_name prompt_id user_agent key_id team cache"
    texts = dict.fromkeys(names.split(), HOSTILE)
    usage = attrs.evolve(sample_record().usage, input_tokens=2**70)  # type: ignore[type-var]
    properties = {HOSTILE: HOSTILE, "a": "1", "a ": "2", "\x00": ""}
    content = RecordContent(Content(3, text=HOSTILE, media_type=HOSTILE), Content(9, text=None))
    hostile = sample_record(**texts, properties=properties, usage=usage, content=content, cost_nano=2**63)
    await put(logger, [hostile, sample_record()])
    assert logger.refused == 0
    kept = await logger.read_record(hostile.id)
    assert kept is not None
    assert kept.record.request_model == HOSTILE
    assert kept.record.content is not None
    assert kept.record.content.response == Content(9, text=None)
    assert (await logger.usage(UsageQuery(by=("user",)))).total.requests == 2
    await logger.aclose()


async def test_no_record_makes_a_sum_that_nobody_can_read(url: str, context: StageContext):
    """A provider, or a caller who tells of calls, may count what it likes: others still see what theirs add up to."""
    logger = await open_logger(url, context)
    usage = attrs.evolve(sample_record().usage, input_tokens=2**63 - 1, output_tokens=2**80)  # type: ignore[type-var]
    hostile = [sample_record(user="m", usage=usage, cost_nano=2**63 - 1, started_at=NOON) for _ in range(40)]
    await put(logger, [*hostile, sample_record(user="a", started_at=NOON)])
    assert logger.refused == 0
    for asked in (UsageQuery(), UsageQuery(by=("user",)), UsageQuery(by=("user", "model")), UsageQuery(by=("hour",))):
        report = await logger.usage(asked)
        assert report.total.requests == 41, asked
        assert report.total.input_tokens > 40 * 10**12
    await logger.aclose()


async def test_two_records_of_one_second_with_values_that_differ_by_a_space(url: str, context: StageContext):
    logger = await open_logger(url, context)
    records = [sample_record(user=one, started_at=NOON) for one in ("a", "a ", "A", "ä", "a\u0308")]
    await put(logger, records)
    report = await logger.usage(UsageQuery(by=("user",)))
    assert sum(row.tally.requests for row in report.rows) == 5
    assert {row.group[0] for row in report.rows} == {"a", "A", "ä", "a\u0308"}
    await logger.aclose()


async def test_old_records_go_in_slices_and_what_they_add_up_to_stays(
    url: str, context: StageContext, database: Database
):
    clock = FakeClock()
    now = clock.now()
    content = RecordContent(Content(2, text="{}"), Content(2, text="{}"))
    sample = sample_record(content=content, properties={"a": "b"})
    old = [attrs.evolve(sample, id=f"old-{number}", started_at=now - 5000) for number in range(1203)]
    young = [attrs.evolve(sample, id=f"young-{number}", started_at=now - 50) for number in range(7)]
    logger = await open_logger(
        url, attrs.evolve(context, clock=clock), keep=3600.0, keep_content=60.0, sweep_every=10.0
    )
    await put(logger, [*old, *young])
    for _ in range(500):
        clock.advance(1.0)
        await asyncio.sleep(0.02)
        if await _count(database, tables.payloads) == 0:
            break
    for table, count in (
        (tables.exchanges, 7),
        (tables.exchange_records, 7),
        (tables.payloads, 0),
        (tables.properties, 7),
    ):
        assert await _count(database, table) == count, table.name
    assert (await logger.usage(UsageQuery())).total.requests == 1210
    await logger.aclose()


def test_the_logger_is_made_without_a_database():
    assert SqlRecords(SqlRecords.config_class()).refused == 0
