"""TLS of what the gateway calls."""

from __future__ import annotations

import asyncio
import contextlib
import os
import ssl
import sys
from pathlib import Path

import pytest

from llmgate.wire.tls import client_context, trusting

CALL = """
import asyncio
from llmgate.spec import ProviderConnectionError, ProviderRequest
from llmgate.wire.transport import AiohttpTransport

async def call():
    transport = AiohttpTransport()
    request = ProviderRequest("GET", "{0}/x", {{}}, b"", provider_name="x", origin="{0}")
    try:
        print((await transport.send(request)).status)
    except ProviderConnectionError as error:
        print(error.code)
    await transport.aclose()

asyncio.run(call())
"""


async def call(origin: str, **environment: str) -> str:
    """What a process with some variables gets from a server."""
    child = await asyncio.create_subprocess_exec(
        sys.executable, "-c", CALL.format(origin), env={**os.environ, **environment}, stdout=asyncio.subprocess.PIPE
    )
    said, _ = await child.communicate()
    return said.decode().strip()


async def test_no_variable_has_secrets_written_down_and_one_may_name_authorities(
    certificate: Path, tmp_path: Path
) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            await reader.readuntil(b"\r\n\r\n")
            writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok")
            await writer.drain()
        writer.close()

    written = tmp_path / "keys.log"
    async with await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context) as server:
        origin = f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        assert await call(origin, SSLKEYLOGFILE=str(written), SSL_CERT_FILE=str(certificate)) == "200"
        assert await call(origin, SSLKEYLOGFILE=str(written)) == "provider_tls_error"
    # The file may be there with its heading: libraries make contexts that are not used.
    assert not written.exists() or "TRAFFIC_SECRET" not in written.read_text()


def test_names_and_certificates_are_checked(certificate: Path) -> None:
    for context in (client_context(), trusting(certificate.read_text())):
        assert context.check_hostname
        assert context.verify_mode is ssl.CERT_REQUIRED
        assert context.minimum_version >= ssl.TLSVersion.TLSv1_2
    assert client_context() is client_context()
    for nothing in ("", "no certificate"):
        with pytest.raises((ssl.SSLError, ValueError)):
            trusting(nothing)
