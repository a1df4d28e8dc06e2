"""The supervisor with small scripts for workers; with real ones it is in end_to_end/test_workers.py."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import socket
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Self

import pytest

from llmgate.cli import hired_worker, supervisor as module
from llmgate.cli.job import Job
from llmgate.cli.serving import Serving
from llmgate.cli.supervisor import Supervisor
from llmgate.config import ConfigText

pytestmark = pytest.mark.usefixtures("here")

LOOP = "asyncio"  # a supervisor's, whatever its workers run on

SCRIPT = """
import json, os, socket, sys
control = socket.socket(fileno=int(sys.argv[1]))
lines = control.makefile("r")
def say(**message):
    control.sendall(json.dumps(message).encode() + b"\\n")
order = json.loads(next(lines))
number, text = order["number"], (order["source"] or {}).get("text")
with open("started", "a") as file:
    file.write(f"{number} {os.getpid()}\\n")
"""
SERVE = """
say(ready=["llmgate is listening", f"worker {number}"])
for line in lines:
    message = json.loads(line)
    if "stop" in message:
        sys.exit(0)
    if "relieved" in message:
        with open("relieved", "a") as file:
            file.write(f"{number} {os.getpid()}\\n")
        if "stays" not in text:
            sys.exit(0)
    if "reload" in message:
        text = message["source"]["text"]
        problems = [f"worker {number} cannot"] if f"refuse-{number}" in text else []
        say(prepared=message["reload"], problems=problems)
    if "verdict" in message:
        with open("verdicts", "a") as file:
            file.write(f"{number} {message['go']}\\n")
