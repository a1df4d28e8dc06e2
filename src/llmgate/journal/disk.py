"""What a journal does with the disk, in one place, so that a test can make any of it fail."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path
from typing import Final

__all__ = ["Disk"]

_fdatasync: Final = getattr(os, "fdatasync", os.fsync)  # macOS has none


class Disk:
    """The operations on files that may fail."""

    def create(self, path: Path) -> int:
        """A new file, open for writing.

        Raises:
            OSError: it is there already, or cannot be made.
        """
        return os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o640)

    def write(self, descriptor: int, data: bytes) -> None:
        """Write all of it.

        Raises:
            OSError: some or all of it is not written.
        """
        view = memoryview(data)
        while view:
            view = view[os.write(descriptor, view) :]

    def sync(self, descriptor: int) -> None:
        """Have what was written survive a loss of power.

        Raises:
            OSError: nobody knows what of it does.
        """
        _fdatasync(descriptor)

    def truncate(self, descriptor: int, size: int) -> None:
        """Cut a file, and go on writing at its new end.

        Raises:
            OSError: it is as it was.
        """
        os.ftruncate(descriptor, size)
        os.lseek(descriptor, size, os.SEEK_SET)

    def put(self, path: Path, data: bytes) -> None:
        """Write a small file at once; a reader after a crash sees the old one, the new one, or one that is damaged.

        Raises:
            OSError: it cannot be written.
        """
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o640)
        try:
            os.pwrite(descriptor, data, 0)
        finally:
            os.close(descriptor)

    def sync_directory(self, path: Path) -> None:
        """Have the names of new files survive a loss of power.

        Raises:
            OSError: nobody knows whether they do.
        """
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def lock(self, path: Path) -> int | None:
        """The lock of a file set, held until its descriptor is closed or the process ends, however it ends.

        Returns:
            The descriptor; None where somebody holds it, or the file set is gone.
        """
        try:
            descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
        except FileNotFoundError:
            return None
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if os.fstat(descriptor).st_nlink:  # else it was removed while we waited for it
                return descriptor
        except BlockingIOError:
            pass
        os.close(descriptor)
        return None
