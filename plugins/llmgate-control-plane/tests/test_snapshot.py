"""The file: whole or not there, its owner's alone, sealed where a key is given; a clear word for any that is not."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest
from llmgate_control_plane.seal import Seal
from llmgate_control_plane.snapshot import Snapshot, SnapshotError, SnapshotFile
from plane_bench import KEY, SEAL, issued, make_context

from llmgate.spec import ConfigError, SecretRef

URL = "wss://plane.example/ws"
SEALED = Seal(bytes.fromhex(SEAL))
WHOLE = Snapshot((issued(KEY),), 1_700_000_000.5)


@pytest.fixture(params=[None, SEALED], ids=["plain", "sealed"])
def file(request: pytest.FixtureRequest, tmp_path: Path) -> SnapshotFile:
    return SnapshotFile(tmp_path / "keys", URL, request.param)


def test_what_is_written_is_read(file: SnapshotFile):
    assert file.read() is None
    file.write(WHOLE)
    found = file.read()
    assert found is not None
    assert found.known_at == WHOLE.known_at
    assert [key.hash for key in found.keys] == [key.hash for key in WHOLE.keys]
    file.write(Snapshot((), 1.0))
    assert file.read() == Snapshot((), 1.0)


def test_it_is_its_owners_alone_and_nothing_stays_beside_it(file: SnapshotFile):
    file.write(WHOLE)
    assert stat.S_IMODE(file.path.stat().st_mode) == 0o600
    assert [path.name for path in file.path.parent.iterdir()] == ["keys"]


def test_any_byte_that_is_changed_is_found(file: SnapshotFile):
    file.write(WHOLE)
    whole = file.path.read_bytes()
    for position in range(0, len(whole), 7):
        file.path.write_bytes(whole[:position] + bytes([whole[position] ^ 1]) + whole[position + 1 :])
        with pytest.raises(SnapshotError, match=r"remove|give"):
            file.read()


def test_a_file_that_is_cut_off_anywhere_is_found(file: SnapshotFile):
    file.write(WHOLE)
    whole = file.path.read_bytes()
    for length in range(0, len(whole), 5):
        file.path.write_bytes(whole[:length])
        with pytest.raises(SnapshotError, match="remove"):
            file.read()


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o602, 0o666])
def test_one_that_others_may_touch_is_not_used(file: SnapshotFile, mode: int):
    file.write(WHOLE)
    file.path.chmod(mode)
    with pytest.raises(SnapshotError, match=r"others may read or write it.*mode 600"):
        file.read()


def test_one_of_somebody_elses_is_not_used(file: SnapshotFile, monkeypatch: pytest.MonkeyPatch):
    file.write(WHOLE)
    other = os.geteuid() + 1
    monkeypatch.setattr(os, "geteuid", lambda: other)
    with pytest.raises(SnapshotError, match="not the gateway's own"):
        file.read()


def test_links_pipes_and_directories_are_not_used(file: SnapshotFile, tmp_path: Path):
    file.write(WHOLE)
    file.path.rename(tmp_path / "real")
    file.path.symlink_to(tmp_path / "real")
    with pytest.raises(SnapshotError, match="cannot be read"):
        file.read()
    file.path.unlink()
    os.mkfifo(file.path, 0o600)
    with pytest.raises(SnapshotError, match="is no file"):
        file.read()
    file.path.unlink()
    file.path.mkdir()
    with pytest.raises(SnapshotError, match="is no file"):
        file.read()


def test_a_link_at_its_place_is_replaced_and_not_followed(file: SnapshotFile, tmp_path: Path):
    (tmp_path / "victim").write_text("untouched")
    file.path.symlink_to(tmp_path / "victim")
    file.write(WHOLE)
    assert (tmp_path / "victim").read_text() == "untouched"
    assert file.read() is not None


def test_one_of_another_control_plane_is_not_used(file: SnapshotFile):
    file.write(WHOLE)
    seal = file._seal
    with pytest.raises(SnapshotError, match="another control plane"):
        SnapshotFile(file.path, "wss://other.example/ws", seal).read()


def test_sealed_and_plain_are_not_taken_for_each_other(tmp_path: Path):
    plain, sealed = (SnapshotFile(tmp_path / "keys", URL, seal) for seal in (None, SEALED))
    plain.write(WHOLE)
    with pytest.raises(SnapshotError, match="is not sealed"):
        sealed.read()
    sealed.write(WHOLE)
    with pytest.raises(SnapshotError, match="there is no snapshot-key"):
        plain.read()
    with pytest.raises(SnapshotError, match="another snapshot-key"):
        SnapshotFile(tmp_path / "keys", URL, Seal(bytes(range(32)))).read()


def test_what_is_sealed_shows_nothing(tmp_path: Path):
    SnapshotFile(tmp_path / "keys", URL, SEALED).write(WHOLE)
    data = (tmp_path / "keys").read_bytes()
    assert issued(KEY).id.encode() not in data
    assert issued(KEY).hash.hex().encode() not in data


@pytest.mark.parametrize("step", ["write", "flush", "fsync", "replace"])
def test_a_failure_at_any_step_leaves_the_old_file(file: SnapshotFile, monkeypatch: pytest.MonkeyPatch, step: str):
    file.write(WHOLE)

    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    if step == "fsync":
        monkeypatch.setattr(os, "fsync", fail)
    elif step == "replace":
        monkeypatch.setattr(Path, "replace", fail)
    else:
        opened = os.fdopen

        def failing(descriptor: int, mode: str):
            found = opened(descriptor, mode)
            if mode != "wb":
                return found

            class Full:
                def __enter__(self):
                    return self

                def __exit__(self, *_: object):
                    found.close()

                def write(self, _: bytes) -> None:
                    if step == "write":
                        fail()

                flush = fail

            return Full()

        monkeypatch.setattr(os, "fdopen", failing)
    with pytest.raises(OSError, match="No space"):
        file.write(Snapshot((), 0.0))
    monkeypatch.undo()
    found = file.read()
    assert found is not None
    assert found.known_at == WHOLE.known_at
    assert [path.name for path in file.path.parent.iterdir()] == ["keys"]


@pytest.mark.parametrize("text", ["", "short-one", "00" * 32, "ab" * 31, "not base64 !"])
async def test_a_key_that_is_none_is_refused_without_being_shown(tmp_path: Path, text: str):
    context = make_context(tmp_path, secrets={"env:SNAPSHOT_KEY": text})
    with pytest.raises(ConfigError, match="openssl") as caught:
        await Seal.fetch(SecretRef("env", "SNAPSHOT_KEY"), context)
    assert not text or text not in str(caught.value)
    await context.transport.aclose()
