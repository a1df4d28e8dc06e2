"""Groups of records, written in a thread, one after another."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Sequence
from typing import Any

from llmgate.journal.commits import Commits, Group
from llmgate.journal.fileset import Position


class Slow:
    """A writer that waits for a gate, and fails for frames it does not like."""

    def __init__(self) -> None:
        self.gate = threading.Event()
        self.written: list[bytes] = []

    def write(self, frames: Sequence[bytes]) -> Sequence[Position]:
        self.gate.wait(10)
        if b"bad" in frames:
            raise OSError("no")
        self.written += frames
        return [Position(1, len(self.written))]


async def test_groups_are_written_in_order_and_told_of_in_the_event_loop() -> None:
    writer, told, all_told = Slow(), [], asyncio.Event()

    def tell(group: Group, ends: Sequence[Position], failure: OSError | None) -> None:
        told.append((group, list(ends), str(failure)))
        assert asyncio.get_running_loop()
        if len(told) == 3:
            all_told.set()

    commits = Commits(writer, tell)  # type: ignore[arg-type]
    groups = [Group(frames=[one]) for one in (b"a", b"bad", b"b")]
    for group in groups:
        commits.put(group)
    assert told == []
    writer.gate.set()
    async with asyncio.timeout(10):
        await all_told.wait()
    assert writer.written == [b"a", b"b"]
    assert told == [
        (groups[0], [Position(1, 1)], "None"),
        (groups[1], [], "no"),
        (groups[2], [Position(1, 2)], "None"),
    ]
    await asyncio.to_thread(commits.end, 10)


async def test_who_waits_for_a_group_goes_on_when_it_is_done_and_cancels_nobody() -> None:
    group = Group()
    waiting: list[asyncio.Task[Any]] = [asyncio.create_task(group.ended()) for _ in range(3)]
    await asyncio.sleep(0)
    waiting[1].cancel()
    await asyncio.sleep(0)
    assert [one.done() for one in waiting] == [False, True, False]
    group.done = True
    group.release()
    await asyncio.gather(*waiting, return_exceptions=True)
    assert [one.cancelled() for one in waiting] == [False, True, False]
    await group.ended()  # who comes later does not wait
    assert group.is_kept
    group.error = OSError("no")
    assert not group.is_kept


async def test_a_group_that_is_late_is_waited_for_no_longer_and_is_not_kept() -> None:
    group = Group()
    waiting = asyncio.create_task(group.ended())
    await asyncio.sleep(0)
    group.late = True
    group.release()
    await waiting
    assert not group.is_kept
