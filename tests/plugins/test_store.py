"""``llmgate-store`` in gateways of several processes: keys are made, replaced and revoked while they serve."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from end_to_end.gateways import Gateway, gateway

ENVIRONMENT = {"LLMGATE_KEY_PEPPER": os.urandom(32).hex()}
CONFIG = """\
providers: {echo: {}}
auth:
  - use: issued-keys
"""
BODY = json.dumps({"model": "echo/echo", "messages": [{"role": "user", "content": "hi"}]}).encode()


@pytest.fixture
def running(tmp_path: Path) -> Iterator[tuple[Gateway, Path]]:
    """A gateway of four workers that knows the keys of a database in its directory."""
    (tmp_path / "llmgate.yaml").write_text(CONFIG)
    with gateway(tmp_path, "--workers", "4", environment=ENVIRONMENT) as one:
        yield one, tmp_path


def command(directory: Path, *arguments: str) -> str:
    source = str(Path(__file__).parents[2] / "src")
    return subprocess.run(
        [sys.executable, "-m", "llmgate", *arguments],
        cwd=directory,
        env={"PATH": os.environ["PATH"], "PYTHONPATH": source, **ENVIRONMENT},
        capture_output=True,
        text=True,
        check=True,
        timeout=150,
    ).stdout


def key_in(out: str) -> str:
    (key,) = re.findall(r"(?m)^  (sk-lg-\S+)$", out)
    return key


def ask(one: Gateway, key: str) -> int:
    headers = {"content-type": "application/json", "authorization": f"Bearer {key}"}
    request = urllib.request.Request(f"{one.url}/v1/chat/completions", BODY, headers)
    try:
        with urllib.request.urlopen(request, timeout=30) as reply:
            reply.read()
            return reply.status
    except urllib.error.HTTPError as refused:
        with refused:
            return refused.code


class Load:
    """Clients that ask with one key, each request on a connection of its own, so that every worker gets some."""

    def __init__(self, one: Gateway, key: str, clients: int = 4) -> None:
        self.answers: list[tuple[float, int]] = []
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._run, args=(one, key)) for _ in range(clients)]
        for thread in self._threads:
            thread.start()

    def _run(self, one: Gateway, key: str) -> None:
        while not self._stop.is_set():
            began = time.monotonic()
            self.answers.append((began, ask(one, key)))

    def end(self) -> list[tuple[float, int]]:
        self._stop.set()
        for thread in self._threads:
            thread.join(40)
        return self.answers


@pytest.mark.slow
def test_a_key_revoked_under_load_is_soon_refused_by_every_worker(running):
    one, directory = running
    key = key_in(command(directory, "keys", "create", "--name", "load"))
    load = Load(one, key)
    time.sleep(1)
    command(directory, "keys", "revoke", key[6:18])
    revoked = time.monotonic()
    time.sleep(6)
    answers = load.end()
    assert {status for _, status in answers} == {200, 401}, "and no 5xx"
    late = [began - revoked for began, status in answers if status == 200 and began > revoked]
    assert max(late, default=0.0) < 5.0, "one second, and what a busy machine adds"
    assert sum(status == 401 for _, status in answers) > 10


@pytest.mark.slow
def test_a_rotation_under_load_refuses_nobody(running):
    one, directory = running
    old = key_in(command(directory, "keys", "create", "--name", "load"))
    load = Load(one, old)
    new = key_in(command(directory, "keys", "rotate", old[6:18], "--overlap", "1h"))
    replaced = Load(one, new)
    time.sleep(2)
    for answers in (load.end(), replaced.end()):
        assert len(answers) > 10
        assert {status for _, status in answers} == {200}
    assert ask(one, "sk-lg-unknown") == 401


@pytest.mark.slow
def test_the_secret_of_a_key_is_nowhere_but_with_its_caller(running):
    one, directory = running
    key = key_in(command(directory, "keys", "create", "--name", "canary"))
    assert ask(one, key) == 200
    assert ask(one, key[:-1] + ("a" if key[-1] != "a" else "b")) == 401
    secret = key[19:51]
    assert secret not in "\n".join([*one.lines, *one.errors])
    one.signal()
    one.wait(30)
    for path in directory.rglob("*"):
        assert not path.is_file() or secret.encode() not in path.read_bytes(), path
