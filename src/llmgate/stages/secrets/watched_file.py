"""A small file that is read again when it has changed."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import Final, TypeAlias

__all__ = ["FileRefusedError", "WatchedFile"]

_FLAGS: Final = os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK
"""Not blocking, so that a named pipe in a file's place cannot hold up the event loop."""

Mark: TypeAlias = tuple[int, int, int, int]
"""Modification time in ns, size, inode, device."""


class FileRefusedError(OSError):
    """The file is there and is not to be read: too large, or not a plain file."""


class WatchedFile:
    """Keeps the content of one file, and notices by time, size and inode when it has been written or replaced.

    Symbolic links are followed each time, so that a swapped link (as Kubernetes does it) counts as a change.

    Args:
        path: The file.
        max_bytes: Upper bound of its size.
    """

    def __init__(self, path: Path, max_bytes: int) -> None:
        self.path = path
        self.content = b""
        self._max_bytes = max_bytes
        self._mark: Mark | None = None

    @property
    def version(self) -> str:
        """A name of the content read last: the file's modification time in nanoseconds, ``""`` before."""
        return "" if self._mark is None else str(self._mark[0])

    def refresh(self) -> bool:
        """Read the file if it is not the one read last.

        Returns:
            Whether it was read.

        Raises:
            FileNotFoundError: it is not there; the content is forgotten.
            OSError: it cannot be read; the content is kept.
        """
        try:
            if self._mark is not None and _mark(os.stat(self.path)) == self._mark:  # noqa: PTH116 - called often
                return False
            self._mark, self.content = self._read()
        except (FileNotFoundError, NotADirectoryError) as error:
            self._mark, self.content = None, b""
            raise FileNotFoundError(str(self.path)) from error
        return True

    def _read(self) -> tuple[Mark, bytes]:
        descriptor = os.open(self.path, _FLAGS)
        try:
            status = os.fstat(descriptor)
            if not stat.S_ISREG(status.st_mode):
                raise FileRefusedError(f"{self.path} is not a plain file")
            with os.fdopen(descriptor, "rb", closefd=False) as file:
                content = file.read(self._max_bytes + 1)
        finally:
            os.close(descriptor)
        if len(content) > self._max_bytes:
            raise FileRefusedError(f"{self.path} is larger than {self._max_bytes} bytes")
        return _mark(status), content


def _mark(status: os.stat_result) -> Mark:
    return status.st_mtime_ns, status.st_size, status.st_ino, status.st_dev
