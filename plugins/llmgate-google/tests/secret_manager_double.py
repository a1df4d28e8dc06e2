"""Secret Manager, the metadata service and the token service on loopback, as Google describes them.

Source: Google, the discovery document of Secret Manager v1 (``secretmanager.projects.secrets.versions.access`` and its
regional twin, ``AccessSecretVersionResponse``, ``SecretPayload``), and AIP-193 for errors.
"""

from __future__ import annotations

import base64
import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import attrs

__all__ = ["SecretManagerDouble", "playing_google"]

ACCESS = re.compile(r"/v1/(projects/[^/]+(?:/locations/[^/]+)?/secrets/([^/]+))/versions/([^/]+):access")


@attrs.define
class SecretManagerDouble:
    """What is kept, and who may read it.

    Args:
        port: Its port on 127.0.0.1.
        secrets: The versions of each secret by its whole name; None for one that is disabled or destroyed.
        tokens: The tokens that it has given and takes.
        refusal: The status and the word of the refusal of everything; None for none.
        checksum: What is sent in place of the checksum; None for the right one.
    """

    port: int
    secrets: dict[str, list[bytes | None]] = attrs.field(factory=dict)
    tokens: set[str] = attrs.field(factory=set)
    refusal: tuple[int, str] | None = None
    checksum: int | None = None
    given: int = 0
    asked: list[str] = attrs.field(factory=list)

    @property
    def url(self) -> str:
        """Its address."""
        return f"http://127.0.0.1:{self.port}"

    def put(self, name: str, value: str | bytes | None) -> None:
        """Add a version."""
        content = value.encode() if isinstance(value, str) else value
        self.secrets.setdefault(f"projects/p/secrets/{name}", []).append(content)

    def token(self) -> Any:
        """What a token service says."""
        self.given += 1
        self.tokens.add(f"ya29.token-{self.given}")
        return 200, {"access_token": f"ya29.token-{self.given}", "expires_in": 3600, "token_type": "Bearer"}

    def reply(self, path: str, authorization: str) -> tuple[int, Any]:
        """The status and the JSON for a request."""
        self.asked.append(path)
        if "/token" in path:
            return self.token()
        if path == "/" or path.endswith("/project/project-id"):
            return 200, "p"
        if path.startswith("/computeMetadata"):
            return 200, {"aliases": ["default"], "email": "gateway@p.iam", "scopes": ["all"]}
        if authorization.removeprefix("Bearer ") not in self.tokens:
            return _error(401, "UNAUTHENTICATED")
        if self.refusal is not None:
            return _error(*self.refusal)
        found = ACCESS.fullmatch(path)
        if found is None:
            return 404, None
        versions = self.secrets.get(found[1], [])
        number = len(versions) if found[3] == "latest" else int(found[3]) if found[3].isdigit() else 0
        if not 0 < number <= len(versions):
            return _error(404, "NOT_FOUND")
        content = versions[number - 1]
        if content is None:
            return _error(400, "FAILED_PRECONDITION")
        payload: dict[str, Any] = {"dataCrc32c": str(self.checksum if self.checksum is not None else _crc(content))}
        if content:
            payload["data"] = base64.b64encode(content).decode()
        return 200, {"name": f"{found[1].replace('/p/', '/123/')}/versions/{number}", "payload": payload}


def _error(code: int, status: str) -> tuple[int, Any]:
    return code, {"error": {"code": code, "message": "canary-account may not", "status": status}}


def _crc(content: bytes) -> int:
    """CRC32C bit by bit, not the way the store does it."""
    value = 0xFFFFFFFF
    for byte in content:
        value ^= byte
        for _ in range(8):
            value = (value >> 1) ^ (0x82F63B78 if value & 1 else 0)
    return value ^ 0xFFFFFFFF


@contextmanager
def playing_google() -> Iterator[SecretManagerDouble]:
    """The double, while it lasts."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            self.rfile.read(int(self.headers.get("content-length") or 0))
            status, value = double.reply(self.path, self.headers.get("authorization", ""))
            data = b"<html>" if value is None else json.dumps(value).encode()
            self.send_response(status)
            self.send_header("content-type", "application/json")
            self.send_header("metadata-flavor", "Google")
            self.send_header("content-length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        do_GET = do_POST  # noqa: N815 - the base class's name

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    double = SecretManagerDouble(server.server_port)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield double
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
