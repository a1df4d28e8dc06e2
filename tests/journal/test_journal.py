"""Written before the answer ends, kept until delivered, within bounds, whatever the disk does."""

from __future__ import annotations

import asyncio
import os
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from journal.conftest import FailingDisk, Sink, until
from llmgate.journal import Journal, JournalError
from llmgate.journal.disk import Disk
from llmgate.journal.fileset import FileSet
from llmgate.spec import PluginError, Record
from llmgate.testing.samples import sample_record

pytestmark = pytest.mark.usefixtures("quick")


async def keep(journal: Journal, record: Record, *, final: bool = False) -> None:
    kept = journal.write(record, final=final)
    if kept is not None:
        await journal.wait(kept)


async def opened(journal: Journal, *sinks: tuple[str, Sink]) -> list[Any]:
    await journal.open()
    couriers = [journal.courier(key, key, sink) for key, sink in sinks]
    for courier in couriers:
        courier.start()
    return couriers


async def closed(journal: Journal) -> None:
    for courier in journal.couriers:
        await courier.aclose()
    await journal.aclose()


def lines(path: Path) -> str:
    return "".join(one.read_text() for one in sorted(path.glob("*/*.segment")))


@pytest.mark.parametrize("sync", ["group", "os", "always"])
async def test_a_record_is_on_the_file_when_its_write_is_over(tmp_path, journal_at, sync) -> None:
    journal = journal_at(tmp_path, sync=sync)
    await opened(journal, ("sink", Sink()))
    records = [sample_record() for _ in range(20)]
    for record in records[:3]:
        await keep(journal, record)
        assert record.id in lines(tmp_path)
    await asyncio.gather(*(keep(journal, record) for record in records[3:]))
    assert all(record.id in lines(tmp_path) for record in records)
    await closed(journal)


async def test_those_that_wait_at_once_are_synced_together(tmp_path, journal_at) -> None:
    syncs, gate = [], threading.Event()

    class Slow(Disk):
        def sync(self, descriptor: int) -> None:
            gate.wait(10)
            syncs.append(descriptor)
            super().sync(descriptor)

    journal = journal_at(tmp_path, Slow(), sync="group")
    await opened(journal, ("sink", Sink()))
    waiting = [asyncio.create_task(keep(journal, sample_record())) for _ in range(100)]
    await asyncio.sleep(0.05)
    assert not any(one.done() for one in waiting), "nobody is answered before the disk has it"
    gate.set()
    await asyncio.gather(*waiting)
    assert len(syncs) <= 2
    await closed(journal)


async def test_who_comes_alone_waits_for_nobody(tmp_path, journal_at, monkeypatch) -> None:
    monkeypatch.setattr("llmgate.journal.journal.GATHER", 3600.0)
    journal = journal_at(tmp_path, sync="group")
    await opened(journal, ("sink", Sink()))
    for _ in range(3):
        await asyncio.wait_for(keep(journal, sample_record()), 60)
    await closed(journal)


async def test_behind_records_that_came_together_a_sync_waits_for_its_turn(tmp_path, journal_at, monkeypatch) -> None:
    monkeypatch.setattr("llmgate.journal.journal.GATHER", 0.2)
    syncs: list[float] = []

    class Noting(Disk):
        def sync(self, descriptor: int) -> None:
            syncs.append(time.monotonic())
            super().sync(descriptor)

    journal = journal_at(tmp_path, Noting(), sync="group")
    await opened(journal, ("sink", Sink()))
    for _ in range(2):
        await asyncio.gather(*(keep(journal, sample_record()) for _ in range(5)))
    first, second = syncs
    assert second - first > 0.1
    await closed(journal)


async def test_whoever_leaves_while_a_record_is_written_takes_nothing_away(tmp_path, journal_at) -> None:
    journal, sink = journal_at(tmp_path, sync="group"), Sink()
    (courier,) = await opened(journal, ("sink", sink))
    records = [sample_record() for _ in range(20)]
    waiting = [asyncio.create_task(keep(journal, record)) for record in records]
    await asyncio.sleep(0)
    for one in waiting[::2]:
        one.cancel()
    await asyncio.gather(*waiting, return_exceptions=True)
    await until(lambda: courier.backlog == 0 and len(sink.kept) == 20)
    assert sink.kept == [record.id for record in records]
    await closed(journal)


