"""A vault on loopback, with TLS, that answers as Microsoft's reference of the REST API says.

Source: Microsoft, "Azure Key Vault REST API reference" (Get Secret) and "Azure Key Vault REST API Error Codes".
"""

from __future__ import annotations

import json
import threading
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import attrs
from entra_double import tls_context

__all__ = ["KeyVaultDouble", "playing_key_vault"]


@attrs.define
class KeyVaultDouble:
    """What is in the vault, and who may read it.

    Args:
        port: Its port on 127.0.0.1.
        tokens: The tokens that it takes.
        forbidden: The inner code of the refusal of everything; None for none.
    """

    port: int
    tokens: set[str] = attrs.field(factory=set)
    forbidden: str | None = None
    secrets: dict[str, list[dict[str, Any]]] = attrs.field(factory=dict)
    asked: list[str] = attrs.field(factory=list)

    @property
    def url(self) -> str:
        """Its address."""
        return f"https://127.0.0.1:{self.port}"

    def put(self, name: str, value: str, **attributes: Any) -> str:
        """Add a version of a secret; returns its name."""
        version = uuid.uuid4().hex
        bundle = {
            "value": value,
            "id": f"{self.url}/secrets/{name}/{version}",
            "attributes": {"enabled": True, "created": 1, "updated": 1, "recoveryLevel": "Recoverable", **attributes},
        }
        self.secrets.setdefault(name, []).append(bundle)
        return version

    def reply(self, path: str, query: dict[str, list[str]], authorization: str) -> tuple[int, Any]:
        """The status and the JSON for a request."""
        self.asked.append(path)
        if authorization.removeprefix("Bearer ") not in self.tokens:
            return 401, _error("Unauthorized", "AKV10000: Request is missing a Bearer or PoP token.")
        if not query.get("api-version"):
            return 400, _error("BadParameter", "api-version must be specified")
        if self.forbidden is not None:
            return 403, _error("Forbidden", "Caller canary-object-id is not authorized", self.forbidden)
        _, _, name, *version = path.split("/")
        versions = self.secrets.get(name, [])
        wanted = [one for one in versions if not version or not version[0] or one["id"].endswith(version[0])]
        if not wanted:
            return 404, _error("SecretNotFound", f"A secret with (name/id) {name} was not found in this key vault.")
        if not wanted[-1]["attributes"]["enabled"]:
            return 403, _error("Forbidden", "Operation get is not allowed on a disabled secret.", "SecretDisabled")
        return 200, wanted[-1]


def _error(code: str, message: str, inner: str | None = None) -> Any:
    error: dict[str, Any] = {"code": code, "message": message}
    if inner is not None:
        error["innererror"] = {"code": inner}
    return {"error": error}


@contextmanager
def playing_key_vault(directory: Path) -> Iterator[KeyVaultDouble]:
    """The double, while it lasts; ``ca.pem`` in the directory vouches for it."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            parts = urlsplit(self.path)
            status, value = double.reply(parts.path, parse_qs(parts.query), self.headers.get("authorization", ""))
            data = json.dumps(value).encode()
            self.send_response(status)
            if status == 401:
                challenge = (
                    'Bearer authorization="https://login.microsoftonline.com/t", resource="https://vault.azure.net"'
                )
                self.send_header("www-authenticate", challenge)
            self.send_header("content-type", "application/json; charset=utf-8")
            self.send_header("content-length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.socket = tls_context(directory).wrap_socket(server.socket, server_side=True)
    double = KeyVaultDouble(server.server_port)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield double
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
