"""``llmgate-oidc`` in gateways: tokens of an identity provider, what their holders may do, and keys that change."""

from __future__ import annotations

import json
import shutil
import ssl
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from authorities import Authority, Issued
from end_to_end.gateways import Gateway, gateway

sys.path.insert(0, str(Path(__file__).parents[2] / "plugins" / "llmgate-oidc" / "tests"))

from forgeries import Forger
from identity_provider import IdentityProvider, part, playing_issuer

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
BOUND = """\
providers: {{echo: {{}}}}
server:
  tls: {{cert: tls.crt, key: tls.key, client-ca: ca.crt, client-certificates: optional}}
auth:
  - {{use: oidc, issuers: [{{issuer: {url}, audiences: [llmgate], certificate-bound: {bound}}}]}}
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


def ask(
    one: Gateway,
    token: str,
    path: str = "/v1/chat/completions",
    body: Any = BODY,
    tls: ssl.SSLContext | None = None,
    **more: str,
) -> tuple[int, Any]:
    headers = {"content-type": "application/json", "authorization": f"Bearer {token}", **more}
    content = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(f"{one.url}{path}", content, headers)
    try:
        with urllib.request.urlopen(request, timeout=30, context=tls) as reply:
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


@pytest.mark.parametrize("bound", [False, True])
def test_a_bound_token_is_of_use_on_connections_with_its_certificate_alone(
    tmp_path: Path, issuer: IdentityProvider, bound: bool
) -> None:
    authority = Authority(tmp_path / "authority")
    server = authority.issue("DNS:localhost,IP:127.0.0.1", usage="serverAuth")
    hers, his = authority.issue("DNS:her.example.com"), authority.issue("DNS:his.example.com")
    for file, name in ((server.cert, "tls.crt"), (server.key, "tls.key"), (authority.cert, "ca.crt")):
        shutil.copy(file, tmp_path / name)
    (tmp_path / "llmgate.yaml").write_text(BOUND.format(url=issuer.url, bound=json.dumps(bound)))

    def tls(shown: Issued | None) -> ssl.SSLContext:
        made = ssl.create_default_context(cafile=str(authority.cert))
        if shown is not None:
            made.load_cert_chain(shown.cert, shown.key)
        return made

    fingerprint = bytes.fromhex(hers.fingerprint.replace(":", ""))
    token = issuer.token(time.time(), cnf={"x5t#S256": part(fingerprint)})
    with gateway(tmp_path) as one:
        for _ in range(2):  # the second time it is remembered
            for shown, status in ((None, 401), (his, 401), (hers, 200), (None, 401)):
                assert ask(one, token, tls=tls(shown))[0] == status
        claimed = {"x-forwarded-client-cert": f"Hash={fingerprint.hex()}", "client-cert": f":{part(fingerprint)}:"}
        assert ask(one, token, tls=tls(None), **claimed)[0] == 401, "a header is a caller's own word"
        assert ask(one, issuer.token(time.time()), tls=tls(hers))[0] == (401 if bound else 200)