@pytest.mark.parametrize("sync", ["group", "os", "always"])
async def test_whichever_operation_fails_every_record_is_delivered_once(tmp_path, journal_at, sync) -> None:
    number = 0
    while True:
        number += 1
        disk, sink = FailingDisk(), Sink()
        journal = journal_at(tmp_path / str(number), disk, sync=sync, segment_size=3000, max_size=12_000_000)
        (courier,) = await opened(journal, ("sink", sink))
        disk.count, disk.numbers = 0, {number}
        records = [sample_record() for _ in range(8)]
        for record in records:
            await keep(journal, record)
        await until(lambda: courier.backlog == 0)  # noqa: B023 - called at once
        assert sorted(sink.kept) == [record.id for record in records]
        await closed(journal)
        if number > disk.count:
            break
    assert number > 10


async def test_a_full_disk_is_served_on_and_said_once(tmp_path, journal_at, caplog) -> None:
    disk, sink = FailingDisk(), Sink()
    journal = journal_at(tmp_path, disk, sync="group")
    (courier,) = await opened(journal, ("sink", sink))
    disk.full = disk.half = True
    records = [sample_record() for _ in range(30)]
    for record in records[:20]:
        await keep(journal, record)
    assert journal.down
    assert not journal.refuses
    assert journal.failed == 20
    await until(lambda: len(sink.kept) == 20)
    disk.full = False
    for record in records[20:]:
        await keep(journal, record)
    await until(lambda: courier.backlog == 0)
    assert sink.kept == [record.id for record in records]
    assert not journal.down
    assert caplog.text.count("cannot be written") == 1
    await closed(journal)


async def test_what_the_disk_does_not_take_is_bounded_in_memory(tmp_path, journal_at, monkeypatch) -> None:
    monkeypatch.setattr("llmgate.journal.courier.MAX_UNWRITTEN", 5)
    disk, sink = FailingDisk(), Sink()
    journal = journal_at(tmp_path, disk)
    (courier,) = await opened(journal, ("sink", sink))
    disk.full = sink.down = True
    for _ in range(12):
        await keep(journal, sample_record())
    assert (courier.backlog, courier.dropped) == (5, 7)
    await closed(journal)


@pytest.mark.parametrize("sync", ["group", "os"])
async def test_a_full_disk_is_refused_where_that_is_wanted(tmp_path, journal_at, sync) -> None:
    disk, sink = FailingDisk(), Sink()
    journal = journal_at(tmp_path, disk, sync=sync, refuse=True)
    (courier,) = await opened(journal, ("sink", sink))
    await keep(journal, sample_record())
    disk.full = True
    with pytest.raises(JournalError):
        await keep(journal, sample_record())
    assert journal.refuses
    refused = sample_record()
    try:
        await keep(journal, refused, final=True)
    except JournalError:
        assert sync == "group", "whoever is over does not mind"
    await until(lambda: refused.id in sink.kept)
    assert len(sink.kept) == 2, "what was not accepted is nobody's record"
    disk.full = False
    await keep(journal, sample_record())
    assert not journal.refuses
    await until(lambda: courier.backlog == 0)
    await closed(journal)


async def test_a_disk_that_hangs_is_waited_for_so_long_and_no_longer(tmp_path, journal_at, monkeypatch) -> None:
    monkeypatch.setattr("llmgate.journal.journal.PATIENCE", 0.05)
    gate = threading.Event()

    class Hanging(Disk):
        def sync(self, descriptor: int) -> None:
            gate.wait(10)

    journal, sink = journal_at(tmp_path, Hanging(), sync="group"), Sink()
    await opened(journal, ("sink", sink))
    record = sample_record()
    await keep(journal, record)
    assert journal.down
    gate.set()
    await until(lambda: sink.kept == [record.id])
    await closed(journal)


