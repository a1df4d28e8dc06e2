"""A file of lines that several processes write: no line torn, full files put aside, compressed and in the end removed.

Whoever writes holds the file's lock, so that what a process has begun and not ended when it died can be cut off by the
next one. A file that was moved away or removed, as logrotate does, is begun anew.
"""

from __future__ import annotations

import contextlib
import fcntl
import gzip
import os
import re
import shutil
import stat
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import attrs

__all__ = ["LineFile", "PartlyWrittenError", "Rotation"]

_fdatasync: Final = getattr(os, "fdatasync", os.fsync)  # macOS has none
_LOOK_BACK: Final = 64 * 1024
_ID: Final = re.compile(rb'^\{"id":"([^"\\]{1,128})"', re.MULTILINE)
_KEPT: Final = re.compile(r"\.\d{8}T\d{6}Z(-\d+)?(\.gz)?")
_BEGUN: Final = ".part"


@attrs.frozen
class Rotation:
    """When a file is put aside, and what becomes of it.

    Args:
        max_size: Bytes above which it is; 0 for never.
        every: Seconds of the periods, counted from the epoch, of which each has a file of its own; 0 for none.
        keep: How many are kept that were put aside.
        compress: Whether these are compressed.
    """

    max_size: int = 0
    every: float = 0.0
    keep: int = 10
    compress: bool = False


