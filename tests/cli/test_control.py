"""The socket on which a running gateway is told to read its configuration again."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from llmgate.cli.control import ask, ask_health, control_directory, controlled, find_gateways


@pytest.fixture(autouse=True)
def own_directory(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    directory = tmp_path_factory.mktemp("run")
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(directory))
    return directory


def saying(*problems: str):
    async def reload() -> Sequence[str]:
        return problems

    return reload


async def test_who_was_started_with_a_file_is_found_by_it_and_answers(here: Path) -> None:
    async with controlled(Path("llmgate.yaml"), saying("1:1: no")), controlled(None, saying()):
        (found,) = find_gateways(here / "llmgate.yaml").items()
        assert found[0] == os.getpid()
        assert await ask(found[1]) == ["1:1: no"]
        (other,) = find_gateways(None).values()
        assert await ask(other) == []
        assert find_gateways(Path("another.yaml")) == {}
    assert find_gateways(here / "llmgate.yaml") == {}


async def test_nobody_else_can_enter(own_directory: Path) -> None:
    async with controlled(None, saying()):
        (path,) = find_gateways(None).values()
        assert path.parent.parent == own_directory
        assert path.parent.stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize("kind", ["open to others", "a link", "a file"])
async def test_a_directory_that_others_could_enter_is_not_used(
    kind: str, own_directory: Path, caplog: pytest.LogCaptureFixture
) -> None:
    place = own_directory / f"llmgate-{os.getuid()}"
    if kind == "open to others":
        place.mkdir()
        place.chmod(0o755)
    elif kind == "a link":
        (own_directory / "elsewhere").mkdir(mode=0o700)
        place.symlink_to(own_directory / "elsewhere")
    else:
        place.touch(mode=0o600)
    with pytest.raises(PermissionError, match="nobody else can enter"):
        control_directory()
    async with controlled(None, saying()):
        assert "cannot reach this gateway" in caplog.text


async def test_what_a_killed_one_left_behind_is_swept_away() -> None:
    async with controlled(None, saying()):
        (path,) = find_gateways(None).values()
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(path))
    assert await ask(path) is None
    assert not path.exists()
    assert await ask(path) is None


async def test_a_start_sweeps_away_what_others_left_behind_and_no_more(here: Path) -> None:
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(control_directory() / "left-1.sock"))
    async with controlled(None, saying("one")), controlled(Path("other.yaml"), saying("two")):
        assert not (control_directory() / "left-1.sock").exists()
        for config, said in ((None, "one"), (here / "other.yaml", "two")):
            (path,) = find_gateways(config).values()
            assert await ask(path) == [said]


@pytest.mark.parametrize("said", [b"nonsense\n", b'{"reload": false}\n', b"x" * 10_000, b""])
async def test_nonsense_is_hung_up_on(said: bytes) -> None:
    async with controlled(None, saying("never said")):
        (path,) = find_gateways(None).values()
        reader, writer = await asyncio.open_unix_connection(path)
        writer.write(said)
        writer.write_eof()
        assert await reader.read() == b""
        writer.close()
        assert await ask(path) == ["never said"], "and the next one is heard"


async def test_one_that_dies_over_it_is_an_error() -> None:
    async def hang_up(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.close()

    path = control_directory() / "mute.sock"
    async with await asyncio.start_unix_server(hang_up, path):
        with pytest.raises(OSError, match="see its log"):
            await ask(path)


async def test_it_says_how_the_deployments_of_each_worker_do() -> None:
    async def health() -> Sequence[Mapping[str, Any]]:
        return [{"worker": 1, "data": [{"id": "a" * 200_000}]}, {"worker": 2, "data": None}]

    async with controlled(None, saying(), health):
        (path,) = find_gateways(None).values()
        assert await ask_health(path) == await health()
        assert await ask(path) == []
    assert await ask_health(path) is None


async def test_one_that_knows_nothing_of_health_hangs_up() -> None:
    async with controlled(None, saying()):
        (path,) = find_gateways(None).values()
        with pytest.raises(OSError, match="does not say"):
            await ask_health(path)
