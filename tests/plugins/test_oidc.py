"""``llmgate-oidc`` in gateways: tokens of an identity provider, what their holders may do, and keys that change."""

from __future__ import annotations

import json
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from end_to_end.gateways import Gateway, gateway

sys.path.insert(0, str(Path(__file__).parents[2] / "plugins" / "llmgate-oidc" / "tests"))

from forgeries import Forger
from identity_provider import IdentityProvider, playing_issuer

CONFIG = """\
providers: {{echo: {{}}}}
auth:
  - use: oidc
    cooldown: 1s
    issuers:
      - issuer: {url}
        audiences: [llmgate]
        leeway: 5s
        rules:
          - {{claim: groups, values: [users], models: ["echo/echo"], scopes: [chat], team: search}}
          - {{claim: groups, values: [admins], models: ["*"], kind: admin}}
  - use: static-keys
    keys: [{{name: alice, secret: env:ALICE_KEY}}]
"""
BODY = {"model": "echo/echo", "messages": [{"role": "user", "content": "hi"}]}


@pytest.fixture
def issuer() -> Iterator[IdentityProvider]:
    with playing_issuer() as one:
        yield one


@pytest.fixture
def running(tmp_path: Path, issuer: IdentityProvider) -> Iterator[Gateway]:
    (tmp_path / "llmgate.yaml").write_text(CONFIG.format(url=issuer.url))
    with gateway(tmp_path, "--workers", "2", environment={"ALICE_KEY": "sk-alice-0123456789abcdef"}) as one:
        yield one


def ask(one: Gateway, token: str, path: str = "/v1/chat/completions", body: Any = BODY) -> tuple[int, Any]:
    headers = {"content-type": "application/json", "authorization": f"Bearer {token}"}
    content = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(f"{one.url}{path}", content, headers)
    try:
        with urllib.request.urlopen(request, timeout=30) as reply:
            return reply.status, json.loads(reply.read())
    except urllib.error.HTTPError as refused:
        with refused:
            return refused.code, json.loads(refused.read())


def test_holders_do_what_their_claims_let_them(running: Gateway, issuer: IdentityProvider) -> None:
    user, admin = issuer.token(time.time(), groups=["users"]), issuer.token(time.time(), groups=["admins"])
    assert ask(running, user)[0] == 200
    assert ask(running, admin)[0] == 200
    assert ask(running, "sk-alice-0123456789abcdef")[0] == 200, "what is no token is left to the next auth provider"
    # An operation beyond the scopes, a model beyond the list, and whom no rule fits.
    embedding = {"model": "echo/echo", "input": "hi"}
    assert ask(running, user, "/v1/embeddings", embedding)[0] == 403
    assert ask(running, user, body={**BODY, "model": "echo/other"})[0] in (403, 404)
    assert ask(running, issuer.token(time.time(), groups=[]))[0] == 401
    assert {model["id"] for model in ask(running, user, "/v1/models", None)[1]["data"]} <= {"echo/echo"}


def test_every_refusal_looks_alike(running: Gateway, issuer: IdentityProvider) -> None:
    forger = Forger(issuer, time.time())
    tokens = [*forger.unsigned(), *forger.of_keys_brought_along(), *forger.of_odd_claims(), *forger.of_odd_headers()]
    bearable = [token for token in dict.fromkeys(tokens) if len(token) < 12_000 and token.isascii()]
    answers = [
        ask(running, token) for token in (*bearable[::6], issuer.token(time.time(), groups=["nobody"]), "sk-wrong")
    ]
    assert {status for status, _ in answers} == {401}
    assert len({json.dumps(body["error"]) for _, body in answers}) == 1
    assert len(answers) > 60


def test_a_rotation_in_the_middle_of_a_burst_refuses_nobody(running: Gateway, issuer: IdentityProvider) -> None:
    statuses: list[int] = []
    stop = threading.Event()

    def call() -> None:
        number = 0
        while not stop.is_set():
            number += 1
            token = issuer.token(time.time(), groups=["users"], sub=f"user-{number}")
            statuses.append(ask(running, token)[0])

    callers = [threading.Thread(target=call) for _ in range(4)]
    for caller in callers:
        caller.start()
    for turn in range(3):
        time.sleep(1.3)
        issuer.rotate(f"turn-{turn}", keep=True)  # a token that is under way has been signed with the old one
    time.sleep(0.5)
    stop.set()
    for caller in callers:
        caller.join()
    assert set(statuses) == {200}, {status: statuses.count(status) for status in set(statuses)}
    assert len(statuses) > 20
