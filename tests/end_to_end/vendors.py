"""Vendors' hosts on this machine: their names lead to a fake upstream, over TLS that a client verifies."""

from __future__ import annotations

import asyncio
import shutil
import socket
import ssl
import subprocess
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from llmgate.testing.upstream import FakeUpstream

__all__ = ["at_vendors", "needs_openssl"]

needs_openssl = pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl makes the certificate")


@asynccontextmanager
async def at_vendors(
    upstream: FakeUpstream, hosts: Sequence[str], directory: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[None]:
    """Have the names of hosts lead to an upstream, whatever port is asked for, with a certificate for each.

    Args:
        upstream: Who answers.
        hosts: The host names.
        directory: Where the certificate is written.
        monkeypatch: Undoes it.
    """
    pem = directory / "vendors.pem"
    names = ",".join(f"DNS:{host}" for host in hosts)
    openssl = shutil.which("openssl")
    assert openssl is not None
    command = f"{openssl} req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=vendors"
    made = [*command.split(), "-addext", f"subjectAltName={names}", "-keyout", str(pem), "-out", str(directory / "crt")]
    subprocess.run(made, check=True, capture_output=True)
    trusted = ssl.create_default_context(cafile=str(directory / "crt"))
    monkeypatch.setattr("llmgate.wire.transport.client_context", lambda: trusted)
    terminating = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    terminating.load_cert_chain(directory / "crt", pem)

    async def pipe(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError, ssl.SSLError):
            while data := await reader.read(65536):
                writer.write(data)
                await writer.drain()
        with suppress(ConnectionError, ssl.SSLError, RuntimeError):
            writer.close()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        behind = await asyncio.open_connection("127.0.0.1", upstream.port)
        await asyncio.gather(pipe(reader, behind[1]), pipe(behind[0], writer))

    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=terminating)
    port = server.sockets[0].getsockname()[1]
    original = socket.getaddrinfo

    def mapped(host: Any, asked: Any, *args: Any, **kwargs: Any) -> Any:
        name = host.decode() if isinstance(host, bytes) else host
        if name in hosts:
            return [(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", ("127.0.0.1", port))]
        return original(host, asked, *args, **kwargs)

    loop = asyncio.get_running_loop()
    looked_up = loop.getaddrinfo

    async def found(host: Any, asked: Any, **kwargs: Any) -> Any:
        return mapped(host, asked) if host in hosts else await looked_up(host, asked, **kwargs)

    monkeypatch.setattr(socket, "getaddrinfo", mapped)
    monkeypatch.setattr(loop, "getaddrinfo", found)  # uvloop does not ask the module
    try:
        yield
    finally:
        server.close()
