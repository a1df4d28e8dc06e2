"""Real identity providers on loopback, each a process of its own, and tokens got from them by the code flow."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import json
import os
import re
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import attrs

__all__ = ["RealIssuer", "free_port", "running"]

REDIRECT = "http://127.0.0.1:1/callback"


class _Staying(urllib.request.HTTPRedirectHandler):
    """Shows redirects instead of following them."""

    def redirect_request(self, *_: Any) -> None:
        return None


@attrs.frozen
class RealIssuer:
    """A running identity provider.

    Args:
        url: What it calls itself.
    """

    url: str

    def get(self, path: str) -> Any:
        """The JSON at a path."""
        with urllib.request.urlopen(f"{self.url}{path}", timeout=20) as answer:
            return json.loads(answer.read())

    def code_flow(self, user: str, client: str) -> Mapping[str, Any]:
        """Log in as a user, and exchange the code for tokens, with PKCE."""
        verifier = base64.urlsafe_b64encode(os.urandom(32)).rstrip(b"=").decode()
        challenge = base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()
        query = {"client_id": client, "redirect_uri": REDIRECT, "response_type": "code", "scope": "openid email"}
        query |= {"state": "s", "nonce": "n", "code_challenge": challenge, "code_challenge_method": "S256"}
        said = self.get("/.well-known/openid-configuration")
        where = f"{said['authorization_endpoint']}?{urllib.parse.urlencode(query)}"
        code = self._code(where, user)
        form = {"grant_type": "authorization_code", "code": code, "redirect_uri": REDIRECT, "code_verifier": verifier}
        basic = base64.b64encode(f"{client}:secret".encode()).decode()
        answer = self._send(said["token_endpoint"], form, {"authorization": f"Basic {basic}"})
        tokens: Mapping[str, Any] = json.loads(answer[1])
        return tokens

    def _code(self, where: str, user: str) -> str:
        _, _, location = self._send(where, {"sub": user})
        found = re.search(r"[?&]code=([^&]+)", location)
        assert found, location
        return urllib.parse.unquote(found[1])

    @staticmethod
    def _send(url: str, form: Mapping[str, str], headers: Mapping[str, str] | None = None) -> tuple[int, bytes, str]:
        request = urllib.request.Request(url, urllib.parse.urlencode(form).encode(), dict(headers or {}))
        opener = urllib.request.build_opener(_Staying)
        try:
            with opener.open(request, timeout=20) as answer:
                return answer.status, answer.read(), ""
        except urllib.error.HTTPError as other:
            with other:
                return other.code, other.read(), other.headers.get("location", "")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@contextmanager
def running(program: Sequence[str], port: int, *, host: str = "127.0.0.1", **options: Any) -> Iterator[RealIssuer]:
    """A process that serves until the end of the block."""
    process = subprocess.Popen(program, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, **options)
    issuer = RealIssuer(f"http://{host}:{port}")
    try:
        until = time.monotonic() + 40
        while True:
            with contextlib.suppress(OSError):
                issuer.get("/.well-known/openid-configuration")
                break
            assert process.poll() is None, process.communicate()[0]
            assert time.monotonic() < until, "it does not start"
            time.sleep(0.1)
        yield issuer
    finally:
        process.kill()
        process.communicate()


def mock_program(port: int) -> Sequence[str]:
    """``oidc-provider-mock``."""
    return (sys.executable, "-m", "oidc_provider_mock", "--port", str(port))
