"""Records as lines of JSON, to a file or to standard output."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import attrs

from llmgate.spec import Logger, PluginError, Record, StageContext

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


@attrs.frozen
class JsonLinesConfig:
    """The config of ``json-lines``.

    Args:
        path: The file, relative to the configuration; None or ``-`` for standard output.
    """

    path: str | None = None


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


class JsonLines(Logger[JsonLinesConfig]):
    """Writes each record as one compact line of JSON.

    Lines are appended, in ASCII, with control characters escaped, so that no value can forge a line. The file is opened
    again when it has been moved or removed, as log rotation does. Writing happens in a thread.
    """

    name = "json-lines"
    config_class = JsonLinesConfig

    def __init__(self, config: JsonLinesConfig) -> None:
        super().__init__(config)
        self.dropped = 0
        self._path: Path | None = None
        self._descriptor: int | None = None
        self._waiting = bytearray()
        self._one_at_a_time = asyncio.Lock()
        self._writing: _Writing | None = None

    async def open(self, context: StageContext) -> None:
        """Open the file.

        Raises:
            PluginError: it cannot be opened.
        """
        self._one_at_a_time = asyncio.Lock()
        if self._to_stdout:
            return
        self._path = context.directory / str(self.config.path)
        try:
            await asyncio.to_thread(self._reopen)
        except OSError as error:
            raise PluginError(
                f"{context.id}: json-lines cannot open {self._path}: {error.strerror}; check path and permissions"
            ) from error

    async def record(self, record: Record) -> None:
        """Take the record; it is written at the next flush, or at once when much is waiting."""
        line = line_of(record)
        if len(self._waiting) + len(line) > _MAX_WAITING:
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
            if self._waiting and (self._to_stdout or self._path is not None):
                self._writing = _Writing(bytes(self._waiting))
                self._waiting = bytearray()
                self._writing.ended = asyncio.ensure_future(asyncio.to_thread(self._write, self._writing))
                await self._written()

    async def aclose(self) -> None:
        """Write what is waiting and close the file."""
        try:
            await self.flush()
        finally:
            descriptor, self._descriptor = self._descriptor, None
            self._path = None
            if descriptor is not None and self._writing is None:
                os.close(descriptor)

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
    def _to_stdout(self) -> bool:
        return self.config.path in (None, "-")

    def _write(self, writing: _Writing) -> None:
        """Write all of a batch, in a thread."""
        if self._to_stdout:
            sys.stdout.write(writing.batch.decode("ascii"))
            sys.stdout.flush()
            writing.written = len(writing.batch)
            return
        descriptor = self._reopen()
        view = memoryview(writing.batch)
        while writing.written < len(view):
            writing.written += os.write(descriptor, view[writing.written :])

    def _reopen(self) -> int:
        """The open file; opened anew when there is another one, or none, in its place."""
        assert self._path is not None, "only a file is reopened"
        if self._descriptor is not None:
            mine = os.fstat(self._descriptor)
            try:
                there = self._path.stat()
            except FileNotFoundError:
                there = None
            if there is not None and (there.st_ino, there.st_dev) == (mine.st_ino, mine.st_dev):
                return self._descriptor
            os.close(self._descriptor)
            self._descriptor = None
        self._descriptor = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o640)
        return self._descriptor


def line_of(record: Record) -> bytes:
    """The record as one line of JSON, the line end included, at most 16 KiB long."""
    values = record.as_json()
    line = _dumps(_shortened(values))
    for longest in (200, 50, 10):
        if len(line) < _MAX_LINE:
            break
        kept = _shortened({**values, "metadata": {}, "attempts": values["attempts"][-8:]}, longest)
        line = _dumps({**kept, "truncated": True})
    return line.encode("ascii") + b"\n"


def _dumps(value: Any) -> str:
    return json.dumps(value, ensure_ascii=True, separators=(",", ":"), default=str)


def _shortened(value: Any, longest: int = _MAX_TEXT) -> Any:
    """The value with long texts cut, and with plain containers only."""
    if isinstance(value, str):
        return value if len(value) <= longest else value[: longest - 1] + "…"
    if isinstance(value, Mapping):
        return {str(key)[:longest]: _shortened(item, longest) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_shortened(item, longest) for item in value]
    return value
