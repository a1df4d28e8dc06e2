"""Records as lines of JSON, to a file or to standard output."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import json
import logging
import re
import sys
import types
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import attrs

from llmgate.codecs.jsons import JSONError, dumps_plain
from llmgate.codecs.records import written
from llmgate.spec import (
    Clock,
    KeptRecord,
    Logger,
    PluginError,
    Record,
    RecordPage,
    RecordQuery,
    RecordReader,
    StageContext,
    SystemClock,
    UsageQuery,
    UsageReport,
)

from .line_file import LineFile, PartlyWrittenError, Rotation
from .record_file import find_in_file, read_from_file, tally_file

__all__ = ["JsonLines", "JsonLinesConfig", "line_of"]

log = logging.getLogger("llmgate.records")

_MAX_LINE: Final = 16 * 1024
"""Bytes of one line; log shippers cut longer ones."""
_MAX_TEXT: Final = 1000
"""Characters of one text value; the end of a longer one is left out."""
_WRITE_AT: Final = 64 * 1024
"""Bytes that may wait before they are written, whether or not the queue has run empty."""
_MAX_WAITING: Final = 16 * 1024 * 1024
"""Bytes that may wait while writing fails; beyond it records are dropped and counted."""
_LOOKED_AT: Final = 64 * 1024 * 1024
"""Bytes at the end of the file in which records that may come again are looked for."""
_UNPRINTABLE: Final = re.compile("[^ -~]+")
_NEVER_LONG: Final = frozenset({types.NoneType, bool, int, float})


@attrs.frozen
class JsonLinesConfig:
    """The config of ``json-lines``.

    Args:
        path: The file, relative to the configuration; None or ``-`` for standard output.
        max_size: Bytes above which the file is put aside and another one begun; 0 for never.
        rotate_every: Length of the periods, counted from midnight UTC, of which each has a file of its own, in seconds;
            0 for none.
        keep: How many files that were put aside are kept.
        compress: Whether these are compressed, with gzip.
        sync: Whether each batch is on the disk before it counts as written.
    """

    path: str | None = None
    max_size: int = attrs.field(default=0, metadata={"minimum": 0, "maximum": 2**46})
    rotate_every: float = attrs.field(default=0.0, metadata={"minimum": 0, "maximum": 366 * 86400, "seconds": True})
    keep: int = attrs.field(default=10, metadata={"minimum": 0, "maximum": 10_000})
    compress: bool = False
    sync: bool = False


@attrs.define(eq=False)
class _Writing:
    """A batch that a thread is writing.

    Args:
        batch: The lines.
        written: How many bytes of it have been written.
        ended: Done when the thread is.
    """

    batch: bytes
    written: int = 0
    ended: asyncio.Future[None] | None = None


class JsonLines(Logger[JsonLinesConfig], RecordReader):
    """Writes each record as one compact line of JSON.

    Lines are appended, in ASCII, with control characters escaped, so that no value can forge a line. The file is opened
    again when it has been moved or removed, as log rotation does. Writing happens in a thread. A file is durable: what
    a process has left of a line is cut off, and a record that comes again is looked for in the end of the file.
    """

    name = "json-lines"
    config_class = JsonLinesConfig

    def __init__(self, config: JsonLinesConfig) -> None:
        super().__init__(config)
        self.dropped = 0
        self.durable = not self._to_stdout
        self._path: Path | None = None
        self._file: LineFile | None = None
        self._clock: Clock = SystemClock()
        self._known: set[bytes] = set()
        self._repeats = False
        self._waiting = bytearray()
        self._one_at_a_time = asyncio.Lock()
        self._writing: _Writing | None = None

    async def open(self, context: StageContext) -> None:
        """Open the file.

        Raises:
            PluginError: it cannot be opened.
        """
        self._one_at_a_time = asyncio.Lock()
        self._clock = context.clock
        if self._to_stdout:
            return
        path = self._path = context.directory / str(self.config.path)
        config = self.config
        rotation = Rotation(config.max_size, config.rotate_every, config.keep, config.compress)
        self._file = LineFile(path, rotation, sync=config.sync)
        try:
            await asyncio.to_thread(self._file.open)
        except OSError as error:
            raise PluginError(
                f"{context.id}: json-lines cannot open {path}: {error.strerror}; check path and permissions"
            ) from error

    async def record(self, record: Record) -> None:
        """Take the record; it is written at the next flush, or at once when much is waiting."""
        if self._known and record.id.encode() in self._known:
            return
        line = line_of(record)
        if len(self._waiting) + len(line) > _MAX_WAITING:
            if self._repeats:
                raise OSError(errno.ENOSPC, "its buffer is full")  # it comes again
            if self.dropped == 0:
                log.error(
                    "json-lines: %s cannot be written and its buffer is full: records are dropped",
                    self.config.path or "-",
                )
            self.dropped += 1
            return
        self._waiting += line
        if len(self._waiting) >= _WRITE_AT:
            await self.flush()

    async def flush(self) -> None:
        """Write what is waiting.

        Raises:
            OSError: it cannot be written; what was not stays for the next time.
        """
        async with self._one_at_a_time:
            await self._written()
            if self._waiting and (self._to_stdout or self._file is not None):
                self._writing = _Writing(bytes(self._waiting))
                self._waiting = bytearray()
                self._writing.ended = asyncio.ensure_future(asyncio.to_thread(self._write, self._writing))
                await self._written()

    async def expect_repeats(self) -> None:
        """Forget what is not written, and know what is."""
        async with self._one_at_a_time:
            with contextlib.suppress(OSError):
                await self._written()
            self._waiting = bytearray()
            self._repeats = True
            if self._file is not None:
                self._known = await asyncio.to_thread(self._file.recent_ids, _LOOKED_AT)

    async def aclose(self) -> None:
        """Write what is waiting and close the file."""
        try:
            await self.flush()
        finally:
            file, self._file = self._file, None
            if file is not None and self._writing is None:
                file.close()

    async def _written(self) -> None:
        """Wait for the thread, also for one that an earlier, cancelled flush has left behind."""
        writing = self._writing
        if writing is None or writing.ended is None:
            return
        try:
            await asyncio.shield(writing.ended)
        finally:
            if writing.ended.done():
                self._writing = None
                self._waiting[:0] = writing.batch[writing.written :]

    @property
    def readable(self) -> bool:
        """Whether there is a file: what goes to standard output cannot be read again."""
        return not self._to_stdout

    async def open_to_read(self, context: StageContext) -> None:
        """Remember where the file is; it need not be there yet."""
        if not self._to_stdout:
            self._path = context.directory / str(self.config.path)

    @property
    def _readable(self) -> Path:
        if self._path is None:
            raise PluginError("json-lines: records that go to standard output cannot be read again: name a path")
        return self._path

    async def find_records(self, query: RecordQuery) -> RecordPage:
        """A page of records, as the file has them."""
        return await asyncio.to_thread(find_in_file, self._readable, query)

    async def read_record(self, record_id: str) -> KeptRecord | None:
        """One record, as the file has it."""
        return await asyncio.to_thread(read_from_file, self._readable, record_id)

    async def usage(self, query: UsageQuery) -> UsageReport:
        """What the records in the file add up to."""
        return await asyncio.to_thread(tally_file, self._readable, query)

    @property
    def _to_stdout(self) -> bool:
        return self.config.path in (None, "-")

    def _write(self, writing: _Writing) -> None:
        """Write all of a batch, in a thread."""
        if self._to_stdout:
            sys.stdout.write(writing.batch.decode("ascii"))
            sys.stdout.flush()
            writing.written = len(writing.batch)
            return
        assert self._file is not None, "only a file is written"
        try:
            writing.written = self._file.append(writing.batch, self._clock.now())
        except PartlyWrittenError as error:
            writing.written = error.written
            raise


def line_of(record: Record) -> bytes:
    """The record as one line of JSON, the line end included, at most 16 KiB long beside its contents."""
    if record.content is None:
        whole = _written(record)
        if len(whole) < _MAX_LINE and _is_short(whole) and _is_ascii(whole):
            return whole + b"\n"
    values = record.as_json()
    content = values.pop("content")
    encoded = _dumps(values)
    line = _ascii(encoded if _is_short(encoded) else _dumps(_shortened(values)))
    for longest in (200, 50, 10):
        if len(line) < _MAX_LINE:
            break
        kept = _shortened({**values, "metadata": {}, "attempts": values["attempts"][-8:]}, longest)
        line = _ascii(_dumps({**kept, "truncated": True}))
    return b'%b,"content":%b}\n' % (line[:-1], b"null" if content is None else _ascii(_dumps(content)))


def _dumps(value: Any) -> bytes:
    try:
        return dumps_plain(value)
    except JSONError:
        return json.dumps(value, separators=(",", ":"), default=str).encode()


def _written(record: Record) -> bytes:
    try:
        return written(record)
    except JSONError:
        return _dumps(record.as_json())


def _is_ascii(line: bytes) -> bool:
    return line.isascii() and b"\x7f" not in line


def _is_short(line: bytes) -> bool:
    """Whether no text in it needs to be cut, as nearly always; told without a look at each."""
    # Without escaped quotes each quote begins or ends a text, so none is longer than the longest piece between two.
    return b'\\"' not in line and max(map(len, line.split(b'"'))) <= _MAX_TEXT


def _ascii(line: bytes) -> bytes:
    """JSON with everything but printable ASCII, which only texts hold, escaped."""
    if _is_ascii(line):
        return line
    return _UNPRINTABLE.sub(_escaped, line.decode()).encode("ascii")


def _escaped(found: re.Match[str]) -> str:
    return json.dumps(found[0])[1:-1]


def _shortened(value: Any, longest: int = _MAX_TEXT) -> Any:
    """The value with long texts cut, and with plain containers only."""
    if isinstance(value, str):
        return value if len(value) <= longest else value[: longest - 1] + "…"
    if isinstance(value, Mapping):
        return {
            str(key)[:longest]: item if type(item) in _NEVER_LONG else _shortened(item, longest)
            for key, item in value.items()
        }
    if isinstance(value, list | tuple):
        return [_shortened(item, longest) for item in value]
    return value
