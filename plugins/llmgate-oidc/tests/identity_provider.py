"""An identity provider on loopback that does as a test says, keys, answers and silence; and tokens of any kind."""

from __future__ import annotations

import base64
import functools
import json
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import attrs
from joserfc.jwk import ECKey, OKPKey, RSAKey
from joserfc.jws import JWSRegistry

__all__ = ["IdentityProvider", "another_key", "edwards", "elliptic", "part", "playing_issuer", "sign"]


def part(value: bytes | Mapping[str, Any]) -> str:
    """A part of a token."""
    content = value if isinstance(value, bytes) else json.dumps(value).encode()
    return base64.urlsafe_b64encode(content).rstrip(b"=").decode()


def sign(header: bytes | Mapping[str, Any], claims: bytes | Mapping[str, Any], key: Any, algorithm: str) -> str:
    """A token whose signature is what an algorithm makes of it, whatever it says of itself."""
    signed = f"{part(header)}.{part(claims)}"
    return f"{signed}.{part(JWSRegistry.algorithms[algorithm].sign(signed.encode(), key))}"


@functools.cache
def _made(number: int) -> Any:  # noqa: ARG001 - each number has a key of its own
    """Making a key takes a moment, so tests share them."""
    return RSAKey.generate_key(2048).raw_value


def _rsa(kid: str | None, number: int = 0) -> RSAKey:
    return RSAKey(_made(number), None, {} if kid is None else {"kid": kid})


@attrs.define
class IdentityProvider:
    """One issuer.

    Args:
        port: Its port on 127.0.0.1.
        keys: Its keys, which sign and are in its set.
        said: What stands in its configuration in place of what should.
        published: Its set of keys, in place of that of ``keys``.
        status: What it answers everything with, when not 200.
        delay: Seconds before it answers.
        asked: The paths that were asked for.
        turns: How often it has taken another key.
        once: What it answers for its set of keys, the next time.
    """

    port: int
    keys: list[Any] = attrs.field(factory=lambda: [_rsa("k1")])
    said: dict[str, Any] = attrs.field(factory=dict)
    published: bytes | None = None
    status: int = 200
    delay: float = 0.0
    asked: list[str] = attrs.field(factory=list)
    turns: int = 0
    once: bytes | None = None

    @property
    def url(self) -> str:
        """What it calls itself."""
        return f"http://127.0.0.1:{self.port}"

    def rotate(self, kid: str | None, *, keep: bool = False) -> None:
        """Sign with a new key, and forget the others, or all but the last."""
        self.turns += 1
        self.keys = [*(self.keys[-1:] if keep else ()), _rsa(kid, self.turns)]

    def claims(self, now: float, **more: Any) -> dict[str, Any]:
        """What a good token claims; a claim that is None is left out."""
        good = {"iss": self.url, "aud": "llmgate", "sub": "jane", "iat": int(now), "exp": int(now) + 600, **more}
        return {name: value for name, value in good.items() if value is not None}

    def token(self, now: float, *, key: Any = None, header: Mapping[str, Any] | None = None, **claims: Any) -> str:
        """A good token, but for what is said otherwise."""
        key = key or self.keys[-1]
        kid = {} if key.get("kid") is None else {"kid": key["kid"]}
        head = {"alg": "RS256", "typ": "JWT", **kid, **(header or {})}
        return sign(head, self.claims(now, **claims), key, head["alg"])

    def reply(self, path: str) -> tuple[int, bytes]:
        """The status and the body for a request."""
        self.asked.append(path)
        time.sleep(self.delay)
        if self.status != 200:
            return self.status, b"{}"
        if path == "/.well-known/openid-configuration":
            return 200, json.dumps({"issuer": self.url, "jwks_uri": f"{self.url}/jwks", **self.said}).encode()
        if path == "/jwks" and self.once is not None:
            once, self.once = self.once, None
            return 200, once
        if path == "/jwks":
            public = [key.as_dict(private=False) for key in self.keys]
            return 200, json.dumps({"keys": public}).encode() if self.published is None else self.published
        return 404, b"{}"

    def fetched(self, path: str = "/jwks") -> int:
        """How often it was asked for something."""
        return self.asked.count(path)


@contextmanager
def playing_issuer() -> Iterator[IdentityProvider]:
    """An issuer that answers."""
    issuer: IdentityProvider

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            status, body = issuer.reply(self.path)
            try:
                self.send_response(status)
                self.send_header("content-type", "application/json")
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)
            except OSError:
                pass  # who asked has left

        def log_message(self, *_: object) -> None:
            """Be quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    issuer = IdentityProvider(server.server_port)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield issuer
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def another_key(kid: str) -> RSAKey:
    """A key that no issuer has."""
    return _rsa(kid, -1)


def edwards(kid: str = "ed", curve: str = "Ed25519") -> OKPKey:
    """A key of an Edwards curve."""
    return OKPKey.generate_key(curve, {"kid": kid})


def elliptic(kid: str = "ec", curve: str = "P-256") -> ECKey:
    """A key of a NIST curve."""
    return ECKey.generate_key(curve, {"kid": kid})
