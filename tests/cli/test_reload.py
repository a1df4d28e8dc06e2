"""``llmgate reload``: what it prints and how it ends."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Sequence
from contextlib import contextmanager

import pytest

from llmgate.cli import main
from llmgate.cli.control import controlled


@pytest.fixture(autouse=True)
def own_directory(tmp_path_factory, monkeypatch):
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path_factory.mktemp("run")))


@contextmanager
def gateway(config, *problems: str):
    """A gateway that answers in a thread."""
    ready, stop = threading.Event(), asyncio.Event()
    loops = []

    async def reload() -> Sequence[str]:
        return problems

    async def serve() -> None:
        loops.append(asyncio.get_running_loop())
        async with controlled(config, reload):
            ready.set()
            await stop.wait()

    thread = threading.Thread(target=lambda: asyncio.run(serve()))
    thread.start()
    assert ready.wait(10)
    yield
    loops[0].call_soon_threadsafe(stop.set)
    thread.join()


def test_the_new_configuration_is_in_force(here, capsys):
    (here / "llmgate.yaml").write_text("{}")
    with gateway(here / "llmgate.yaml"):
        assert main(["reload"]) == 0
        assert "serves by the new configuration" in capsys.readouterr().out
        assert main(["reload", "--pid", "1"]) == 2, "that one is another"


def test_what_is_wrong_is_said_and_the_old_one_stays(here, capsys):
    with gateway(here / "some.yaml", "some.yaml:1:1: unknown key 'x'"):
        assert main(["reload", "--config", "some.yaml"]) == 1
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.startswith("some.yaml:1:1: unknown key 'x'\nllmgate: process ")
    assert "goes on with the old configuration" in said.err


def test_nobody_there(here, capsys):
    assert main(["reload", "--config", "some.yaml"]) == 2
    assert "no gateway of this user runs with some.yaml" in capsys.readouterr().err
