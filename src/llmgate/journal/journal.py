"""The journal of records: what has been written down before an answer's last byte leaves, and who is owed it.

Every process has a file set of its own. Records that wait at the same time are written and synced together, in a
thread. Loggers that are durable are brought them by a courier each; a segment that all of them have taken is removed.
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections import deque
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import attrs

from llmgate.codecs.jsons import dumps_plain
from llmgate.codecs.records import written
from llmgate.spec import Clock, Logger, PluginError, Record

from .commits import Commits, Group
from .courier import Courier, Source
from .disk import Disk
from .fileset import FileSet, Position, file_sets, remove_begun
from .frames import MAX_PAYLOAD, frame_of
from .writer import Sync, Writer

__all__ = ["Journal", "JournalError", "JournalSettings", "Recent"]

log = logging.getLogger("llmgate.records")

ADOPT_EVERY: Final = 5.0
"""Seconds between two looks for file sets whose process is dead."""
MAX_RECENT: Final = 2048
MAX_RECENT_BYTES: Final = 8 * 1024 * 1024
"""How many records, and how many bytes of them, are kept in memory for couriers that keep up."""
GATHER: Final = 0.004
"""Seconds between the beginnings of two syncs while records come close together: a sync costs more than what is written
with it, so that several answers share one. A record that comes alone is written at once."""
PATIENCE: Final = 10.0
"""Seconds that an answer waits for its record to be written; then the disk counts as failed."""
REFUSAL: Final = 1.0
"""Seconds for which requests are refused before one tries again whether the disk takes its record."""


class JournalError(Exception):
    """A record is not written down, and answers are not to be given then."""


@attrs.frozen
class JournalSettings:
    """How a journal is kept.

    Args:
        path: The directory, shared by all processes.
        sync: When what is written is on the disk.
        max_size: Bytes that one process's undelivered records may take; beyond it the oldest are dropped.
        segment_size: Bytes of one file, a quarter of ``max_size`` at most.
        refuse: Whether no answer is given whose record cannot be written.
    """

    path: Path
    sync: Sync = "group"
    max_size: int = 1024**3
    segment_size: int = 16 * 1024**2
    refuse: bool = False

    @property
    def largest_segment(self) -> int:
        """Bytes after which a segment is full: several must fit in, since the bound drops them whole."""
        return min(self.segment_size, self.max_size // 4)


@attrs.frozen
class Recent:
    """A record that has just been written, where it begins and where it ends."""

    record: Record
    start: Position
    end: Position
    size: int


@attrs.define(eq=False)
class _Segment:
    """What is known of a segment of this process: how many records and bytes it holds, and where it ends."""

    records: int = 0
    size: int = 0
    end: Position = attrs.field(factory=Position)


class Journal:
    """Keeps records until every durable logger has them. Open it with ``open``.

    Args:
        settings: How it is kept.
        clock: Time and chance.
        disk: The operations on files; a test makes them fail.
    """

    def __init__(self, settings: JournalSettings, clock: Clock, disk: Disk | None = None) -> None:
        self.settings = settings
        self.failed = 0
        """Records that could not be written down."""
        self.damaged = 0
        """Bytes in file sets that are no frames."""
        self._clock = clock
        self._disk = disk or Disk()
        self._files: FileSet | None = None
        self._writer: Writer | None = None
        self._commits: Commits | None = None
        self._group: Group | None = None
        self._committing: asyncio.Future[None] | None = None
        self._next_sync = 0.0
        self._adopting: asyncio.Task[None] | None = None
        self._recent: deque[Recent] = deque()
        self._recent_bytes = 0
        self._segments: dict[int, _Segment] = {}
        self._adopted: dict[Path, FileSet] = {}
        self._foreign: set[Path] = set()
        self._couriers: dict[str, Courier] = {}
        self._committed = Position(0)
        self._down = False
        self._refuse_until = 0.0

    @property
    def position(self) -> Position:
        """Behind the last record that is written."""
        return self._committed

    @property
    def couriers(self) -> Sequence[Courier]:
        """Who brings records to a logger each."""
        return tuple(self._couriers.values())

    @property
    def down(self) -> bool:
        """Whether the last record could not be written down."""
        return self._down

    @property
    def refuses(self) -> bool:
        """Whether requests are not to be begun now, since their records could not be written down."""
        return self._down and self.settings.refuse and self._clock.monotonic() < self._refuse_until

    async def open(self) -> None:
        """Begin a file set of this process. Idempotent.

        Raises:
            PluginError: the directory cannot be used.
        """
        if self._files is not None:
            return
        name = f"{int(self._clock.now() * 1000):013d}-{os.getpid()}-{os.urandom(4).hex()}"
        path = self.settings.path
        try:
            await asyncio.to_thread(path.mkdir, mode=0o750, parents=True, exist_ok=True)
            self._files = await asyncio.to_thread(FileSet.create, path, name, self._disk)
        except OSError as error:
            raise PluginError(
                f"records.journal: {path} cannot be used: {error.strerror}; check path, space and permissions"
            ) from error
        self._writer = Writer(self._files, self.settings.sync, self.settings.largest_segment)
        self._commits = Commits(self._writer, self._committed_group)

    def courier(self, id: str, key: str, logger: Logger[Any]) -> Courier:  # noqa: A002 - the field's word
        """Who brings records to a logger, once it has been started.

        Args:
            id: What the configuration calls the logger, for messages.
            key: What tells it from others in the files of this process and of those before it.
            logger: The logger.
        """
        assert self._files is not None, "open the journal first"
        own = Source(self._files, self._committed, 0, own=True)
        return Courier(id, key, logger, self, own, self._clock)

    def brings(self, courier: object) -> bool:
        """Whether it is a courier of this journal that nobody has relieved."""
        return any(one is courier for one in self._couriers.values())

    def enlist(self, courier: Courier) -> Courier | None:
        """Owe a courier what is written from now on.

        Returns:
            The one of the same key before it, which it is to relieve.
        """
        assert self._files is not None, "open the journal first"
        before = self._couriers.get(courier.key)
        self._couriers[courier.key] = courier
        if before is None:
            self._files.move_cursor(courier.key, courier.needs)
        if self._adopting is None:
            self._adopting = asyncio.get_running_loop().create_task(self._keep_adopting(), name="llmgate-journal")
        return before

    def write(self, record: Record, *, final: bool = False) -> Group | None:
        """Write a record down.

        Args:
            record: The record.
            final: Whether its exchange is over whatever becomes of it: where it cannot be written down, it is brought
                to loggers from memory.

        Returns:
            What it is written with, for ``wait``; None where it is kept already, as ``sync`` says.

        Raises:
            JournalError: it cannot be written down, and that is not accepted.
        """
        if self._files is None:
            return None  # the gateway is closed; nobody waits for this answer any more
        try:
            frame = frame_of(_written(record))
        except Exception:
            log.exception("journal %s: the record %s cannot be written", self.settings.path, record.id)
            self.failed += 1
            return None
        if self.settings.sync == "os":
            self._write_now(record, frame, final=final)
            return None
        group = self._group
        if group is None:
            loop = asyncio.get_running_loop()
            group = self._group = Group()
            group.timer = loop.call_later(PATIENCE, self._too_late, group)
            if self._committing is None:
                self._committing = loop.create_future()
                self._commit_next(loop)
        group.records.append(record)
        group.frames.append(frame)
        if final:
            group.final.append(record)
        return group

    async def wait(self, kept: Group) -> None:
        """Wait until a record is kept, or cannot be and that is accepted.

        Args:
            kept: What ``write`` has returned.

        Raises:
            JournalError: it cannot be, and that is not accepted.
        """
        await kept.ended()
        if kept.error is not None:
            raise JournalError(str(kept.error))
        if not kept.done and self.settings.refuse:
            raise JournalError("the disk does not answer")

    def recent(self, position: Position, most: int) -> Sequence[Recent]:
        """Records behind a position that are still in memory; none where those are not, or there are none."""
        recent = self._recent
        if not recent or recent[0].start > position:
            return ()
        found = []
        for one in reversed(recent):  # those who keep up ask for the last few
            if one.start < position:
                break
            found.append(one)
        found.reverse()
        return found[:most]

    def moved(self, files: FileSet) -> None:
        """A courier has brought records: what nobody needs any more is removed, from memory too."""
        if files is not self._files:
            return
        needed = min((one.needs for one in self._couriers.values() if not one.closed), default=Position(0))
        while self._recent and self._recent[0].end <= needed:
            self._recent_bytes -= self._recent.popleft().size
        for number in [one for one in self._segments if one < min(needed.segment, self._committed.segment)]:
            del self._segments[number]
            files.remove_segment(number)

    def done_with(self, files: FileSet) -> None:
        """A courier has brought everything of an adopted file set; the last of them has it removed."""
        if any(source.files is files for one in self._couriers.values() for source in one.sources):
            return
        if self._adopted.pop(files.path, None) is None:
            return
        if files.path in self._foreign:
            files.close()
        else:
            files.remove()

    def note_damage(self, files: FileSet, damaged: int) -> None:
        """Say that some bytes are no records: the last ones of a process that died while it wrote them, or worse."""
        self.damaged += damaged
        log.warning("journal %s: %d bytes are no whole record and are left out", files.path, damaged)

    def put_aside(self, files: FileSet, record: Record) -> None:
        """Keep a record that a logger does not take, for people."""
        files.put_aside(_written(record))

    async def aclose(self) -> None:
        """Let go of everything; what has not been delivered stays for the next process. Idempotent."""
        if self._adopting is not None:
            self._adopting.cancel()
            await asyncio.wait({self._adopting})
            self._adopting = None
        if self._committing is not None:
            await asyncio.wait({self._committing})
        files, self._files = self._files, None
        if files is None:
            return
        assert self._commits is not None and self._writer is not None  # noqa: PT018 - opened together
        await asyncio.to_thread(self._commits.end, PATIENCE)
        self._writer.close()
        delivered = bool(self._couriers) and not any(one.backlog for one in self._couriers.values())
        if delivered:
            await asyncio.to_thread(files.remove)
        else:
            files.close()
        for one in self._adopted.values():
            one.close()
        self._adopted = {}

    def _commit_next(self, loop: asyncio.AbstractEventLoop) -> None:
        """Have the group that waits written: soon, so that others of this turn of the loop are written with it.

        Where records have come together lately, others will: then a sync waits for its turn.
        """
        turn = self._next_sync - loop.time()
        if turn > 0:
            loop.call_later(turn, self._commit)
        else:
            loop.call_soon(self._commit)

    def _commit(self) -> None:
        """Have the group that waits written; while one is written the next one gathers."""
        group, self._group = self._group, None
        assert self._committing is not None and self._commits is not None  # noqa: PT018 - one at a time, while open
        if group is None:
            self._committing.set_result(None)
            self._committing = None
        else:
            together = self.settings.sync == "group" and len(group.records) > 1
            self._next_sync = self._committing.get_loop().time() + GATHER if together else 0.0
            self._commits.put(group)

    def _committed_group(self, group: Group, ends: Sequence[Position], failure: OSError | None) -> None:
        """A group has been written, or could not be."""
        if failure is None:
            self._kept(group.records, group.frames, ends)
        else:
            self._not_written(group.records, group.final, failure)
            if self.settings.refuse:
                group.error = failure
        group.done = True
        group.release()
        assert self._committing is not None, "it ends when nothing waits"
        self._commit_next(self._committing.get_loop())

    def _too_late(self, group: Group) -> None:
        self._say_down(TimeoutError("the disk does not answer"))
        group.late = True
        group.release()

    def _write_now(self, record: Record, frame: bytes, *, final: bool) -> None:
        assert self._writer is not None, "open the journal first"
        try:
            ends = self._writer.write((frame,))
        except OSError as error:
            self._not_written((record,), (record,) if final else (), error)
            if self.settings.refuse and not final:
                raise JournalError(str(error)) from error
        else:
            self._kept((record,), (frame,), ends)

    def _kept(self, records: Sequence[Record], frames: Sequence[bytes], ends: Sequence[Position]) -> None:
        """Tell couriers of records that are written."""
        if self._down:
            log.info("journal %s can be written again", self.settings.path)
        self._down = False
        start = self._committed
        segment = self._segments.setdefault(ends[-1].segment, _Segment())
        for record, frame, end in zip(records, frames, ends, strict=True):
            self._recent.append(Recent(record, start, end, len(frame)))
            self._recent_bytes += len(frame)
            segment.size += len(frame)
            start = end
        segment.records += len(records)
        segment.end = ends[-1]
        self._committed = ends[-1]
        while len(self._recent) > MAX_RECENT or self._recent_bytes > MAX_RECENT_BYTES:
            self._recent_bytes -= self._recent.popleft().size
        for courier in self._couriers.values():
            if not courier.closed:
                courier.written(len(records))
        if sum(one.size for one in self._segments.values()) > self.settings.max_size:
            self._make_room()

    def _not_written(self, records: Sequence[Record], final: Sequence[Record], error: OSError) -> None:
        self.failed += len(records)
        self._say_down(error)
        for courier in self._couriers.values():
            courier.take_unwritten(final if self.settings.refuse else records)

    def _say_down(self, error: Exception) -> None:
        if not self._down:
            what = "answers are refused" if self.settings.refuse else "records wait in memory only"
            log.error("journal %s cannot be written: %s: %s", self.settings.path, error, what)
        self._down = True
        self._refuse_until = self._clock.monotonic() + REFUSAL

    def _make_room(self) -> None:
        """Drop the oldest segment, since the bound says so."""
        number = min(self._segments)
        if self._files is None or number >= self._committed.segment:
            return
        segment = self._segments.pop(number)
        self._files.remove_segment(number)
        log.error(
            "journal %s is full (records.journal.max-size): its oldest %d records are dropped",
            self.settings.path,
            segment.records,
        )
        for courier in self._couriers.values():
            courier.forget(self._files, segment.end, segment.records)

    async def _keep_adopting(self) -> None:
        while True:
            try:
                await self._adopt()
            except OSError as error:
                log.warning("journal %s cannot be looked through: %s", self.settings.path, error)
            await self._clock.sleep(ADOPT_EVERY)

    async def _adopt(self) -> None:
        """Take over the file sets of processes that are dead."""
        await asyncio.to_thread(remove_begun, self.settings.path, self._clock.now())
        mine = self._files.path if self._files is not None else None
        for path in await asyncio.to_thread(file_sets, self.settings.path):
            if path == mine or path in self._adopted or path in self._foreign:
                continue
            files = await asyncio.to_thread(FileSet.adopt, path, self._disk)
            if files is None:
                continue
            try:
                owed = await asyncio.to_thread(_owed, files)
            except BaseException:
                files.close()
                raise
            self._owe(files, owed)

    def _owe(self, files: FileSet, owed: dict[str, Source]) -> None:
        self._adopted[files.path] = files
        for key, source in owed.items():
            courier = self._couriers.get(key)
            if courier is not None:
                courier.add(source)
                log.info("journal: %d records of a process that is gone for logger %s", source.left, courier.id)
            elif source.left:
                self._foreign.add(files.path)
                log.error(
                    "journal %s keeps %d records for %s, which is no logger any more: configure it again, or remove "
                    "the directory",
                    files.path,
                    source.left,
                    key,
                )
        self.done_with(files)


def _owed(files: FileSet) -> dict[str, Source]:
    """What each logger is owed of a file set, counted."""
    owed = {}
    for key, position in files.cursors().items():
        source = Source(files, position, 0)
        at_end = False
        while not at_end:
            found, position, at_end = files.read(position, None, 10_000)
            source.left += len(found.frames)
        owed[key] = source
    return owed


def _written(record: Record) -> bytes:
    """A record as JSON on one line."""
    payload = written(record)
    if len(payload) > MAX_PAYLOAD:
        return dumps_plain({**record.as_json(), "content": None, "metadata": {}, "properties": {}, "stages": []})
    return payload
