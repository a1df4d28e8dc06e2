from __future__ import annotations

import os

import pytest

from llmgate.journal.disk import Disk


def test_a_lock_is_held_once_and_free_when_its_holder_lets_go(tmp_path) -> None:
    disk = Disk()
    os.close(disk.create(tmp_path / "lock"))
    held = disk.lock(tmp_path / "lock")
    assert held is not None
    assert disk.lock(tmp_path / "lock") is None
    os.close(held)
    again = disk.lock(tmp_path / "lock")
    assert again is not None
    os.close(again)
    assert disk.lock(tmp_path / "nowhere") is None


def test_the_lock_of_what_was_removed_is_nobodys(tmp_path, monkeypatch) -> None:
    """Two wait for a dead process's files; the first removes them before the second gets the lock."""
    disk, path = Disk(), tmp_path / "lock"
    os.close(disk.create(path))
    real = os.open

    def removed_meanwhile(*arguments, **options):
        descriptor = real(*arguments, **options)
        path.unlink()
        return descriptor

    monkeypatch.setattr(os, "open", removed_meanwhile)
    assert disk.lock(path) is None


def test_a_file_is_cut_and_goes_on_at_its_end(tmp_path) -> None:
    disk = Disk()
    descriptor = disk.create(tmp_path / "a")
    disk.write(descriptor, b"one two")
    disk.truncate(descriptor, 3)
    disk.write(descriptor, b"!")
    disk.sync(descriptor)
    disk.sync_directory(tmp_path)
    os.close(descriptor)
    assert (tmp_path / "a").read_bytes() == b"one!"
    with pytest.raises(FileExistsError):
        disk.create(tmp_path / "a")
    disk.put(tmp_path / "a", b"six")
    assert (tmp_path / "a").read_bytes() == b"six!"