class LineFile:
    """The file; every method may wait for the disk or for another process, so call them in a thread.

    Args:
        path: Where it is.
        rotation: When it is put aside.
        sync: Whether what is written is on the disk when ``append`` returns.
    """

    def __init__(self, path: Path, rotation: Rotation | None = None, *, sync: bool = False) -> None:
        self._path = path
        self._rotation = rotation or Rotation()
        self._sync = sync
        self._descriptor: int | None = None
        self._regular = False
        self._ours = -1
        """The size that the file had when this process last wrote it; nobody else has written it while that holds."""

    def open(self) -> None:
        """Open the file, a new one where there is none.

        Raises:
            OSError: it cannot be opened.
        """
        self._reopened()

    def append(self, lines: bytes, now: float) -> int:
        """Write whole lines.

        Args:
            lines: The lines, each with its end.
            now: Seconds since the epoch.

        Returns:
            How many bytes of them, whole lines only, are written: all.

        Raises:
            PartlyWrittenError: not all.
            OSError: none.
        """
        with self._locked() as descriptor:
            start = self._mended(descriptor) if self._regular else 0
            if self._regular and start and self._is_full(descriptor, start, len(lines), now):
                self._put_aside(now)
                put_aside = True
            else:
                put_aside = False
                self._write(descriptor, lines, start)
        if put_aside:
            self._tidy()
            return self.append(lines, now)
        return len(lines)

    def recent_ids(self, most: int) -> set[bytes]:
        """The ids of the last records that are in it, and in those put aside before it.

        Args:
            most: How many bytes to look at.
        """
        found: set[bytes] = set()
        for path in reversed((*self._aside(), self._path)):
            with contextlib.suppress(OSError, EOFError):
                end = _tail(path, most)
                found.update(_ID.findall(end))
                most -= len(end)
            if most <= 0:
                break
        return found

    def close(self) -> None:
        """Close it. Idempotent."""
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is not None:
            os.close(descriptor)

    @contextlib.contextmanager
    def _locked(self) -> Iterator[int]:
        """The open file, which nobody else writes meanwhile; the one in place, not one that was just put aside."""
        while True:
            descriptor = self._reopened()
            if not self._regular:
                yield descriptor
                return
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            try:
                if self._is_in_place(descriptor):
                    yield descriptor
                    return
            finally:
                if self._descriptor is not None:
                    fcntl.flock(descriptor, fcntl.LOCK_UN)

    def _write(self, descriptor: int, lines: bytes, start: int) -> None:
        view, written = memoryview(lines), 0
        try:
            while written < len(view):
                written += os.write(descriptor, view[written:])
            if self._sync:
                _fdatasync(descriptor)
        except OSError as error:
            whole = lines.rfind(b"\n", 0, written) + 1
            if self._regular:
                with contextlib.suppress(OSError):
                    os.ftruncate(descriptor, start + whole)
            else:
                whole = written
            self._ours = -1
            raise PartlyWrittenError(error, whole) from error
        self._ours = start + written

    def _mended(self, descriptor: int) -> int:
        """The size of the file, less a line that somebody has begun and not ended."""
        size = os.fstat(descriptor).st_size
        if size in (0, self._ours):
            return size
        end = size
        while end > 0:
            begin = max(0, end - _LOOK_BACK)
            found = os.pread(descriptor, end - begin, begin).rfind(b"\n")
            if found >= 0:
                end = begin + found + 1
                break
            end = begin
        if end < size:
            os.ftruncate(descriptor, end)
        return end

    def _is_full(self, descriptor: int, size: int, more: int, now: float) -> bool:
        rotation = self._rotation
        if rotation.max_size and size + more > rotation.max_size:
            return True
        return bool(rotation.every) and now // rotation.every > os.fstat(descriptor).st_mtime // rotation.every

    def _put_aside(self, now: float) -> None:
        """Give the file another name; the next one to write begins a new one."""
        name = f"{self._path.name}.{datetime.fromtimestamp(now, UTC):%Y%m%dT%H%M%SZ}"
        target, last = name, [_plain_name(one) for one in self._aside()[-1:]]
        if last and last[0] >= name:  # within the same second, or the clock has been put back
            begun, _, count = last[0].partition("Z-")
            target = f"{begun.removesuffix('Z')}Z-{int(count or 0) + 1:06d}"
        self._path.rename(self._path.parent / target)
        self.close()

    def _tidy(self) -> None:
        """Compress what was put aside, and remove what is too much."""
        aside = self._aside()
        for old in aside[: max(0, len(aside) - self._rotation.keep)]:
            old.unlink(missing_ok=True)
        if not self._rotation.compress:
            return
        for one in self._aside():
            if one.suffix != ".gz":
                with contextlib.suppress(OSError):
                    _compress(one)

    def _aside(self) -> Sequence[Path]:
        """What was put aside, oldest first."""
        name = self._path.name
        with contextlib.suppress(FileNotFoundError):
            return sorted(
                (
                    one
                    for one in self._path.parent.iterdir()
                    if one.name.startswith(name) and _KEPT.fullmatch(one.name[len(name) :])
                ),
                key=_plain_name,
            )
        return ()

    def _is_in_place(self, descriptor: int) -> bool:
        mine = os.fstat(descriptor)
        try:
            there = self._path.stat()
        except FileNotFoundError:
            return False
        return (there.st_ino, there.st_dev) == (mine.st_ino, mine.st_dev)

    def _reopened(self) -> int:
        """The open file; opened anew when there is another one, or none, in its place."""
        if self._descriptor is not None:
            if self._is_in_place(self._descriptor):
                return self._descriptor
            self.close()
        flags = os.O_APPEND | os.O_CREAT | os.O_CLOEXEC
        try:
            descriptor = os.open(self._path, os.O_RDWR | flags, 0o640)
            readable = True
        except PermissionError:
            descriptor = os.open(self._path, os.O_WRONLY | flags, 0o640)  # then nobody mends it
            readable = False
        self._regular = readable and stat.S_ISREG(os.fstat(descriptor).st_mode)
        self._ours = -1
        self._descriptor = descriptor
        return descriptor


class PartlyWrittenError(OSError):
    """Not everything is written.

    Args:
        cause: Why.
        written: How many bytes are, whole lines only.
    """

    def __init__(self, cause: OSError, written: int) -> None:
        super().__init__(*cause.args)
        self.written = written


def _plain_name(path: Path) -> str:
    """What a file was called when it was put aside."""
    return path.name.removesuffix(".gz")


def _tail(path: Path, most: int) -> bytes:
    """The end of a file."""
    if path.suffix == ".gz":
        with gzip.open(path, "rb") as packed:
            return packed.read()[-most:]
    with path.open("rb") as file:
        size = os.fstat(file.fileno()).st_size
        file.seek(max(0, size - most))
        return file.read(most)


def _compress(path: Path) -> None:
    """Put a compressed file in the place of another; a crash leaves one of the two, or both, whole."""
    begun = path.with_name(f"{path.name}{_BEGUN}")
    with path.open("rb") as plain, begun.open("wb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return  # another process is at it
        with gzip.GzipFile(filename="", mode="wb", fileobj=file) as packed:
            shutil.copyfileobj(plain, packed)
        file.flush()
        os.fsync(file.fileno())
        begun.rename(path.with_name(f"{path.name}.gz"))
    path.unlink(missing_ok=True)
