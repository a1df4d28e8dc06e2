"""At least once, in order, with nothing lost whatever the logger does."""

from __future__ import annotations

import asyncio

import attrs
import pytest

from journal.conftest import FailingDisk, Sink, until
from llmgate.journal import Courier, Journal
from llmgate.spec import Record
from llmgate.testing.samples import sample_record

pytestmark = pytest.mark.usefixtures("quick")


def begun(journal: Journal, sink: Sink, key: str = "sink") -> Courier:
    courier = journal.courier(f"loggers[{key}]", key, sink)
    courier.start()
    return courier


def write(journal: Journal, count: int) -> list[str]:
    records = [sample_record() for _ in range(count)]
    for record in records:
        journal.write(record)
    return [record.id for record in records]


@pytest.fixture
async def journal(tmp_path, journal_at):
    made = journal_at(tmp_path / "journal", segment_size=8000, max_size=10_000_000)
    await made.open()
    yield made
    for courier in made.couriers:
        await courier.aclose()
    await made.aclose()


async def test_records_are_brought_in_order_and_the_backlog_runs_empty(journal) -> None:
    sink = Sink()
    courier = begun(journal, sink)
    ids = write(journal, 700)
    assert courier.backlog == 700
    await until(lambda: courier.backlog == 0)
    assert sink.kept == sink.seen == ids
    assert (courier.delivered, courier.failed, courier.dropped, courier.failing) == (700, 0, 0, False)


async def test_a_logger_that_fails_gets_everything_again_and_nobody_else_waits(journal) -> None:
    down, well = Sink(), Sink()
    down.down = True
    courier, other = begun(journal, down, "down"), begun(journal, well, "well")
    ids = write(journal, 50)
    await until(lambda: other.backlog == 0 and courier.failed >= 3)
    assert (well.kept, down.kept, courier.backlog) == (ids, [], 50)
    assert courier.failing
    ids += write(journal, 20)
    down.down = False
    await until(lambda: courier.backlog == 0)
    assert down.kept == ids
    assert down.repeats >= 3
    assert not courier.failing


async def test_what_is_no_longer_in_memory_comes_from_disk(journal, monkeypatch) -> None:
    monkeypatch.setattr("llmgate.journal.journal.MAX_RECENT", 10)
    sink = Sink()
    sink.down = True
    courier = begun(journal, sink)
    ids = write(journal, 300)
    await until(lambda: courier.failed >= 2)
    sink.down = False
    await until(lambda: courier.backlog == 0)
    assert sink.kept == ids


async def test_segments_that_everybody_has_are_removed(journal, tmp_path) -> None:
    fast, slow = Sink(), Sink()
    slow.down = True
    quick, waiting = begun(journal, fast, "fast"), begun(journal, slow, "slow")
    write(journal, 100)
    await until(lambda: quick.backlog == 0)
    segments = list((tmp_path / "journal").glob("*/*.segment"))
    assert len(segments) > 5
    slow.down = False
    await until(lambda: waiting.backlog == 0)
    assert len(list((tmp_path / "journal").glob("*/*.segment"))) == 1


async def test_a_record_that_nobody_can_take_is_put_aside_and_the_others_come(journal, tmp_path, caplog) -> None:
    sink = Sink()
    courier = begun(journal, sink)
    bad = sample_record()
    sink.refused = {bad.id}
    before = write(journal, 20)
    journal.write(bad)
    after = write(journal, 20)
    await until(lambda: courier.backlog == 0)
    assert sink.kept == before + after
    assert courier.dropped == 1
    assert bad.id in (tmp_path / "journal" / "unreadable").read_text()
    assert bad.id in caplog.text


async def test_a_sink_that_is_down_is_told_from_a_record_that_is_bad(journal) -> None:
    sink = Sink()
    sink.down = True
    courier = begun(journal, sink)
    ids = write(journal, 3)
    await until(lambda: courier.failed >= 12)
    assert (courier.dropped, courier.backlog) == (0, 3)
    sink.down = False
    await until(lambda: courier.backlog == 0)
    assert sink.kept == ids


