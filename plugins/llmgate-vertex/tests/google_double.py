"""A server on loopback that plays Google: its token services, the metadata service, and Vertex AI."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import attrs
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

__all__ = ["KEY", "Answer", "Asked", "GoogleDouble", "playing_google", "service_account", "token_answer"]

KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)
PEM = KEY.private_bytes(
    serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
).decode()


@attrs.frozen
class Asked:
    """A request that came: headers have lower-case names."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes


Answer = tuple[int, dict[str, str], bytes]


@attrs.define
class GoogleDouble:
    """What the double was asked, and what it answers.

    Args:
        port: Its port on 127.0.0.1.
        answer: Makes an answer.
    """

    port: int
    answer: Callable[[Asked], Answer]
    asked: list[Asked] = attrs.field(factory=list)

    @property
    def url(self) -> str:
        """Its address."""
        return f"http://127.0.0.1:{self.port}"


def token_answer(value: str, lifetime: int = 3600) -> Answer:
    """What a token service says."""
    body: dict[str, Any] = {"access_token": value, "expires_in": lifetime, "token_type": "Bearer"}
    body["issued_token_type"] = "urn:ietf:params:oauth:token-type:access_token"
    return 200, {"content-type": "application/json", "metadata-flavor": "Google"}, json.dumps(body).encode()


def service_account(double: GoogleDouble) -> str:
    """The key file of a service account whose tokens the double gives."""
    return json.dumps(
        {
            "type": "service_account",
            "client_email": "gateway@p.iam.gserviceaccount.com",
            "private_key": PEM,
            "private_key_id": "1",
            "project_id": "p",
            "token_uri": f"{double.url}/token",
        }
    )


@contextmanager
def playing_google(answer: Callable[[Asked], Answer]) -> Iterator[GoogleDouble]:
    """The double, while it lasts."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length") or 0))
            headers = {name.lower(): value for name, value in self.headers.items()}
            asked = Asked(self.command, self.path, headers, body)
            double.asked.append(asked)
            status, head, data = double.answer(asked)
            self.send_response(status)
            for name, value in {**head, "content-length": str(len(data))}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(data)

        do_GET = do_POST  # noqa: N815 - the base class's name

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    double = GoogleDouble(server.server_port, answer)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield double
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
