"""Mutual TLS that ends in the gateway: who gets in, who does not, and what changes while it runs."""

from __future__ import annotations

import http.client
import json
import shutil
import signal
import socket
import ssl
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import attrs
import pytest

from authorities import Authority, Issued

from .gateways import Gateway, gateway

BODY = json.dumps({"model": "echo/echo", "messages": [{"role": "user", "content": "hi"}]})
PATH = "/v1/chat/completions"
KEY = "sk-alice-0123456789abcdef"
CONFIG = """\
providers: {{echo: {{}}}}
server:
  tls: {{cert: tls.crt, key: tls.key, client-ca: ca.crt, client-crl: ca.crl, client-certificates: {asked}}}
auth:
  - use: client-certificates
    revoked: [{revoked}]
    rules:
      - {{uri: "spiffe://example.org/ns/prod/sa/*", team: prod}}
      - {{dns: "*.batch.example.com", scopes: [embeddings]}}
  - use: static-keys
    keys: [{{name: alice, secret: env:ALICE_KEY}}]
"""
pytestmark = pytest.mark.timeout(180)
REFUSED = (ssl.SSLError, ConnectionError, http.client.RemoteDisconnected)


@attrs.frozen
class Made:
    """The certificates of these tests."""

    authority: Authority
    server: Issued
    chat: Issued
    batch: Issued
    unlisted: Issued
    revoked: Issued
    expired: Issued
    for_servers: Issued
    of_another: Issued


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    directory = tmp_path_factory.mktemp("authorities")
    authority, another = Authority(directory / "own"), Authority(directory / "another")
    names = "URI:spiffe://example.org/ns/prod/sa/chat"
    found = Made(
        authority,
        server=authority.issue("DNS:localhost,IP:127.0.0.1", usage="serverAuth"),
        chat=authority.issue(names),
        batch=authority.issue("DNS:a.batch.example.com"),
        unlisted=authority.issue(
            "URI:spiffe://example.org/ns/dev/sa/chat", common_name="spiffe://example.org/ns/prod/sa/x"
        ),
        revoked=authority.issue(names),
        expired=authority.issue(names, expired=True),
        for_servers=authority.issue(names, usage="serverAuth"),
        of_another=another.issue(names),
    )
    authority.revoke(found.revoked)
    return found


def put(made: Made, directory: Path, *, asked: str, revoked: str = "") -> None:
    shutil.copy(made.server.cert, directory / "tls.crt")
    shutil.copy(made.server.key, directory / "tls.key")
    shutil.copy(made.authority.cert, directory / "ca.crt")
    made.authority.write_crl(directory / "ca.crl")
    (directory / "llmgate.yaml").write_text(CONFIG.format(asked=asked, revoked=revoked))


