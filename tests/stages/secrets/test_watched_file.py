"""A watched file is read when it has changed, and only then."""

from __future__ import annotations

import os

import pytest

from llmgate.stages.secrets.watched_file import FileRefusedError, WatchedFile


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"one")
    return path


def test_it_is_read_once_while_it_stays_the_same(path):
    file = WatchedFile(path, 100)
    assert (file.version, file.refresh(), file.content) == ("", True, b"one")
    assert file.refresh() is False
    assert file.version == str(path.stat().st_mtime_ns)


def test_a_file_put_in_its_place_is_noticed_though_time_and_size_agree(path, tmp_path):
    file = WatchedFile(path, 100)
    file.refresh()
    status = path.stat()
    other = tmp_path / "other"
    other.write_bytes(b"two")
    os.utime(other, ns=(status.st_atime_ns, status.st_mtime_ns))
    other.replace(path)
    assert file.refresh()
    assert file.content == b"two"


def test_a_file_that_is_gone_is_forgotten(path):
    file = WatchedFile(path, 100)
    file.refresh()
    path.unlink()
    with pytest.raises(FileNotFoundError):
        file.refresh()
    assert (file.content, file.version) == (b"", "")


def test_a_file_that_is_too_large_is_refused_and_the_last_content_kept(path):
    file = WatchedFile(path, 3)
    file.refresh()
    path.write_bytes(b"four")
    with pytest.raises(FileRefusedError, match="larger than 3 bytes"):
        file.refresh()
    assert file.content == b"one"


def test_a_named_pipe_is_refused_without_waiting(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(FileRefusedError, match="not a plain file"):
        WatchedFile(tmp_path / "pipe", 100).refresh()


def test_a_directory_is_refused(tmp_path):
    with pytest.raises(FileRefusedError, match="not a plain file"):
        WatchedFile(tmp_path, 100).refresh()
