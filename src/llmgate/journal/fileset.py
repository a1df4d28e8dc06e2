"""The files of one process: a directory with a lock, segments of frames, and a cursor for each logger.

The lock is the process's life: whoever gets the lock of another's directory knows that its owner is dead, and may
adopt what it has left.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Final, NamedTuple

from .disk import Disk
from .frames import Scan, scan

__all__ = ["FileSet", "Position", "file_sets", "remove_begun"]

_LOCK: Final = "lock"
_SEGMENT: Final = ".segment"
_CURSOR: Final = "cursor-"
_UNREADABLE: Final = "unreadable"
_BEGUN_SECONDS: Final = 600.0
"""After how long a file set that is not whole is taken for one whose process was killed."""
_MOST_ASIDE: Final = 64 * 1024 * 1024
_PIECE: Final = 1024 * 1024


class Position(NamedTuple):
    """A place in a file set: behind ``offset`` bytes of a segment. A tuple, since every record is compared by it."""

    segment: int = 1
    offset: int = 0


class FileSet:
    """One directory; make it with ``create`` or ``adopt``.

    Args:
        path: The directory.
        lock: The descriptor that holds its lock.
        disk: The operations on files.
    """

    def __init__(self, path: Path, lock: int, disk: Disk) -> None:
        self.path = path
        self.disk = disk
        self._lock: int | None = lock

    @classmethod
    def create(cls, parent: Path, name: str, disk: Disk) -> FileSet:
        """A new one, locked before anybody sees it.

        Raises:
            OSError: it cannot be made.
        """
        hidden = parent / f".{name}"
        hidden.mkdir(mode=0o750, parents=True)
        os.close(disk.create(hidden / _LOCK))
        lock = disk.lock(hidden / _LOCK)
        assert lock is not None, "nobody knows of it yet"
        try:
            hidden.rename(parent / name)
        except OSError:
            os.close(lock)
            raise
        return cls(parent / name, lock, disk)

    @classmethod
    def adopt(cls, path: Path, disk: Disk) -> FileSet | None:
        """The file set of a process that is dead; None where it lives, or another has been quicker."""
        lock = disk.lock(path / _LOCK)
        return None if lock is None else cls(path, lock, disk)

    def segment(self, number: int) -> Path:
        """The file of a segment."""
        return self.path / f"{number:08d}{_SEGMENT}"

    def segments(self) -> Sequence[int]:
        """The numbers of the segments that are there, oldest first."""
        return sorted(int(one.stem) for one in self.path.glob(f"*{_SEGMENT}") if one.stem.isdigit())

    def size(self) -> int:
        """Bytes of all segments."""
        return sum(one.stat().st_size for one in self.path.glob(f"*{_SEGMENT}"))

    def cursors(self) -> dict[str, Position]:
        """How far each logger has taken the records; from the beginning where that cannot be read."""
        found: dict[str, Position] = {}
        for one in self.path.glob(f"{_CURSOR}*"):
            found[one.name.removeprefix(_CURSOR)] = _position(one.read_bytes())
        return found

    def move_cursor(self, logger: str, position: Position) -> None:
        """Write down how far a logger has taken the records.

        Raises:
            OSError: it stays where it was.
        """
        text = b"%08d %016d " % (position.segment, position.offset)
        self.disk.put(self.path / f"{_CURSOR}{logger}", text + b"%08x\n" % zlib.crc32(text))

    def read(self, position: Position, until: Position | None, most: int) -> tuple[Scan, Position, bool]:
        """Frames behind a position.

        Args:
            position: Where to begin.
            until: Where the writer is; None where nobody writes any more.
            most: How many frames are wanted.

        Returns:
            What was found, where it ends, and whether there is nothing more for now.

        Raises:
            OSError: a segment cannot be read.
        """
        while True:
            numbers = self.segments()
            later = [one for one in numbers if one > position.segment]
            if position.segment in numbers:
                found = self._read_in(position, until, most)
                if found.frames or found.damaged:
                    return found, Position(position.segment, position.offset + found.end), False
            elif not later:
                return Scan((), 0), position, True
            if not later or (until is not None and position.segment >= until.segment):
                return Scan((), 0), position, True
            position = Position(later[0])

    def _read_in(self, position: Position, until: Position | None, most: int) -> Scan:
        """Frames of one segment; what is longer than a piece is read in one that is long enough."""
        whole = until is None or position.segment < until.segment
        piece = _PIECE
        with self.segment(position.segment).open("rb") as file:
            while True:
                file.seek(position.offset)
                wanted = piece if whole or until is None else min(piece, until.offset - position.offset)
                data = file.read(max(0, wanted))
                found = scan(data, last=len(data) < piece, most=most)
                if found.frames or found.damaged or len(data) < piece:
                    return found
                piece *= 4

    def put_aside(self, payload: bytes) -> None:
        """Keep a record that nobody can take, for people; best effort."""
        with contextlib.suppress(OSError), (self.path.parent / _UNREADABLE).open("ab") as file:
            if file.tell() < _MOST_ASIDE:
                file.write(payload + b"\n")

    def remove_segment(self, number: int) -> None:
        """Remove a segment that nobody needs any more."""
        with contextlib.suppress(FileNotFoundError):
            self.segment(number).unlink()

    def close(self) -> None:
        """Let go of it; whoever comes next may adopt it. Idempotent."""
        lock, self._lock = self._lock, None
        if lock is not None:
            os.close(lock)

    def remove(self) -> None:
        """Remove it: everything in it has been delivered.

        It is hidden first: a process that is killed meanwhile leaves nothing that looks like a set without its lock.
        """
        hidden = self.path.with_name(f".{self.path.name}")
        with contextlib.suppress(OSError):
            self.path.rename(hidden)
            shutil.rmtree(hidden)
        self.close()


def file_sets(parent: Path) -> Sequence[Path]:
    """The file sets beneath a directory, oldest first, whoever they belong to."""
    if not parent.is_dir():
        return ()
    return sorted(one for one in parent.iterdir() if (one / _LOCK).exists() and not one.name.startswith("."))


def remove_begun(parent: Path, now: float) -> None:
    """Remove file sets whose process was killed before they were whole, or while it removed them.

    Args:
        parent: The directory above.
        now: Seconds since the epoch.
    """
    for one in parent.glob(".*"):
        with contextlib.suppress(OSError):
            if one.is_dir() and one.stat().st_mtime < now - _BEGUN_SECONDS:
                shutil.rmtree(one)


def _position(text: bytes) -> Position:
    """What a cursor says; the beginning where it is damaged: what it is given twice, a logger keeps once."""
    with contextlib.suppress(ValueError):
        segment, offset, checksum = text.split()
        if int(checksum, 16) == zlib.crc32(text[:26]):
            return Position(int(segment), int(offset))
    return Position()
