"""The book as a file that only grows, one line of JSON for each thing that was asked or decided: store and audit."""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import attrs

from llmgate.codecs.jsons import JSONError, loads
from llmgate.spec import ConfigError, DomainBook, DomainEvent, StageContext

__all__ = ["File", "FileConfig"]

_LONGEST: Final = 64 * 1024 * 1024
"""Bytes of a book; one that is longer was not written here."""
_CUT: Final = b" (cut off here)"
"""Written behind a line that a crash has cut off, so that nobody takes it for one that was tampered with."""


@attrs.frozen
class FileConfig:
    """The config of ``file``.

    Args:
        path: The file of domains that ``llmgate domains`` writes, relative to the configuration; it need not be there.
    """

    path: str = "llmgate-domains.jsonl"


class File(DomainBook[FileConfig]):
    """Keeps domains in a file, for the gateways of one machine."""

    name = "file"
    config_class = FileConfig

    def __init__(self, config: FileConfig) -> None:
        super().__init__(config)
        self._path = Path(config.path)

    async def open(self, context: StageContext) -> None:
        """Find the file."""
        self._path = context.directory / self.config.path

    async def revision(self) -> object:
        """Which file it is, how long, and when it was written."""
        try:
            found = self._path.stat()
        except OSError:
            return None
        return found.st_ino, found.st_size, found.st_mtime_ns

    async def read(self) -> Sequence[DomainEvent]:
        """Every event, oldest first; none where there is no file.

        Raises:
            ConfigError: the file cannot be read, or a line of it is no event.
        """
        try:
            if self._path.stat().st_size > _LONGEST:
                raise ConfigError(f"{self._path}: longer than {_LONGEST} bytes: it is no book of domains")
            data = self._path.read_bytes()
        except FileNotFoundError:
            return ()
        except OSError as failure:
            raise ConfigError(f"{self._path}: cannot be read: {failure.strerror}") from None
        whole, _, torn = data.rpartition(b"\n")
        lines = [*whole.split(b"\n"), torn]
        return [event for number, line in enumerate(lines, 1) if (event := self._event(line, number, len(lines)))]

    async def append(self, event: DomainEvent) -> None:
        """Write an event at the end, whole and on the disk before this returns.

        Raises:
            ConfigError: the file cannot be written.
        """
        line = json.dumps({name: value for name, value in attrs.asdict(event).items() if value}).encode() + b"\n"
        try:
            descriptor = os.open(self._path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o600)
        except OSError as failure:
            raise ConfigError(f"{self._path}: cannot be written: {failure.strerror}") from None
        with os.fdopen(descriptor, "r+b", buffering=0) as file:
            fcntl.flock(file, fcntl.LOCK_EX)  # closing gives it back
            size = file.seek(0, os.SEEK_END)
            if size and os.pread(file.fileno(), 1, size - 1) != b"\n":
                line = _CUT + b"\n" + line
            file.write(line)
            os.fsync(file.fileno())

    def _event(self, line: bytes, number: int, last: int) -> DomainEvent | None:
        if not line.strip() or line.endswith(_CUT):
            return None
        try:
            return DomainEvent(**loads(line))
        except (JSONError, TypeError, ValueError):
            if number == last:
                return None  # cut off by a crash
            raise ConfigError(f"{self._path}:{number}: this line is no event of a book of domains") from None
