"""Gateways and their control plane as processes: keys made and revoked there, and every way in which it can be lost."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Coroutine, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest

from end_to_end.gateways import Gateway, gateway
from plugins.test_store import Load, ask, key_in

sys.path.append(str(Path(__file__).parents[2] / "plugins" / "llmgate-store" / "tests"))

from falling_door import FallingDoor
from store_bench import making_database

CANARY = "sk-canary-of-a-provider-7f3a9b"
ENVIRONMENT = {"LLMGATE_KEY_PEPPER": os.urandom(32).hex(), "OPENAI_API_KEY": CANARY}
PATIENCE = 90.0


def until(true, seconds: float = PATIENCE):
    deadline = time.monotonic() + seconds
    while not (found := true()):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    return found


class Plane:
    """``llmgate control-plane serve``, with a database of its own: a file beside it, or at an address."""

    def __init__(self, directory: Path, address: str = "") -> None:
        self.directory = directory
        directory.mkdir()
        database = f", database: {{url: '{address}', timeout: 2}}" if address else ""
        (directory / "llmgate.yaml").write_text(f"providers: {{echo: {{}}}}\nauth: [{{use: issued-keys{database}}}]\n")
        self.lines: list[str] = []
        self.process: subprocess.Popen[str] | None = None
        self.port = 0

    def command(self, *arguments: str) -> str:
        return subprocess.run(
            self._call(*arguments), cwd=self.directory, env=self._environment(), capture_output=True, text=True,
            check=True, timeout=90,
        ).stdout  # fmt: skip

    def credential(self, name: str) -> str:
        return re.findall(r"gw-lg-\w+", self.command("control-plane", "add", name))[0]

    def start(self) -> None:
        self.process = subprocess.Popen(
            self._call("control-plane", "serve", "--port", str(self.port), "--beat", "0.5"),
            cwd=self.directory, env=self._environment(), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        )  # fmt: skip
        reader = threading.Thread(target=self._read, args=(self.process,))
        reader.start()
        self.lines.clear()
        line = until(lambda: next((line for line in self.lines if "gateways connect to" in line), None))
        self.port = int(re.findall(r":(\d+)/", line)[0])

    def kill(self, number: int = signal.SIGKILL) -> None:
        assert self.process is not None
        self.process.send_signal(number)
        if number != signal.SIGSTOP:
            self.process.wait(30)

    def end(self) -> None:
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(signal.SIGCONT)
            self.process.kill()
            self.process.wait(30)

    def _read(self, process: subprocess.Popen[str]) -> None:
        assert process.stdout is not None
        with process.stdout as pipe:
            for line in pipe:
                self.lines.append(line)

    @staticmethod
    def _call(*arguments: str) -> list[str]:
        return [sys.executable, "-m", "llmgate", *arguments]

    @staticmethod
    def _environment() -> dict[str, str]:
        source = str(Path(__file__).parents[2] / "src")
        return {"PATH": os.environ["PATH"], "PYTHONPATH": source, **ENVIRONMENT}


@pytest.fixture
def plane(tmp_path: Path) -> Iterator[Plane]:
    one = Plane(tmp_path / "plane")
    yield one
    one.end()


@contextmanager
def at(plane: Plane, name: str, *arguments: str, port: int | None = None, **auth: str) -> Iterator[Gateway]:
    """A gateway with a credential of its own at the control plane."""
    directory = plane.directory.parent / name
    credential = directory / "credential"
    if not directory.exists():
        directory.mkdir()
        credential.write_text(plane.credential(name))
        more = "".join(f"    {key}: {value}\n" for key, value in auth.items())
        (directory / "llmgate.yaml").write_text(
            "providers: {echo: {}, openai: {}}\nauth:\n  - use: control-plane\n"
            f"    url: ws://127.0.0.1:{port or plane.port}/ws/v1/router/control-plane\n"
            f"    pepper: env:LLMGATE_KEY_PEPPER\n    min-delay: 200ms\n    max-delay: 500ms\n    heartbeat: 2s\n{more}"
        )
    environment = {**ENVIRONMENT, "HELICONE_CONTROL_PLANE_API_KEY": credential.read_text()}
    with gateway(directory, *arguments, environment=environment) as one:
        yield one


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_a_key_revoked_under_load_is_refused_by_every_worker_of_every_gateway(plane):
    plane.start()
    with ExitStack() as stack:
        gateways = [stack.enter_context(at(plane, name, "--workers", "2")) for name in ("paris", "rome")]
        key = key_in(plane.command("keys", "create", "--name", "load"))
        for one in gateways:
            until(lambda one=one: ask(one, key) == 200)
        loads = [Load(one, key, clients=2) for one in gateways]
        time.sleep(1)
        plane.command("keys", "revoke", key[6:18])
        revoked = time.monotonic()
        time.sleep(6)
        for load in loads:
            answers = load.end()
            assert {status for _, status in answers} == {200, 401}, "and no 5xx"
            late = [began - revoked for began, status in answers if status == 200 and began > revoked]
            assert max(late, default=0.0) < 5.0, "one second, and what a busy machine adds"


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_a_control_plane_that_is_killed_hung_and_back_and_a_gateway_that_restarts_meanwhile(plane):
    plane.start()
    key = key_in(plane.command("keys", "create", "--name", "one"))
    with at(plane, "paris") as one:
        until(lambda: ask(one, key) == 200)
        plane.kill()
        one.wait_error("no connection to the control plane")
        assert ask(one, key) == 200
        assert ask(one, "sk-lg-unknown") == 401
    with at(plane, "paris") as one:
        assert ask(one, key) == 200, "from its snapshot"
        assert ask(one, "sk-lg-unknown") == 401
        plane.command("keys", "revoke", key[6:18])
        plane.start()
        until(lambda: ask(one, key) == 401)
        other = key_in(plane.command("keys", "create", "--name", "two"))
        until(lambda: ask(one, other) == 200)
        plane.kill(signal.SIGSTOP)
        after = len(one.errors)
        one.wait_error("no connection to the control plane", PATIENCE, after=after)
        assert ask(one, other) == 200
        plane.process.send_signal(signal.SIGCONT)
        third = key_in(plane.command("keys", "create", "--name", "three"))
        until(lambda: ask(one, third) == 200)


class Door:
    """The way to a database, in a thread of its own, so that it can be shut while processes use it."""

    def __init__(self, address: str) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever)
        self._thread.start()
        self._door = FallingDoor(address)
        self.lift()
        self.address = self._door.url

    def lift(self) -> None:
        self._run(self._door.lift())

    def drop(self) -> None:
        self._run(self._door.drop())

    def leave(self) -> None:
        self._run(self._door.leave())
        self._run(self._end())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(30)
        self._loop.close()

    def _run(self, work: Coroutine[Any, Any, None]) -> None:
        asyncio.run_coroutine_threadsafe(work, self._loop).result(30)

    async def _end(self) -> None:
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)


@pytest.fixture
def distant(tmp_path: Path) -> Iterator[tuple[Plane, Door]]:
    """A control plane whose database is a PostgreSQL behind a door."""
    with making_database("postgresql", tmp_path) as address:
        door = Door(address)
        one = Plane(tmp_path / "plane", door.address)
        try:
            yield one, door
        finally:
            one.end()
            door.leave()


def standing(plane: Plane) -> str:
    with urllib.request.urlopen(f"http://127.0.0.1:{plane.port}/health", timeout=30) as reply:
        return str(json.load(reply)["status"])


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_a_control_plane_whose_database_falls_away_and_comes_back(distant):
    """Gateways go on by what they know until it is too old to be believed, and nobody is started anew."""
    plane, door = distant
    plane.start()
    key, short = (key_in(plane.command("keys", "create", "--name", name)) for name in ("one", "two"))
    with at(plane, "paris", **{"stale-for": "20s"}) as one, at(plane, "rome", **{"stale-for": "1h"}) as patient:
        for gateway_, known in ((one, key), (one, short), (patient, key)):
            until(lambda gateway_=gateway_, known=known: ask(gateway_, known) == 200)
        assert standing(plane) == "ok"
        door.drop()
        assert ask(one, key) == 200
        assert ask(one, "sk-lg-unknown") == 401
        until(lambda: standing(plane) == "degraded")
        until(lambda: ask(one, key) == 503)
        assert ask(patient, key) == 200, "each gateway has a bound of its own"
        with at(plane, "oslo", **{"stale-for": "1h"}) as late:
            until(lambda: ask(late, key) == 200)
        door.lift()
        until(lambda: ask(one, key) == 200)
        assert standing(plane) == "ok"
        plane.command("keys", "revoke", short[6:18])
        made = key_in(plane.command("keys", "create", "--name", "three"))
        for gateway_ in (one, patient):
            until(lambda gateway_=gateway_: ask(gateway_, short) == 401)
            until(lambda gateway_=gateway_: ask(gateway_, made) == 200)
            assert gateway_.process.poll() is None
    assert plane.process.poll() is None
    assert "Traceback" not in "".join(plane.lines)


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_no_provider_key_and_no_callers_key_is_anywhere_at_the_control_plane_or_on_disk(plane):
    plane.start()
    key = key_in(plane.command("keys", "create", "--name", "one"))
    with at(plane, "paris") as one:
        until(lambda: ask(one, key) == 200)
        one.signal()
        one.wait(30)
    plane.kill(signal.SIGTERM)
    snapshot = plane.directory.parent / "paris" / "llmgate-control-plane.snapshot"
    assert snapshot.stat().st_mode & 0o777 == 0o600
    assert len(json.loads(snapshot.read_bytes().partition(b"\n")[2])["keys"]) == 1
    for path in plane.directory.parent.rglob("*"):
        if path.is_file():
            data = path.read_bytes()
            for canary in (CANARY, key[19:51], ENVIRONMENT["LLMGATE_KEY_PEPPER"]):
                assert canary.encode() not in data, path
    assert not any(CANARY in line or key[19:51] in line for line in plane.lines)
    assert "Traceback" not in "".join(plane.lines)
