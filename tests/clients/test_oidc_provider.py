"""`llmgate-oidc` with a certified OpenID provider, `oidc-provider` of npm: `make test-clients`."""

from __future__ import annotations

import base64
import json
import shutil
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from clients.table import BUILD, PROGRAMS
from end_to_end.gateways import Gateway, gateway

CONFIG = """\
providers: {{echo: {{}}}}
auth:
  - use: oidc
    cooldown: 1s
    issuers:
      - issuer: http://127.0.0.1:{port}
        audiences: ["urn:llmgate"]
        types: [at+jwt]
        authorized-parties: [app]
        rules: [{{claim: scope, values: [llm.chat], scopes: [chat]}}]
"""
BODY = json.dumps({"model": "echo/echo", "messages": [{"role": "user", "content": "hi"}]}).encode()

pytestmark = [pytest.mark.timeout(180), pytest.mark.slow]


@contextmanager
def provider(port: int, algorithm: str) -> Iterator[None]:
    """The provider, with a key of its own each time."""
    program = BUILD / "node" / "oidc_provider.mjs"  # where it finds its packages
    shutil.copy(PROGRAMS / "oidc_provider.mjs", program)
    command = ["node", str(program), str(port), algorithm]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    try:
        until = time.monotonic() + 60
        while True:
            with suppress(OSError), urllib.request.urlopen(f"http://127.0.0.1:{port}/jwks", timeout=10):
                break
            assert process.poll() is None, process.communicate()[0]
            assert time.monotonic() < until
            time.sleep(0.2)
        yield
    finally:
        process.kill()
        process.communicate()


def token(port: int, scope: str, resource: str = "urn:llmgate") -> str:
    form = f"grant_type=client_credentials&scope={scope}&resource={resource}".encode()
    basic = base64.b64encode(b"app:secret").decode()
    with urllib.request.urlopen(
        urllib.request.Request(f"http://127.0.0.1:{port}/token", form, {"authorization": f"Basic {basic}"}), timeout=30
    ) as answer:
        given: str = json.loads(answer.read())["access_token"]
    return given


def ask(one: Gateway, bearer: str) -> int:
    headers = {"content-type": "application/json", "authorization": f"Bearer {bearer}"}
    try:
        request = urllib.request.Request(f"{one.url}/v1/chat/completions", BODY, headers)
        with urllib.request.urlopen(request, timeout=30) as answer:
            return answer.status
    except urllib.error.HTTPError as refused:
        with refused:
            return refused.code


def test_its_tokens_are_taken_and_its_restart_refuses_nobody(tmp_path: Path) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    (tmp_path / "llmgate.yaml").write_text(CONFIG.format(port=port))
    with gateway(tmp_path, ready=False) as one:
        with provider(port, "RS256"):
            one.wait_ready(100)
            time.sleep(6)  # the gateway may have asked before the provider was there
            good = token(port, "llm.chat")
            assert ask(one, good) == 200
            assert ask(one, token(port, "llm.embeddings")) == 401, "no rule fits its scope"
            assert ask(one, token(port, "llm.chat", "urn:other")) == 401, "it is for somebody else"
            head, body, signature = good.split(".")
            assert ask(one, f"{head}.{body}.{signature[:-4]}AAAA") == 401
        assert ask(one, good) == 200, "its keys are known while it is away"
        with provider(port, "ES256"):
            assert ask(one, token(port, "llm.chat")) == 200, "a key that nobody has seen is asked for at once"
