from __future__ import annotations

import pytest

from llmgate.journal.disk import Disk
from llmgate.journal.fileset import FileSet, Position, file_sets, remove_begun
from llmgate.journal.frames import frame_of


@pytest.fixture
def files(tmp_path):
    made = FileSet.create(tmp_path / "journal", "one", Disk())
    yield made
    made.close()


def put(files: FileSet, number: int, *payloads: bytes) -> None:
    with files.segment(number).open("ab") as file:
        for one in payloads:
            file.write(frame_of(one))


def everything(
    files: FileSet, start: Position | None = None, until: Position | None = None, most: int = 2
) -> list[bytes]:
    start, found, at_end = start or Position(), [], False
    while not at_end:
        read, start, at_end = files.read(start, until, most)
        found += [one.payload for one in read.frames]
    return found


def test_one_that_lives_cannot_be_adopted_and_one_that_is_left_can(files, tmp_path) -> None:
    assert file_sets(tmp_path / "journal") == [files.path]
    assert FileSet.adopt(files.path, Disk()) is None
    files.close()
    adopted = FileSet.adopt(files.path, Disk())
    assert adopted is not None
    adopted.remove()
    assert file_sets(tmp_path / "journal") == []
    assert FileSet.adopt(files.path, Disk()) is None
    assert file_sets(tmp_path / "nowhere") == ()


def test_a_cursor_comes_back_and_a_damaged_one_is_at_the_beginning(files) -> None:
    files.move_cursor("sink", Position(3, 77))
    files.move_cursor("other", Position(0, 0))
    assert files.cursors() == {"sink": Position(3, 77), "other": Position(0, 0)}
    path = files.path / "cursor-sink"
    whole = path.read_bytes()
    for length in range(len(whole) - 1):
        path.write_bytes(whole[:length])
        assert files.cursors()["sink"] == Position()
    path.write_bytes(whole.replace(b"77", b"78"))
    assert files.cursors()["sink"] == Position()
    path.write_bytes(b"\xff" * 35)
    assert files.cursors()["sink"] == Position()


def test_frames_are_read_over_segments_with_and_without_an_end(files) -> None:
    put(files, 1, b"1", b"2", b"3")
    put(files, 2)
    put(files, 4, b"4", b"5")
    assert files.segments() == [1, 2, 4]
    assert everything(files) == [b"1", b"2", b"3", b"4", b"5"]
    size = len(frame_of(b"1"))
    assert files.size() == 5 * size
    assert everything(files, Position(1, size)) == [b"2", b"3", b"4", b"5"]
    assert everything(files, Position(0, 0), Position(4, size)) == [b"1", b"2", b"3", b"4"]
    assert everything(files, Position(4, size), Position(4, size)) == []
    files.remove_segment(1)
    files.remove_segment(1)
    assert everything(files) == [b"4", b"5"], "what was dropped is passed by"


def test_a_frame_longer_than_a_piece_is_read(files) -> None:
    long = b"x" * 3_000_000
    put(files, 1, b"1", long, b"3")
    assert everything(files, most=10) == [b"1", long, b"3"]


def test_a_torn_tail_is_told_once(files) -> None:
    put(files, 1, b"1")
    with files.segment(1).open("ab") as file:
        file.write(frame_of(b"torn")[:-3])
    put(files, 2, b"2")
    read, position, at_end = files.read(Position(), None, 10)
    assert ([one.payload for one in read.frames], read.damaged > 0, at_end) == ([b"1"], True, False)
    read, position, at_end = files.read(position, None, 10)
    assert ([one.payload for one in read.frames], read.damaged, at_end) == ([b"2"], 0, False)


def test_what_nobody_takes_is_put_aside(files, tmp_path) -> None:
    files.put_aside(b"{}")
    files.put_aside(b"[]")
    assert (tmp_path / "journal" / "unreadable").read_bytes() == b"{}\n[]\n"


def test_what_was_begun_by_a_process_that_is_dead_is_removed(tmp_path) -> None:
    (tmp_path / ".begun").mkdir()
    (tmp_path / ".file").write_text("")
    now = (tmp_path / ".begun").stat().st_mtime
    remove_begun(tmp_path, now + 60)
    assert (tmp_path / ".begun").exists(), "it may still become whole"
    remove_begun(tmp_path, now + 3600)
    assert [one.name for one in tmp_path.iterdir()] == [".file"]


def test_of_a_process_that_is_killed_while_it_removes_nothing_stays(files, monkeypatch) -> None:
    put(files, 1, b"delivered")
    parent = files.path.parent

    def killed(path) -> None:
        (path / "lock").unlink()
        raise OSError("killed here")

    with monkeypatch.context() as dying:
        dying.setattr("llmgate.journal.fileset.shutil.rmtree", killed)
        files.remove()
    assert [one.name for one in parent.iterdir()] == [".one"], "no set without a lock is in sight"
    remove_begun(parent, (parent / ".one").stat().st_mtime + 3600)
    assert list(parent.iterdir()) == []