async def test_beyond_the_bound_the_oldest_are_dropped_and_counted(tmp_path, journal_at, caplog) -> None:
    journal, sink = journal_at(tmp_path, max_size=40_000, segment_size=5000), Sink()
    sink.down = True
    (courier,) = await opened(journal, ("sink", sink))
    records = [sample_record() for _ in range(200)]
    for record in records:
        await keep(journal, record)
    held = sum(one.stat().st_size for one in tmp_path.glob("*/*.segment"))
    assert held <= 46_000
    assert courier.dropped + courier.backlog == 200
    assert "records.journal.max-size" in caplog.text
    sink.down = False
    await until(lambda: courier.backlog == 0)
    assert sink.kept == [record.id for record in records[courier.dropped :]]
    await closed(journal)


async def test_the_records_of_a_dead_process_are_adopted_once(tmp_path, journal_at) -> None:
    dead = journal_at(tmp_path)
    await opened(dead, ("sink", down := Sink()), ("gone", gone := Sink()))
    down.down = gone.down = True
    records = [sample_record() for _ in range(30)]
    for record in records:
        await keep(dead, record)
    dead._files.close()  # as the system does with a process that is killed
    with next(tmp_path.glob("*/*.segment")).open("ab") as file:
        file.write(b'000000ff 12345678 {"id":"torn')
    ours = [journal_at(tmp_path) for _ in range(2)]
    sinks = [Sink(), Sink()]
    for journal, sink in zip(ours, sinks, strict=True):
        await opened(journal, ("sink", sink))
    await until(lambda: sum(len(sink.kept) for sink in sinks) == 30)
    assert sorted(sink.kept for sink in sinks) == [[], [record.id for record in records]]
    assert sum(journal.damaged > 0 for journal in ours) == 1
    for journal in ours:
        await closed(journal)
    left = [one.name for one in tmp_path.iterdir()]
    assert len(left) == 1, "what is kept for a logger that is configured no more stays"
    again, sink = journal_at(tmp_path), Sink()
    await opened(again, ("gone", sink))
    await until(lambda: len(sink.kept) == 30)
    await closed(again)
    assert not list(tmp_path.iterdir())
    await closed(dead)


async def test_a_record_of_another_version_is_put_aside(tmp_path, journal_at) -> None:
    dead = journal_at(tmp_path)
    await opened(dead, ("sink", sink := Sink()))
    sink.down = True
    from llmgate.journal.frames import frame_of

    good = sample_record()
    await keep(dead, good)
    with next(tmp_path.glob("*/*.segment")).open("ab") as file:
        file.write(frame_of(b'{"format":99,"id":"x"}') + frame_of(b"no json"))
    dead._files.close()
    journal, sink = journal_at(tmp_path), Sink()
    (courier,) = await opened(journal, ("sink", sink))
    await until(lambda: sink.kept == [good.id] and courier.backlog == 0)
    await until(lambda: len(list(tmp_path.glob("*-*"))) == 1)
    assert '"format":99' in (tmp_path / "unreadable").read_text()
    await closed(journal)
    await closed(dead)


async def test_values_that_json_cannot_say_do_not_lose_a_record(tmp_path, journal_at) -> None:
    journal, sink = journal_at(tmp_path), Sink()
    await opened(journal, ("sink", sink))
    odd = sample_record(request_model="a\udc80b", metadata={"x\udc80": "\ud800"}, duration=float("nan"))
    await keep(journal, odd)
    await until(lambda: sink.kept == [odd.id])
    await closed(journal)


async def test_a_directory_that_cannot_be_used_is_said_at_start(tmp_path, journal_at) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(PluginError, match=r"records\.journal: .*file/journal cannot be used"):
        await journal_at(tmp_path / "file" / "journal").open()


async def test_after_the_end_nothing_is_written_and_nothing_fails(tmp_path, journal_at) -> None:
    journal = journal_at(tmp_path)
    await opened(journal, ("sink", Sink()))
    await closed(journal)
    assert journal.write(sample_record()) is None


def test_the_lock_of_a_process_is_gone_with_it(tmp_path) -> None:
    """What adoption rests on: however a process ends, the system lets go of its lock."""
    child = os.fork()
    if child == 0:
        FileSet.create(tmp_path, "one", Disk())
        os.kill(os.getpid(), 9)
    os.waitpid(child, 0)
    adopted = FileSet.adopt(tmp_path / "one", Disk())
    assert adopted is not None
    adopted.remove()
