"""How much of a file set waits for a logger, and since when; read from disk, in a thread."""

from __future__ import annotations

from llmgate.codecs.jsons import JSONError, loads
from llmgate.spec import Record

from .fileset import FileSet, Position

__all__ = ["bytes_behind", "end_of", "first_end"]


def bytes_behind(files: FileSet, position: Position) -> int:
    """Bytes of the segments behind a position; 0 where they are being removed."""
    try:
        sizes = {one: files.segment(one).stat().st_size for one in files.segments() if one >= position.segment}
    except OSError:
        return 0
    return max(0, sum(sizes.values()) - (position.offset if position.segment in sizes else 0))


def first_end(files: FileSet, position: Position, until: Position | None) -> float | None:
    """When the exchange of the first record behind a position was over; None where that cannot be read.

    Args:
        files: Where.
        position: The position.
        until: Where the writer is; None where nobody writes any more.
    """
    try:
        found, _, _ = files.read(position, until, 1)
        return end_of(Record.from_json(loads(found.frames[0].payload))) if found.frames else None
    except (OSError, JSONError, ValueError):
        return None


def end_of(record: Record) -> float:
    """When the exchange of a record was over, in seconds since the epoch."""
    return record.started_at + record.duration