class Returning(Sink):
    """Does not take a record five times, and is then there again: just when the one behind it is tried."""

    def __init__(self, suspect: str) -> None:
        super().__init__()
        self.suspect, self.left = suspect, 5

    async def record(self, record: Record) -> None:
        if record.id == self.suspect and self.left:
            self.left -= 1
            raise OSError("the sink is down")
        await super().record(record)


async def test_a_good_record_is_not_blamed_for_a_sink_that_comes_back_in_between(journal, tmp_path, caplog) -> None:
    suspect = sample_record()
    sink = Returning(suspect.id)
    courier = begun(journal, sink)
    journal.write(suspect)
    after = write(journal, 3)
    await until(lambda: courier.backlog == 0)
    assert sorted(sink.kept) == sorted([suspect.id, *after]), "nothing is lost, and nothing there twice"
    assert (courier.dropped, courier.delivered) == (0, 4)
    assert not (tmp_path / "journal" / "unreadable").exists()
    assert "put aside" not in caplog.text


async def test_a_logger_that_replaces_another_goes_on_where_that_one_was(journal) -> None:
    first, second = Sink(), Sink()
    first.down = True
    old = begun(journal, first)
    ids = write(journal, 10)
    await until(lambda: old.failed >= 1)
    new = begun(journal, second)
    assert journal.brings(new)
    assert not journal.brings(old)
    ids += write(journal, 10)
    await until(lambda: new.backlog == 0)
    assert (second.kept, first.kept) == (ids, [])
    await old.aclose()
    assert old.backlog == 0


async def test_closing_brings_what_waits_and_leaves_what_nobody_takes(tmp_path, journal_at) -> None:
    journal, sink = journal_at(tmp_path / "j"), Sink()
    await journal.open()
    courier = begun(journal, sink)
    ids = write(journal, 30)
    await courier.aclose()
    await courier.aclose()
    await journal.aclose()
    await journal.aclose()
    assert sink.kept == ids
    assert not list((tmp_path / "j").iterdir())


async def test_a_logger_that_hangs_does_not_hold_up_the_end(tmp_path, journal_at, monkeypatch) -> None:
    monkeypatch.setattr("llmgate.journal.courier.CLOSE_TIMEOUT", 0.1)
    journal, sink = journal_at(tmp_path / "j"), Sink()

    async def hang(record) -> None:
        await asyncio.Event().wait()

    monkeypatch.setattr(sink, "record", hang)
    await journal.open()
    courier = begun(journal, sink)
    ids = write(journal, 5)
    await asyncio.sleep(0.01)
    await courier.aclose()
    assert courier.backlog == 5
    await journal.aclose()
    again, next_sink = journal_at(tmp_path / "j"), Sink()
    await again.open()
    courier = begun(again, next_sink)
    await until(lambda: next_sink.kept == ids)
    assert next_sink.repeats == 1, "they may have come before"
    await courier.aclose()
    await again.aclose()
    assert not list((tmp_path / "j").iterdir())


async def test_cursors_that_cannot_be_written_cost_repeats_and_nothing_else(tmp_path, journal_at) -> None:
    disk = FailingDisk()
    journal, sink = journal_at(tmp_path / "j", disk), Sink()
    await journal.open()
    courier = begun(journal, sink)
    disk.put = lambda *_: (_ for _ in ()).throw(OSError(28, "full"))  # type: ignore[method-assign]
    ids = write(journal, 5)
    await until(lambda: courier.backlog == 0)
    assert sink.kept == ids
    await courier.aclose()
    await journal.aclose()


async def test_what_waits_is_told_in_records_bytes_and_time_also_from_disk(journal, tmp_path, monkeypatch) -> None:
    monkeypatch.setattr("llmgate.journal.journal.MAX_RECENT", 5)
    sink = Sink()
    sink.down = True
    courier = begun(journal, sink)
    first = attrs.evolve(sample_record(), started_at=1000.0, duration=1.0)
    for record in (first, *(sample_record() for _ in range(60))):
        journal.write(record)
    await until(lambda: courier.failed >= 2)
    size = sum(one.stat().st_size for one in (tmp_path / "journal").rglob("*.segment"))
    assert await courier.depth() == (61, size, 1001.0)
    assert await courier.depth() == (61, size, 1001.0)
    sink.down = False
    await until(lambda: courier.backlog == 0)
    assert await courier.depth() == (0, 0, None)
