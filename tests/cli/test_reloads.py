"""One reload at a time, whoever asks for it."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Sequence
from pathlib import Path

import pytest

from llmgate.cli.control import ask, find_gateways
from llmgate.cli.reloads import Reloads


@pytest.fixture(autouse=True)
def own_directory(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path_factory.mktemp("run")))


class Work:
    """Counts reloads, and notices two at once."""

    def __init__(self, *problems: str) -> None:
        self.done = 0
        self.problems = problems
        self._busy = False

    async def __call__(self) -> Sequence[str]:
        assert not self._busy
        self._busy = True
        await asyncio.sleep(0.01)
        self._busy = False
        self.done += 1
        return self.problems

    async def until(self, count: int) -> None:
        async with asyncio.timeout(20):
            while self.done < count:
                await asyncio.sleep(0.01)


async def test_signals_and_the_socket_take_turns() -> None:
    work = Work("1:1: no")
    async with Reloads(work, config=None, watch=0.0) as reloads:
        (path,) = find_gateways(None).values()
        said = await asyncio.gather(ask(path), reloads.on_signal(), ask(path), reloads.run())
    assert said == [["1:1: no"], None, ["1:1: no"], ("1:1: no",)]
    assert work.done == 4


async def test_an_error_that_nobody_expected_is_said_and_the_next_one_runs(caplog: pytest.LogCaptureFixture) -> None:
    async def broken() -> Sequence[str]:
        raise ZeroDivisionError

    reloads = Reloads(broken, config=None, watch=0.0)
    assert await reloads.run() == ["ZeroDivisionError: see the log"]
    assert "could not be read again" in caplog.text
    assert await reloads.run()


async def test_a_file_that_changes_is_read_again_when_it_is_whole(here: Path) -> None:
    config, dotenv = here / "llmgate.yaml", here / ".env"
    config.write_text("one")
    work = Work()
    async with Reloads(work, config=config, watch=0.03, beside=[dotenv]):
        await asyncio.sleep(0.15)
        assert work.done == 0, "nothing has changed"
        config.write_text("another")
        await work.until(1)
        new = here / "new"
        new.write_text("further")
        os.replace(new, config)
        await work.until(2)
        dotenv.write_text("KEY=1")
        await work.until(3)
        config.unlink()
        await work.until(4)
        config.write_text("back")
        await work.until(5)
        await asyncio.sleep(0.15)
        assert work.done == 5


async def test_a_file_that_changes_at_once_is_noticed(here: Path) -> None:
    """Whoever is told that the gateway serves may write its file in the same moment."""
    config = here / "llmgate.yaml"
    config.write_text("one")
    work = Work()
    async with Reloads(work, config=config, watch=0.03):
        config.write_text("another")
        await work.until(1)


async def test_a_file_that_is_being_written_is_left_to_be_finished(here: Path) -> None:
    config = here / "llmgate.yaml"
    config.write_text("")
    work = Work()
    async with Reloads(work, config=config, watch=0.1):
        for _ in range(20):
            with config.open("a") as file:
                file.write("more")
            await asyncio.sleep(0.02)
        assert work.done <= 1
        await work.until(1)


async def test_who_does_not_watch_does_not_notice(here: Path) -> None:
    config = here / "llmgate.yaml"
    config.write_text("one")
    work = Work()
    async with Reloads(work, config=config, watch=0.0):
        config.write_text("another")
        await asyncio.sleep(0.1)
    assert work.done == 0
