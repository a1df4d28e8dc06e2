"""A server on loopback that plays Microsoft: the authority (by TLS, as the library demands), a host's identity."""

from __future__ import annotations

import datetime as dt
import ipaddress
import json
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import attrs
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

__all__ = ["Asked", "EntraDouble", "playing_entra", "tls_context"]


@attrs.frozen
class Asked:
    """A request that came: its path, its headers by lower-case name, and the fields of its query or form."""

    path: str
    headers: dict[str, str]
    fields: dict[str, str]


@attrs.define
class EntraDouble:
    """What the double was asked for tokens, and how it answers.

    Args:
        url: Its address.
        token: Makes the status and the JSON for a request.
    """

    url: str
    token: Callable[[Asked], tuple[int, Any]]
    asked: list[Asked] = attrs.field(factory=list)

    def reply(self, asked: Asked) -> tuple[int, Any]:
        """The answer to a request."""
        if asked.path.endswith("/openid-configuration"):
            tenant = asked.path.split("/")[1]
            start = f"{self.url}/{tenant}"
            return 200, {
                "issuer": f"{start}/v2.0",
                "authorization_endpoint": f"{start}/oauth2/v2.0/authorize",
                "token_endpoint": f"{start}/oauth2/v2.0/token",
            }
        self.asked.append(asked)
        return self.token(asked)


@contextmanager
def playing_entra(directory: Path, token: Callable[[Asked], tuple[int, Any]], *, tls: bool) -> Iterator[EntraDouble]:
    """The double, while it lasts; ``ca.pem`` in the directory vouches for it."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length") or 0)).decode()
            parts = urlsplit(self.path)
            fields = {name: values[0] for name, values in parse_qs(body or parts.query).items()}
            headers = {name.lower(): value for name, value in self.headers.items()}
            status, value = double.reply(Asked(parts.path, headers, fields))
            data = json.dumps(value).encode()
            self.send_response(status)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        do_GET = do_POST  # noqa: N815 - the base class's name

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    if tls:
        server.socket = tls_context(directory).wrap_socket(server.socket, server_side=True)
    double = EntraDouble(f"{'https' if tls else 'http'}://127.0.0.1:{server.server_port}", token)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield double
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def tls_context(directory: Path) -> ssl.SSLContext:
    """TLS for 127.0.0.1, with a certificate that vouches for itself."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "the double")])
    now = dt.datetime.now(dt.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(hours=1))
        .not_valid_after(now + dt.timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem = certificate.public_bytes(serialization.Encoding.PEM)
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    (directory / "ca.pem").write_bytes(pem)
    (directory / "server.pem").write_bytes(private + pem)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(directory / "server.pem")
    return context
