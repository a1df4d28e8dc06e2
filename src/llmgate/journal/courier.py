"""Brings records from the journal to one logger, at least once each, in the order in which each process wrote them.

A cursor on disk moves when the logger has flushed. When it fails, everything since then is brought again, after a wait
that grows; what waits meanwhile waits on disk.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

import attrs

from llmgate.codecs.jsons import JSONError, loads
from llmgate.spec import Clock, Logger, Record

from .backlog import bytes_behind, end_of, first_end
from .fileset import FileSet, Position

if TYPE_CHECKING:
    from .journal import Journal

__all__ = ["Courier", "Source"]

log = logging.getLogger("llmgate.records")

MAX_BATCH: Final = 500
"""Records between two flushes of a logger."""
LINGER: Final = 0.25
"""Seconds that are waited behind a small batch, so that under load more go into one; until one is full at most."""
MAX_UNWRITTEN: Final = 10_000
"""Records that the disk would not take and that may wait in memory for one logger."""
FIRST_WAIT: Final = 0.1
LONGEST_WAIT: Final = 30.0
"""Seconds between two tries while a logger fails."""
SUSPICIOUS: Final = 5
"""Failures of one record alone after which the next is tried: if that one is taken, the record is to blame."""
CLOSE_TIMEOUT: Final = 10.0
"""Seconds that a logger gets, when the gateway closes, to take what waits."""


@attrs.define(eq=False)
class Source:
    """A file set that the logger is owed records of.

    Args:
        files: The file set.
        position: Behind what has been taken.
        left: How many records wait; of a dead process as they were counted at its adoption.
        own: Whether this process still writes it.
        fresh: Whether nothing of it has been brought by this process: its owner may have brought more than it says.
    """

    files: FileSet
    position: Position
    left: int
    own: bool = False
    fresh: bool = True


@attrs.frozen
class _Batch:
    """What is brought at once, and where the cursor stands when it has been taken."""

    records: Sequence[Record]
    end: Position
    source: Source | None = None
    damaged: int = 0
    skipped: int = 0


class Courier:
    """The way of records to one logger.

    Args:
        id: What the configuration calls the logger, for messages.
        key: What its cursors are called.
        logger: The logger.
        journal: The journal.
        own: The file set of this process.
        clock: Time and chance.
    """

    def __init__(
        self,
        id: str,  # noqa: A002 - the field's word
        key: str,
        logger: Logger[Any],
        journal: Journal,
        own: Source,
        clock: Clock,
    ) -> None:
        self.id = id
        self.key = key
        self.dropped = 0
        self.failed = 0
        self.delivered = 0
        self._logger = logger
        self._journal = journal
        self._clock = clock
        self._own = own
        self._sources: list[Source] = [own]
        self._unwritten: deque[Record] = deque()
        self._wake = asyncio.Event()
        self._hurry = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._closing = False
        self._leaving = False
        self._failures = 0
        self._most = MAX_BATCH
        self._oldest: tuple[FileSet, Position, float] | None = None

    @property
    def backlog(self) -> int:
        """Records that wait for the logger."""
        return sum(one.left for one in self._sources) + len(self._unwritten)

    @property
    def failing(self) -> bool:
        """Whether the logger has not taken what it was last brought."""
        return self._failures > 0

    async def depth(self) -> tuple[int, int, float | None]:
        """Records that wait, their bytes on disk, and when the exchange of the oldest of them was over, if known.

        Looks at the disk only where something waits there.
        """
        waiting, ends = self.backlog, [end_of(one) for one in list(self._unwritten)[:1]]
        owed = [attrs.evolve(one) for one in self._sources if one.left]
        if owed:
            first = await self._first_end(owed[0])
            ends += [] if first is None else [first]
        size = 0 if not owed else await asyncio.to_thread(_bytes_owed, owed)
        return waiting, size, min(ends, default=None)

    async def _first_end(self, source: Source) -> float | None:
        """When the oldest exchange of a source was over; while the logger takes nothing, that is read once."""
        recent = self._journal.recent(source.position, 1) if source.own else None
        if recent:
            return end_of(recent[0].record)
        known = self._oldest
        if known is not None and known[0] is source.files and known[1] == source.position:
            return known[2]
        until = self._journal.position if source.own else None
        found = await asyncio.to_thread(first_end, source.files, source.position, until)
        self._oldest = None if found is None else (source.files, source.position, found)
        return found

    @property
    def closed(self) -> bool:
        """Whether it brings nothing any more."""
        return self._closing

    @property
    def needs(self) -> Position:
        """Behind what the logger has taken of this process's records."""
        return self._own.position

    @property
    def sources(self) -> Sequence[Source]:
        """The file sets that the logger is owed records of."""
        return tuple(self._sources)

    def add(self, source: Source) -> None:
        """Owe the logger the records of a dead process, too; they come before those of this one."""
        self._sources.insert(len(self._sources) - 1, source)
        self._wake.set()

    def start(self) -> None:
        """Begin to bring records, also those that the one before it of the same key has left; needs a running loop."""
        before = self._journal.enlist(self)
        self._task = asyncio.get_running_loop().create_task(self._run(before), name=f"llmgate-courier-{self.id}")

    def offer(self, record: Record) -> None:
        """Nothing to do: the record is in the journal."""

    def written(self, count: int) -> None:
        """The journal has that many records more."""
        self._own.left += count
        self._wake.set()
        if self._own.left - count < MAX_BATCH <= self._own.left:
            self._hurry.set()

    def take_unwritten(self, records: Sequence[Record]) -> None:
        """Bring records that the disk would not take, from memory; beyond ``MAX_UNWRITTEN`` they are lost."""
        room = max(0, MAX_UNWRITTEN - len(self._unwritten))
        self._unwritten.extend(records[:room])
        self.dropped += len(records) - len(records[:room])
        self._wake.set()

    def forget(self, files: FileSet, end: Position, lost: int) -> None:
        """A segment is gone before all of it was taken.

        Args:
            files: Where.
            end: Where it ended.
            lost: How many of its records the logger has not seen, at most.
        """
        for source in self._sources:
            if source.files is files and source.position < end:
                source.position = end
                lost = min(lost, source.left)
                source.left -= lost
                self.dropped += lost

    async def hand_over(self, successor: Courier) -> None:
        """Leave what waits to another one, once what is under way has been taken or has failed."""
        self._leaving = True
        self._close()
        await self._ended()
        successor.inherit(self._own, self._sources[:-1], self._unwritten)
        self._sources = [attrs.evolve(self._own, left=0)]
        self._unwritten.clear()

    def inherit(self, own: Source, others: Sequence[Source], unwritten: Sequence[Record]) -> None:
        """Take over what another one has left."""
        self._own.left += own.left - self._own.left
        self._own.position = own.position
        for source in others:
            self.add(attrs.evolve(source, fresh=True))
        self._unwritten.extend(unwritten)

    async def aclose(self) -> None:
        """Bring what waits, within ``CLOSE_TIMEOUT`` seconds; the rest waits on disk for the next start. Idempotent."""
        self._close()
        if self._task is None:
            return
        await self._ended()
        self.dropped += len(self._unwritten)
        self._unwritten.clear()
        if self.backlog:
            log.warning("logger %s: %d records wait in the journal for the next start", self.id, self.backlog)
        if self.dropped:
            log.error("logger %s: %d records dropped", self.id, self.dropped)

    def _close(self) -> None:
        self._closing = True
        self._wake.set()
        self._hurry.set()

    async def _ended(self) -> None:
        task, self._task = self._task, None
        if task is None:
            return
        done, _ = await asyncio.wait({task}, timeout=CLOSE_TIMEOUT)
        if not done:
            task.cancel()
            await asyncio.wait({task})

    async def _run(self, before: Courier | None) -> None:
        if before is not None:
            await before.hand_over(self)
            await self._renew()
        while not self._leaving:
            self._wake.clear()
            batch = await self._next()
            if batch is None:
                if self._closing:
                    return
                await self._wake.wait()
                continue
            try:
                await self._bring(batch.records)
            except Exception as failure:  # noqa: BLE001 - whatever it is, the records stay where they are
                if self._closing and self._failures > 0:
                    return
                await self._after_failure(failure, batch)
            else:
                self._taken(batch)
                if len(batch.records) < MAX_BATCH and not self._closing:
                    await self._pause(LINGER, until_full=True)

    async def _bring(self, records: Sequence[Record]) -> None:
        for record in records:
            await self._logger.record(record)
        await self._logger.flush()

    async def _next(self) -> _Batch | None:
        """What is to be brought next; None where nothing waits."""
        for source in list(self._sources):
            recent = self._journal.recent(source.position, self._most) if source.own else None
            if recent:
                return _Batch([one.record for one in recent], recent[-1].end, source)
            if source.own and source.position >= self._journal.position:
                continue
            until = self._journal.position if source.own else None
            batch = await asyncio.to_thread(_read, source, until, self._most)
            if batch is not None:
                if batch.damaged:
                    self._journal.note_damage(source.files, batch.damaged)
                if source.fresh and not source.own:
                    source.fresh = False
                    await self._logger.expect_repeats()
                return batch
            if not source.own:
                self._sources.remove(source)
                self._journal.done_with(source.files)
        if self._unwritten:
            return _Batch(
                [self._unwritten[index] for index in range(min(self._most, len(self._unwritten)))], Position()
            )
        return None

    def _taken(self, batch: _Batch) -> None:
        if self._failures:
            log.info("logger %s takes records again", self.id)
        self._failures = 0
        self._most = min(MAX_BATCH, self._most * 2)
        self.delivered += len(batch.records)
        source = batch.source
        if source is None:
            for _ in batch.records:
                self._unwritten.popleft()
            return
        self._move(source, batch.end, len(batch.records) + batch.skipped)

    def _move(self, source: Source, end: Position, count: int) -> None:
        if end > source.position:  # else it has been dropped meanwhile, and is counted
            source.position = end
            source.left = max(0, source.left - count)
        if source.own and source.position >= self._journal.position:
            source.left = 0
        try:
            source.files.move_cursor(self.key, source.position)
        except OSError as error:
            log.debug("logger %s: its cursor cannot be written: %s", self.id, error)  # it is given more twice, not less
        self._journal.moved(source.files)

    async def _after_failure(self, failure: Exception, batch: _Batch) -> None:
        """Wait, ever longer, and try less at once, so that a single record that nobody can take is found."""
        self.failed += 1
        self._failures += 1
        if self._failures == 1:
            log.error("logger %s fails; its records wait in the journal: %s", self.id, failure, exc_info=failure)
        self._most = max(1, len(batch.records) // 2)
        await self._renew()
        if self._failures >= SUSPICIOUS and len(batch.records) == 1 and await self._is_to_blame(batch):
            return
        longest = min(LONGEST_WAIT, FIRST_WAIT * 2 ** min(self._failures, 20))
        await self._pause(longest * (0.5 + self._clock.random() / 2))

    async def _renew(self) -> None:
        """Have the logger know that what comes next may have come before."""
        try:
            await self._logger.expect_repeats()
        except Exception:
            log.exception("logger %s fails", self.id)

    async def _is_to_blame(self, batch: _Batch) -> bool:
        """Whether the logger takes the record behind one that it does not take, which is then put aside.

        It may have come back in between: so once it has taken the one behind, it is brought the suspect again.
        """
        source = batch.source
        if source is None:
            return False
        until = self._journal.position if source.own else None
        behind = await asyncio.to_thread(_read, attrs.evolve(source, position=batch.end), until, 1)
        if behind is None or not await self._takes(behind.records):
            return False
        if await self._takes(batch.records):
            self.delivered += 1
        else:
            self.dropped += 1
            self._journal.put_aside(source.files, batch.records[0])
            log.error("logger %s does not take the record %s: it is put aside", self.id, batch.records[0].id)
        self._taken(attrs.evolve(behind, source=source, skipped=behind.skipped + 1))
        return True

    async def _takes(self, records: Sequence[Record]) -> bool:
        try:
            await self._bring(records)
        except Exception:  # noqa: BLE001 - whatever it is, it has not taken them
            await self._renew()
            return False
        return True

    async def _pause(self, seconds: float, *, until_full: bool = False) -> None:
        """Wait, but not when the gateway closes.

        Args:
            seconds: How long.
            until_full: Whether a batch that is full ends it, too.
        """
        waiting = asyncio.ensure_future(self._clock.sleep(seconds))
        hurried = asyncio.ensure_future(self._hurried(until_full=until_full))
        try:
            await asyncio.wait({waiting, hurried}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            waiting.cancel()
            hurried.cancel()

    async def _hurried(self, *, until_full: bool) -> None:
        while not (self._closing or (until_full and self._own.left >= MAX_BATCH)):
            self._hurry.clear()
            await self._hurry.wait()


def _bytes_owed(sources: Sequence[Source]) -> int:
    return sum(bytes_behind(one.files, one.position) for one in sources)


def _read(source: Source, until: Position | None, most: int) -> _Batch | None:
    """Records behind a position, read from disk, in a thread; None where there is nothing more for now."""
    start, damaged = source.position, 0
    while True:
        found, end, at_end = source.files.read(start, until, most)
        damaged += found.damaged
        if at_end:
            return _Batch((), end, source, damaged) if damaged else None
        records, skipped = [], 0
        for frame in found.frames:
            try:
                records.append(Record.from_json(loads(frame.payload)))
            except (JSONError, ValueError):
                source.files.put_aside(frame.payload)
                skipped += 1
        if records:
            return _Batch(records, end, source, damaged, skipped)
        if skipped:
            return _Batch((), end, source, damaged, skipped)
        start = end
