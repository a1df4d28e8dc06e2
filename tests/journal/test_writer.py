"""All of a write or none of it, whichever operation fails."""

from __future__ import annotations

import pytest

from journal.conftest import FailingDisk
from llmgate.journal.disk import Disk
from llmgate.journal.fileset import FileSet, Position
from llmgate.journal.frames import frame_of
from llmgate.journal.writer import Writer

FRAMES = [frame_of(b"%d" % number) for number in range(12)]


def read(files: FileSet) -> list[bytes]:
    found, position, at_end = [], Position(), False
    while not at_end:
        piece, position, at_end = files.read(position, None, 100)
        found += [one.payload for one in piece.frames]
    return found


@pytest.mark.parametrize("sync", ["group", "os", "always"])
def test_what_is_written_is_there_in_segments_of_a_size(tmp_path, sync) -> None:
    files = FileSet.create(tmp_path, "one", Disk())
    writer = Writer(files, sync, 50)
    ends = [end for number in range(0, 12, 2) for end in writer.write(FRAMES[number : number + 2])]
    assert read(files) == [b"%d" % number for number in range(12)]
    assert ends == sorted(ends)
    assert ends[-1] == writer.position
    assert len(files.segments()) == 3
    writer.close()
    writer.close()
    files.close()


@pytest.mark.parametrize("half", [False, True])
@pytest.mark.parametrize("sync", ["group", "os", "always"])
def test_whichever_operation_fails_a_write_is_whole_or_absent(tmp_path, sync, half) -> None:
    number = 0
    while True:
        number += 1
        disk = FailingDisk()
        files = FileSet.create(tmp_path, f"one-{number}", disk)
        disk.count, disk.numbers, disk.half = 0, {number}, half
        writer = Writer(files, sync, 50)
        kept: list[bytes] = []
        failed = 0
        for begin in range(0, 12, 2):
            try:
                writer.write(FRAMES[begin : begin + 2])
                kept += [b"%d" % begin, b"%d" % (begin + 1)]
            except OSError:
                failed += 1
        writer.close()
        assert read(files) == kept
        files.remove()
        if not failed:
            break
    assert number > 8


def test_where_nothing_can_be_taken_back_nothing_written_is_lost(tmp_path) -> None:
    """The disk fails twice: in the write and in cutting off what was begun. Readers may see more, never less."""
    disk = FailingDisk()
    files = FileSet.create(tmp_path, "one", disk)
    writer = Writer(files, "os", 10_000)
    writer.write(FRAMES[:2])
    disk.numbers, disk.half = {disk.count + 1, disk.count + 2}, True
    with pytest.raises(OSError, match="No space"):
        writer.write(FRAMES[2:5])
    writer.write(FRAMES[5:7])
    found = read(files)
    assert set(found) >= {b"0", b"1", b"5", b"6"}
    assert found == sorted(found)
    writer.close()
    files.close()
