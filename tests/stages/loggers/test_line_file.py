"""A file of lines: whole lines from several processes, whatever becomes of a process or of the disk."""

from __future__ import annotations

import gzip
import multiprocessing
import os
from pathlib import Path

import pytest

from llmgate.stages.loggers import line_file
from llmgate.stages.loggers.line_file import LineFile, PartlyWrittenError, Rotation

DAY = 86400.0


def line(name: str) -> bytes:
    return f'{{"id":"{name}","x":1}}\n'.encode()


def aside(path: Path) -> list[str]:
    return sorted(one.name for one in path.parent.iterdir() if one != path)


@pytest.fixture
def path(tmp_path) -> Path:
    return tmp_path / "records.jsonl"


def test_what_a_dead_process_has_begun_is_cut_off(path) -> None:
    path.write_bytes(line("a") + b'{"id":"torn","x"')
    file = LineFile(path)
    file.append(line("b"), 0.0)
    assert path.read_bytes() == line("a") + line("b")
    path.write_bytes(path.read_bytes() + b"x" * 200_000)
    file.append(line("c"), 0.0)
    assert path.read_bytes() == line("a") + line("b") + line("c")
    file.close()
    path.write_bytes(b"no line at all")
    file.append(line("d"), 0.0)
    assert path.read_bytes() == line("d")
    file.close()
    file.close()


def test_it_knows_what_is_in_it(path) -> None:
    file = LineFile(path, Rotation(max_size=40, compress=True))
    for name in "abcdefgh":
        file.append(line(name), 1_700_000_000.0)
    assert len(aside(path)) > 1
    assert file.recent_ids(10_000) == {name.encode() for name in "abcdefgh"}
    assert b"h" in file.recent_ids(30)
    assert b"a" not in file.recent_ids(30)
    file.close()
    assert LineFile(path.with_name("none")).recent_ids(10) == set()


def test_a_full_file_is_put_aside_and_so_many_are_kept(path) -> None:
    file = LineFile(path, Rotation(max_size=50, keep=3))
    for number in range(20):
        file.append(line(f"{number:02}"), 1_763_730_000.0)
    names = aside(path)
    assert len(names) == 3
    assert names[0].startswith("records.jsonl.20251121T130000Z")
    held = b"".join((path.parent / name).read_bytes() for name in names) + path.read_bytes()
    assert held == b"".join(line(f"{number:02}") for number in range(12, 20))
    file.close()


def test_none_is_kept_where_none_is_wanted(path) -> None:
    file = LineFile(path, Rotation(max_size=30, keep=0))
    for number in range(5):
        file.append(line(str(number)), 0.0)
    assert aside(path) == []
    assert path.read_bytes() == line("4")
    file.close()


def test_a_line_that_is_larger_than_a_file_has_one_of_its_own(path) -> None:
    file = LineFile(path, Rotation(max_size=50))
    file.append(line("a" * 200), 0.0)
    file.append(line("b"), 0.0)
    assert path.read_bytes() == line("b")
    file.close()


def test_each_period_has_a_file_of_its_own(path) -> None:
    file = LineFile(path, Rotation(every=DAY))
    noon = 20_000 * DAY + 43_200
    file.append(line("a"), noon)
    os.utime(path, (noon, noon))
    file.append(line("b"), noon + 3600)
    os.utime(path, (noon, noon))
    file.append(line("c"), noon + DAY)
    assert path.read_bytes() == line("c")
    (name,) = aside(path)
    assert (path.parent / name).read_bytes() == line("a") + line("b")
    file.close()


def test_what_is_put_aside_is_compressed_and_a_crash_there_harms_nothing(path, monkeypatch) -> None:
    file = LineFile(path, Rotation(max_size=30, compress=True))
    monkeypatch.setattr(line_file, "_compress", lambda _: (_ for _ in ()).throw(OSError("killed")))
    file.append(line("a"), 0.0)
    file.append(line("b"), 0.0)
    monkeypatch.undo()
    (path.parent / f"{aside(path)[0]}.part").write_bytes(b"begun")
    file.append(line("c"), 5.0)
    names = aside(path)
    assert len(names) == 2
    assert all(name.endswith(".gz") for name in names)
    assert [gzip.decompress((path.parent / name).read_bytes()) for name in names] == [line("a"), line("b")]
    file.close()


def test_other_files_beside_it_are_left_alone(path) -> None:
    for name in ("records.jsonl.1", "records.jsonl.bak", "records.jsonl2.20251121T130000Z"):
        path.with_name(name).write_text("mine")
    file = LineFile(path, Rotation(max_size=30, keep=0))
    for name in "abc":
        file.append(line(name), 0.0)
    assert len(aside(path)) == 3
    file.close()


@pytest.mark.parametrize("fails_to_cut", [False, True])
@pytest.mark.parametrize("let_through", [0, 5, 15, 25, 40, 50])
def test_a_write_that_fails_leaves_whole_lines_and_says_how_many(path, monkeypatch, let_through, fails_to_cut) -> None:
    file = LineFile(path)
    file.append(line("first"), 0.0)
    batch = line("a") + line("b") + line("c")
    real, calls = os.write, []

    def partly(descriptor: int, data: bytes) -> int:
        calls.append(1)
        if len(calls) == 1 and let_through:
            return real(descriptor, bytes(data)[:let_through])
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "write", partly)
    if fails_to_cut:
        monkeypatch.setattr(os, "ftruncate", lambda *_: (_ for _ in ()).throw(OSError(28, "full")))
    with pytest.raises(PartlyWrittenError) as failed:
        file.append(batch, 0.0)
    monkeypatch.undo()
    rest = batch[failed.value.written :]
    assert not rest or rest in (batch, line("b") + line("c"), line("c"))
    file.append(rest + line("d"), 0.0)
    assert path.read_bytes() == line("first") + batch + line("d")
    file.close()


def test_what_is_no_file_is_written_as_it_comes(tmp_path) -> None:
    path = tmp_path / "pipe"
    os.mkfifo(path)
    reader = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    file = LineFile(path, Rotation(max_size=1, every=1.0))
    file.append(line("a"), 0.0)
    file.append(line("b"), 10.0)
    assert os.read(reader, 1000) == line("a") + line("b")
    file.close()
    os.close(reader)


def _write(path: Path, name: str) -> None:
    file = LineFile(path, Rotation(max_size=2000, keep=10_000))
    for number in range(100):
        file.append(line(f"{name}{number}") + line(f"{name}{number}'"), 1_700_000_000.0)
    file.close()


def test_several_processes_write_whole_lines_and_rotate_without_loss(path) -> None:
    context = multiprocessing.get_context("spawn")
    processes = [context.Process(target=_write, args=(path, name)) for name in "abc"]
    for one in processes:
        one.start()
    for one in processes:
        one.join(30)
        assert one.exitcode == 0
    files = [path.parent / name for name in aside(path)] + [path]
    held = [text for file in files for text in file.read_bytes().splitlines(keepends=True)]
    wanted = [line(f"{name}{number}{end}") for name in "abc" for number in range(100) for end in ("", "'")]
    assert sorted(held) == sorted(wanted)
    assert len(files) > 5
