"""The end of a journal at which frames are written: segments of a bounded size, and what happens when a disk fails."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Sequence
from typing import Literal, TypeAlias

from .fileset import FileSet, Position

__all__ = ["Sync", "Writer"]

Sync: TypeAlias = Literal["group", "os", "always"]
"""When what is written is on the disk: at once for all that wait, when the system likes, at once for each."""


class Writer:
    """Writes frames, one call at a time.

    Args:
        files: Where.
        sync: When it is on the disk.
        segment_size: Bytes after which a segment is full.
    """

    def __init__(self, files: FileSet, sync: Sync, segment_size: int) -> None:
        self._files = files
        self._sync = sync
        self._segment_size = segment_size
        self._descriptor: int | None = None
        self.position = Position(0)
        """Behind the last frame that is written."""

    def write(self, frames: Sequence[bytes]) -> Sequence[Position]:
        """Write frames, all of them or, as far as readers can tell, none.

        Returns:
            Where each of them ends.

        Raises:
            OSError: they are not written.
        """
        start = self.position
        try:
            return self._write(frames)
        except OSError:
            self._take_back(start)
            raise

    def close(self) -> None:
        """Close the file. Idempotent."""
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is not None:
            with contextlib.suppress(OSError):
                os.close(descriptor)

    def _write(self, frames: Sequence[bytes]) -> Sequence[Position]:
        descriptor = self._descriptor
        if descriptor is None or self.position.offset >= self._segment_size:
            descriptor = self._begin_segment()
        disk, (number, offset) = self._files.disk, (self.position.segment, self.position.offset)
        if self._sync == "always":
            for one in frames:
                disk.write(descriptor, one)
                disk.sync(descriptor)
        else:
            disk.write(descriptor, frames[0] if len(frames) == 1 else b"".join(frames))
            if self._sync == "group":
                disk.sync(descriptor)
        ends = []
        for one in frames:
            offset += len(one)
            ends.append(Position(number, offset))
        self.position = ends[-1]
        return ends

    def _begin_segment(self) -> int:
        self.close()
        number = max((self.position.segment, *self._files.segments())) + 1
        descriptor = self._files.disk.create(self._files.segment(number))
        self._descriptor, self.position = descriptor, Position(number)
        if self._sync != "os":
            self._files.disk.sync_directory(self._files.path)
        return descriptor

    def _take_back(self, start: Position) -> None:
        """Cut off what was begun; after a failed sync nobody knows what the file holds, so another one is begun."""
        descriptor = self._descriptor
        if descriptor is None:
            return
        offset = start.offset if start.segment == self.position.segment else 0
        with contextlib.suppress(OSError):
            self._files.disk.truncate(descriptor, offset)
        self.position = Position(self.position.segment, offset)
        self.close()