@pytest.fixture(scope="module")
def required(made: Made, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """Two workers that let nobody connect without a certificate."""
    directory = tmp_path_factory.mktemp("required")
    put(made, directory, asked="required")
    with gateway(directory, "--workers", "2", ready=False, environment={"ALICE_KEY": KEY}) as one:
        yield one.wait_ready(100)


@pytest.fixture(scope="module")
def optional(made: Made, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """One that takes keys, too."""
    directory = tmp_path_factory.mktemp("optional")
    put(made, directory, asked="optional")
    with gateway(directory, ready=False, environment={"ALICE_KEY": KEY}) as one:
        yield one.wait_ready(100)


def context(made: Made, shown: Issued | None = None) -> ssl.SSLContext:
    asking = ssl.create_default_context(cafile=str(made.authority.cert))
    if shown is not None:
        asking.load_cert_chain(shown.cert, shown.key)
    return asking


def connect(one: Gateway, made: Made, shown: Issued | None = None) -> http.client.HTTPSConnection:
    return http.client.HTTPSConnection("localhost", one.port, timeout=30, context=context(made, shown))


def post(connection: http.client.HTTPConnection, path: str = PATH, **headers: str) -> tuple[int, Any]:
    sent = {"content-type": "application/json", **{name.replace("_", "-"): value for name, value in headers.items()}}
    body = json.dumps({"model": "echo/echo", "input": "hi"}) if path.endswith("embeddings") else BODY
    connection.request("POST", path, body, sent)
    answer = connection.getresponse()
    return answer.status, json.loads(answer.read())


def ask(one: Gateway, made: Made, shown: Issued | None = None, path: str = PATH, **headers: str) -> tuple[int, Any]:
    with closing(connect(one, made, shown)) as connection:
        return post(connection, path, **headers)


def test_says_where_it_listens(required: Gateway) -> None:
    assert required.url.startswith("https://")


def test_lets_in_whom_a_rule_fits(required: Gateway, made: Made) -> None:
    assert ask(required, made, made.chat)[0] == 200
    assert ask(required, made, made.batch)[0] == 403, "its rule has other operations"
    assert ask(required, made, made.batch, "/v1/embeddings")[0] == 404, "which echo has not"


def test_what_no_rule_fits_is_unauthorized(required: Gateway, made: Made) -> None:
    status, said = ask(required, made, made.unlisted)
    assert status == 401
    assert said["error"]["message"] == "Invalid credentials"


@pytest.mark.parametrize("name", ["", "revoked", "expired", "for_servers", "of_another"])
def test_others_do_not_even_connect(required: Gateway, optional: Gateway, made: Made, name: str) -> None:
    """A certificate that is not good is refused also where none is needed."""
    shown = getattr(made, name) if name else None
    for one in (required, *((optional,) if shown else ())):
        with pytest.raises(REFUSED):
            ask(one, made, shown, authorization=f"Bearer {KEY}")
    assert ask(required, made, made.chat)[0] == 200


def test_a_certificate_without_its_key_is_refused(required: Gateway, made: Made, tmp_path: Path) -> None:
    """Certificates are public: who has copied one has not its key."""
    mine = made.authority.issue("URI:spiffe://example.org/ns/dev/sa/mine")
    with pytest.raises(ssl.SSLError):
        ask(required, made, Issued(made.chat.cert, mine.key))


def test_keys_are_taken_where_certificates_are_optional(optional: Gateway, made: Made) -> None:
    assert ask(optional, made, made.chat)[0] == 200
    assert ask(optional, made)[0] == 401
    assert ask(optional, made, authorization=f"Bearer {KEY}")[0] == 200
    with closing(connect(optional, made)) as connection:
        connection.request("GET", "/health")
        assert connection.getresponse().status == 200


def test_no_header_says_anything_about_a_certificate(optional: Gateway, made: Made) -> None:
    """40 headers in which servers hand certificates on: they are a client's own words here."""
    pem = made.chat.cert.read_text().replace("\n", "%0A")
    names = [
        "x-ssl-client-cert",
        "ssl-client-cert",
        "x-client-cert",
        "x-forwarded-client-cert",
        "client-cert",
        "x-amzn-mtls-clientcert",
    ]
    names += [
        "x-amzn-mtls-clientcert-leaf",
        "x-arr-clientcert",
        "x-client-certificate",
        "x-tls-client-cert",
        "cf-client-cert-der",
    ]
    names += [
        "x-ssl-client-verify",
        "ssl-client-verify",
        "x-client-verify",
        "x-ssl-client-s-dn",
        "ssl-client-subject-dn",
        "x-client-dn",
    ]
    names += [
        "x-spiffe-id",
        "x-client-uri-san",
        "x-ssl-client-fingerprint",
        "x-client-fingerprint",
        "x-goog-client-cert",
        "remote-user",
    ]
    names += [
        "x-forwarded-user",
        "x-forwarded-tls-client-cert",
        "x-forwarded-tls-client-cert-info",
        "cert",
        "x-cert",
        "x-cert-subject",
    ]
    names += [
        "x-apigateway-mtls",
        "x-client-san",
        "x-client-cn",
        "x-ssl-cert",
        "x-envoy-peer-metadata",
        "tls-client-certificate",
    ]
    names += [
        "client-cert-chain",
        "x-mtls",
        "x-ssl-client-serial",
        "llmgate.client.certificate".replace(".", "-"),
        "x-verified",
    ]
    assert len(names) >= 38
    values = [
        pem[:3000],
        "SUCCESS",
        "spiffe://example.org/ns/prod/sa/chat",
        f"URI=spiffe://example.org/ns/prod/sa/chat;Hash={'a' * 64}",
    ]
    with closing(connect(optional, made)) as connection:
        for value in values:
            for name in names:
                assert post(connection, **{name: value})[0] == 401, name


def test_sessions_and_streams_are_let_in_alike(optional: Gateway, made: Made) -> None:
    handshake = {
        "connection": "Upgrade",
        "upgrade": "websocket",
        "sec-websocket-version": "13",
        "sec-websocket-key": "AAAAAAAAAAAAAAAAAAAAAA==",
    }
    for shown, status in ((None, {401}), (made.unlisted, {401}), (made.chat, {101, 400, 403, 404, 501})):
        with closing(connect(optional, made, shown)) as connection:
            connection.request("GET", "/v1/realtime?model=echo/echo", headers=handshake)
            assert connection.getresponse().status in status
    with closing(connect(optional, made, made.chat)) as connection:
        connection.request("POST", PATH, BODY[:-1] + ', "stream": true}', {"content-type": "application/json"})
        answer = connection.getresponse()
        assert (answer.status, b"[DONE]" in answer.read()) == (200, True)
        assert post(connection)[0] == 200, "the connection is kept"


def test_large_bodies_and_clients_that_leave(required: Gateway, made: Made) -> None:
    large = json.dumps({"model": "echo/echo", "messages": [{"role": "user", "content": "x" * 3_000_000}]})
    with closing(connect(required, made, made.chat)) as connection:
        connection.request("POST", PATH, large, {"content-type": "application/json"})
        answer = connection.getresponse()
        assert answer.status == 200
        assert len(answer.read()) > 3_000_000
    for _ in range(10):
        left = connect(required, made, made.chat)
        left.request("POST", PATH, large, {"content-type": "application/json"})
        left.sock.close()
        left.close()
    assert ask(required, made, made.chat)[0] == 200


def test_old_tls_and_no_tls_are_turned_away(required: Gateway, made: Made) -> None:
    old = context(made, made.chat)
    old.maximum_version = ssl.TLSVersion.TLSv1_2
    with (
        pytest.raises(REFUSED),
        closing(http.client.HTTPSConnection("localhost", required.port, timeout=30, context=old)) as one,
    ):
        post(one)
    with (
        pytest.raises((OSError, http.client.HTTPException)),
        closing(http.client.HTTPConnection("localhost", required.port, timeout=30)) as plain,
    ):
        post(plain)
    with socket.create_connection(("localhost", required.port), timeout=30) as odd:
        odd.sendall(b"\x16\x03\x01\xff\xff" + b"\x00" * 1000)
    assert ask(required, made, made.chat)[0] == 200


def test_no_session_is_resumed(required: Gateway, made: Made) -> None:
    """A resumed one would get past the list of what has been revoked."""
    asking = context(made, made.chat)
    session = None
    for _ in range(3):
        plain = socket.create_connection(("localhost", required.port), timeout=30)
        with asking.wrap_socket(plain, server_hostname="localhost", session=session) as tls:
            tls.sendall(b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n")
            tls.recv(1000)
            assert not tls.session_reused
            session = tls.session if tls.session is not None and tls.session.has_ticket else None


def test_what_is_revoked_while_it_runs_is_refused(made: Made, tmp_path: Path) -> None:
    """By the configuration on the next request of a connection; by the authority's list on the next connection."""
    chat, batch = made.chat, made.authority.issue("URI:spiffe://example.org/ns/prod/sa/later")
    put(made, tmp_path, asked="optional")
    with gateway(tmp_path, environment={"ALICE_KEY": KEY}) as one, closing(connect(one, made, chat)) as kept:
        assert post(kept)[0] == 200
        assert ask(one, made, batch)[0] == 200
        config = CONFIG.format(asked="optional", revoked=f'"{chat.fingerprint}"')
        (tmp_path / "llmgate.yaml").write_text(config)
        one.signal(signal.SIGHUP)
        one.wait_error("read again")
        assert post(kept)[0] == 401
        assert ask(one, made, batch)[0] == 200
        made.authority.revoke(batch)
        made.authority.write_crl(tmp_path / "new.crl").replace(tmp_path / "ca.crl")
        one.wait_error("certificates have been read again")
        with pytest.raises(REFUSED):
            ask(one, made, batch)
        assert ask(one, made, authorization=f"Bearer {KEY}")[0] == 200


def test_a_new_certificate_is_shown_without_a_restart(made: Made, tmp_path: Path) -> None:
    put(made, tmp_path, asked="optional")
    with gateway(tmp_path, environment={"ALICE_KEY": KEY}) as one, closing(connect(one, made)) as kept:
        assert post(kept, authorization=f"Bearer {KEY}")[0] == 200
        later = made.authority.issue("DNS:localhost", usage="serverAuth")
        shutil.copy(later.key, tmp_path / "tls.key")
        time.sleep(0.1)
        shutil.copy(later.cert, tmp_path / "tls.crt")
        one.wait_error("certificates have been read again")
        plain = socket.create_connection(("localhost", one.port), timeout=30)
        with context(made).wrap_socket(plain, server_hostname="localhost") as tls:
            assert tls.getpeercert(binary_form=True) == ssl.PEM_cert_to_DER_cert(later.cert.read_text())
        assert post(kept, authorization=f"Bearer {KEY}")[0] == 200, "connections stay"


def test_a_certificate_that_cannot_be_used_stops_the_start(made: Made, tmp_path: Path) -> None:
    put(made, tmp_path, asked="required")
    shutil.copy(made.chat.key, tmp_path / "tls.key")
    for workers in ("1", "2"):
        with gateway(tmp_path, "--workers", workers, ready=False, environment={"ALICE_KEY": KEY}) as one:
            assert one.wait(80) != 0
            assert "server.tls: cert and key" in one.stderr