"""


class Run:
    """A supervisor under test, in the directory of the test."""

    def __init__(self, script: str, *, workers: int = 2, text: str = "providers: {echo: {}}\n") -> None:
        Path("llmgate.yaml").write_text(text)
        Path("worker.py").write_text(SCRIPT + script)
        job = Job(config="llmgate.yaml", workers=workers)
        source = ConfigText.read("llmgate.yaml")
        self.sockets = [socket.create_server(("127.0.0.1", 0))]
        self.supervisor = Supervisor(job, source, Serving(job, source), self.sockets, self.command)

    def command(self, control: int, listening: Sequence[int]) -> Sequence[str]:
        return [sys.executable, "-S", "worker.py", str(control), *map(str, listening)]

    @property
    def started(self) -> list[tuple[int, int]]:
        lines = Path("started").read_text().splitlines() if Path("started").exists() else []
        return [(int(line.split()[0]), int(line.split()[1])) for line in lines]

    async def __aenter__(self) -> Self:
        self.task = asyncio.create_task(self.supervisor.run())
        return self

    async def __aexit__(self, *_: object) -> None:
        if not self.task.done():
            os.kill(os.getpid(), signal.SIGTERM)
            await asyncio.wait_for(self.task, 20)
        for bound in self.sockets:
            bound.close()

    async def status(self) -> int:
        return await asyncio.wait_for(self.task, 30)

    async def until(self, condition: Callable[[], Any]) -> None:
        async with asyncio.timeout(20):
            while not condition():
                assert not self.task.done(), self.task
                await asyncio.sleep(0.01)

    async def until_ready(self, count: int = 2) -> None:
        await self.until(lambda: sum(one.ready_at is not None for one in self.supervisor._workers.values()) == count)


@pytest.fixture(autouse=True)
def logging_of_pytest(monkeypatch: pytest.MonkeyPatch) -> None:
    """The logging of the program would take the messages away from the tests."""
    monkeypatch.setattr(Serving, "start_logging", lambda self: None)


@pytest.fixture
def seen(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    caplog.set_level(logging.INFO, "llmgate")
    return caplog


async def test_the_start_is_printed_once_when_all_are_ready_and_the_end_is_in_order(capsys):
    async with Run(SERVE, workers=3) as run:
        await run.until_ready(3)
        assert capsys.readouterr().out.startswith("llmgate is listening\nworker ")
        assert sorted(number for number, _ in run.started) == [1, 2, 3]
        os.kill(os.getpid(), signal.SIGTERM)
        assert await run.status() == 0
    assert capsys.readouterr().out == ""
    assert all(bound.fileno() == -1 for bound in run.sockets), "the sockets are closed"


async def test_a_killed_worker_is_replaced_at_once(seen):
    async with Run(SERVE) as run:
        await run.until_ready()
        killed = dict(run.started)[1]
        os.kill(killed, signal.SIGKILL)
        await run.until(lambda: len(run.started) == 3)
        await run.until_ready()
        assert run.started[-1][0] == 1
        assert f"worker 1 (process {killed}) was killed by SIGKILL: it is replaced" in seen.text


async def test_workers_that_die_at_once_are_given_up(capsys, seen):
    async with Run("sys.exit(7)") as run:
        assert await run.status() == 1
    assert "giving up: worker" in capsys.readouterr().err
    assert "ended with status 7: it is replaced" in seen.text
    tries = [number for number, _ in run.started]
    assert max(tries.count(1), tries.count(2)) == module.QUICK_DEATHS


async def test_workers_that_die_as_soon_as_they_are_ready_are_given_up_too(capsys):
    async with Run('say(ready=["x"]); os.kill(os.getpid(), 11)') as run:
        assert await run.status() == 1
    assert "giving up" in capsys.readouterr().err


async def test_one_that_cannot_live_does_not_take_down_those_that_serve(monkeypatch, seen):
    monkeypatch.setattr(hired_worker, "STABLE_SECONDS", 0.0)
    monkeypatch.setattr(module, "LONGEST_PAUSE", 0.05)
    script = 'if number == 2 and os.path.exists("broken"): sys.exit(3)' + SERVE
    async with Run(script) as run:
        await run.until_ready()
        Path("broken").touch()
        os.kill(dict(run.started)[2], signal.SIGKILL)
        await run.until(lambda: len(run.started) >= 2 + module.QUICK_DEATHS + 1)
        Path("broken").unlink()
        await run.until_ready()


@pytest.mark.parametrize("status", [1, 2])
async def test_why_workers_cannot_start_is_said_once(capsys, seen, status):
    async with Run(f'say(failed=["x.yaml:1:1: wrong"], status={status}); sys.exit(1)', workers=3) as run:
        assert await run.status() == status
    prefix = "" if status == 2 else "llmgate: "
    assert capsys.readouterr().err == f"{prefix}x.yaml:1:1: wrong\n"
    assert "is replaced" not in seen.text


async def test_a_worker_that_does_not_stop_is_killed_and_the_status_says_so(monkeypatch):
    monkeypatch.setattr(module, "FLUSH_SECONDS", 0.2)
    deaf = SERVE.replace("sys.exit(0)", "__import__('time').sleep(60)")
    text = "server: {shutdown-timeout: 0s}\nproviders: {echo: {}}\n"
    async with Run(deaf, workers=1, text=text) as run:
        await run.until_ready(1)
        os.kill(os.getpid(), signal.SIGTERM)
        assert await run.status() == 1


async def hang_up(run: Run, condition: Callable[[], Any]) -> None:
    os.kill(os.getpid(), signal.SIGHUP)
    await run.until(condition)


async def test_all_follow_a_good_configuration_and_none_a_bad_one(seen):
    async with Run(SERVE) as run:
        await run.until_ready()
        Path("llmgate.yaml").write_text("providers: {echo: {}}\nrouters: {}\n")
        await hang_up(run, lambda: "has been read again" in seen.text)
        await run.until(lambda: Path("verdicts").exists() and len(Path("verdicts").read_text().splitlines()) == 2)
        assert sorted(Path("verdicts").read_text().splitlines()) == ["1 True", "2 True"]
        Path("llmgate.yaml").write_text("provders: {}\nservr: {}\n")
        await hang_up(run, lambda: "the old one stays in force" in seen.text)
        assert "llmgate.yaml:1:1: " in seen.text
        assert "llmgate.yaml:2:1: " in seen.text
        assert len(Path("verdicts").read_text().splitlines()) == 2, "no worker was asked"


async def test_when_one_cannot_take_a_configuration_none_does(seen):
    async with Run(SERVE) as run:
        await run.until_ready()
        Path("llmgate.yaml").write_text("# refuse-2\nproviders: {echo: {}}\n")
        await hang_up(run, lambda: "worker 2 cannot" in seen.text)
        await run.until(lambda: Path("verdicts").exists() and len(Path("verdicts").read_text().splitlines()) == 2)
        assert sorted(Path("verdicts").read_text().splitlines()) == ["1 False", "2 False"]
        assert "stays in force" in seen.text


async def test_a_worker_that_dies_while_it_is_asked_keeps_the_old_configuration(seen):
    script = SERVE.replace("say(prepared", "number == 1 and os.kill(os.getpid(), 9); say(prepared")
    async with Run(script) as run:
        await run.until_ready()
        await hang_up(run, lambda: "worker 1 died meanwhile" in seen.text)
        await run.until_ready()


async def test_a_new_worker_gets_the_configuration_that_the_others_serve_by(seen):
    """Not what is in the file by then."""
    script = 'open(f"text-{os.getpid()}", "w").write(text)' + SERVE
    async with Run(script) as run:
        await run.until_ready()
        Path("llmgate.yaml").write_text("providers: {echo: {}} # second\n")
        await hang_up(run, lambda: "has been read again" in seen.text)
        Path("llmgate.yaml").write_text("nonsense: [")
        os.kill(dict(run.started)[1], signal.SIGKILL)
        await run.until(lambda: len(run.started) == 3)
        await run.until_ready()
        assert Path(f"text-{run.started[-1][1]}").read_text() == "providers: {echo: {}} # second\n"


async def test_a_worker_that_was_starting_during_a_reload_catches_up_or_is_replaced(seen):
    """It began with the old text, and is told the new one when it is ready."""
    slow = """
