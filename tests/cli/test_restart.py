"""``llmgate restart``: what it prints and how it ends."""

from __future__ import annotations

import asyncio
import threading
from contextlib import contextmanager

import pytest

from llmgate.cli import main
from llmgate.cli.reloads import NO_WORKERS, Reloads


@pytest.fixture(autouse=True)
def own_directory(tmp_path_factory, monkeypatch):
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path_factory.mktemp("run")))


@contextmanager
def gateway(config, restart=None):
    """A gateway that answers in a thread."""
    ready, stop = threading.Event(), asyncio.Event()
    loops = []

    async def reload():
        raise AssertionError("it was not to reload")

    async def serve() -> None:
        loops.append(asyncio.get_running_loop())
        async with Reloads(reload, config=config, watch=0, restart=restart):
            ready.set()
            await stop.wait()

    thread = threading.Thread(target=lambda: asyncio.run(serve()))
    thread.start()
    assert ready.wait(10)
    yield
    loops[0].call_soon_threadsafe(stop.set)
    thread.join()


def test_new_workers_serve(here, capsys):
    async def restart():
        return ()

    (here / "llmgate.yaml").write_text("{}")
    with gateway(here / "llmgate.yaml", restart):
        assert main(["restart"]) == 0
        assert "serves with new workers" in capsys.readouterr().out
        assert main(["restart", "--pid", "1"]) == 2, "that one is another"


def test_why_not_is_said(here, capsys):
    async def restart():
        return ["worker 1 cannot be replaced: it did not become ready"]

    with gateway(here / "some.yaml", restart):
        assert main(["restart", "--config", "some.yaml"]) == 1
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.startswith("worker 1 cannot be replaced: it did not become ready\nllmgate: process ")
    assert "goes on with old workers" in said.err


def test_one_process_cannot_take_its_own_place(here, capsys):
    with gateway(here / "some.yaml"):
        assert main(["restart", "--config", "some.yaml"]) == 1
    assert capsys.readouterr().err.startswith(NO_WORKERS)


def test_nobody_there_is_status_2(here, capsys):
    assert main(["restart", "--config", "some.yaml"]) == 2
    assert "no gateway of this user runs with some.yaml" in capsys.readouterr().err