import time
if os.path.exists("slow"):
    while not os.path.exists("go"):
        time.sleep(0.01)
"""
    async with Run(slow + SERVE) as run:
        await run.until_ready()
        Path("slow").touch()
        os.kill(dict(run.started)[2], signal.SIGKILL)
        await run.until(lambda: len(run.started) == 3)
        Path("llmgate.yaml").write_text("# refuse-2\nproviders: {echo: {}}\n")
        await hang_up(run, lambda: "has been read again" in seen.text)
        Path("slow").unlink()
        Path("go").touch()
        await run.until(lambda: "worker 2 cannot follow the others and is replaced: worker 2 cannot" in seen.text)
        await run.until(lambda: len(run.started) == 4)
        await run.until_ready()


def relieved() -> list[str]:
    return Path("relieved").read_text().splitlines() if Path("relieved").exists() else []


async def test_a_restart_fills_each_place_anew_before_the_old_worker_goes(seen):
    async with Run(SERVE, workers=3) as run:
        await run.until_ready(3)
        before = dict(run.started)
        Path("llmgate.yaml").write_text("providers: {echo: {}}\nserver: {port: 9, max-headers: 50}\n")
        assert await run.supervisor.restart() == ()
        after = run.started[3:]
        assert [number for number, _ in after] == [1, 2, 3]
        assert {number: one.process.pid for number, one in run.supervisor._workers.items()} == dict(after)
        await run.until(lambda: len(relieved()) == 3)
        assert relieved() == [f"{number} {before[number]}" for number in (1, 2, 3)]
        await run.until(lambda: not run.supervisor._leaving)
        assert run.supervisor._server.max_headers == 50
        assert run.supervisor._server.port == 8080, "the socket is what it was"
        assert "server.port: changed in the configuration, and in force only when the supervisor starts" in seen.text
        assert not [one for one in seen.records if one.levelname == "ERROR"]
        assert await run.supervisor.restart() == ()
    assert await run.status() == 0


async def test_a_restart_that_cannot_begin_leaves_everything_as_it_was(seen):
    async with Run("if os.path.exists('broken'): say(failed=['no'], status=2); sys.exit(1)\n" + SERVE) as run:
        await run.until_ready()
        before = dict(run.started)
        Path("broken").touch()
        assert await run.supervisor.restart() == ["worker 1 cannot be replaced: no"]
        assert {number: one.process.pid for number, one in run.supervisor._workers.items()} == before
        Path("llmgate.yaml").write_text("servr: {}")
        assert "unknown key 'servr'" in (await run.supervisor.restart())[0]
        Path("broken").unlink()
        Path("llmgate.yaml").write_text("providers: {echo: {}}\n")
        assert await run.supervisor.restart() == ()
        assert not relieved() or len(relieved()) <= 2
    assert await run.status() == 0


async def test_one_that_fails_later_leaves_all_with_one_configuration(seen):
    script = "if number == 2 and 'new' in text and not os.path.exists('verdicts'): sys.exit(3)\n" + SERVE
    async with Run(script) as run:
        await run.until_ready()
        second = dict(run.started)[2]
        Path("llmgate.yaml").write_text("providers: {echo: {}} # new")
        assert await run.supervisor.restart() == ["worker 2 cannot be replaced: it did not become ready"]
        await run.until(lambda: Path("verdicts").exists())
        assert Path("verdicts").read_text() == "2 True\n", "the old one follows the new ones"
        assert run.supervisor._workers[2].process.pid == second
    assert await run.status() == 0


async def test_no_two_restarts_at_once_and_a_stop_waits_for_those_that_leave(seen):
    async with Run(SERVE, text="providers: {echo: {}} # stays\n") as run:
        await run.until_ready()
        assert await run.supervisor.restart() == ()
        assert len(run.supervisor._leaving) == 2
        assert "still finishing" in (await run.supervisor.restart())[0]
        leaving = [one.process for one in run.supervisor._leaving]
    assert await run.status() == 0
    assert [process.returncode for process in leaving] == [0, 0]


async def test_a_worker_that_dies_while_another_takes_its_place_is_replaced_once(seen):
    async with Run("import time; time.sleep(0.5 if os.path.exists('slow') else 0)\n" + SERVE) as run:
        await run.until_ready()
        Path("slow").touch()
        restarting = asyncio.create_task(run.supervisor.restart())
        await run.until(lambda: len(run.started) == 3)
        os.kill(dict(run.started[:2])[1], signal.SIGKILL)
        assert await restarting == ()
        await run.until(lambda: not run.supervisor._leaving)
        await run.until_ready()
        alive = {one.process.pid for one in run.supervisor._workers.values()}
        assert len(alive) == 2
        assert not alive & set(dict(run.started[:2]).values())
    assert await run.status() == 0


async def test_sigusr2_restarts():
    async with Run(SERVE) as run:
        await run.until_ready()
        os.kill(os.getpid(), signal.SIGUSR2)
        await run.until(lambda: len(relieved()) == 2)
    assert await run.status() == 0
