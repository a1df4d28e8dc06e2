"""An application beside the gateway: served, over TLS too, bounded, and stopped in order."""

from __future__ import annotations

import asyncio
import ssl
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from llmgate.host.beside import serve_beside
from llmgate.spec import ConfigError, ProviderRequest, Serving, SocketClose, SocketMessage, SocketOptions
from llmgate.wire.transport import AiohttpTransport


async def echo(scope, receive, send):
    """Answers requests with their path, and WebSockets with what they say."""
    if scope["type"] == "http":
        await send(
            {"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"%d" % len(scope["path"]))]}
        )
        await send({"type": "http.response.body", "body": scope["path"].encode()})
        return
    await receive()
    await send({"type": "websocket.accept"})
    while (message := await receive())["type"] == "websocket.receive":
        await send({"type": "websocket.send", "text": message["text"]})


@asynccontextmanager
async def served(**options) -> AsyncIterator[tuple[str, list[str]]]:
    """The address, and what has happened at the end."""
    stop, started, done = asyncio.Event(), asyncio.Event(), []
    found = []

    async def ending() -> None:
        done.append("ending")

    def tell(url: str) -> None:
        found.append(url)
        started.set()

    task = asyncio.create_task(
        serve_beside(echo, Serving("127.0.0.1", 0, started=tell, ending=ending, **options), stop)
    )
    await started.wait()
    yield found[0], done
    stop.set()
    await task
    assert done == ["ending"]


async def ask(url: str, authorities: str | None = None):
    transport = AiohttpTransport()
    origin, _, _ = url.partition("/p")
    request = ProviderRequest("GET", url, {}, origin=origin, authorities=authorities)
    answer = await transport.send(request)
    socket = await transport.open_socket(request, SocketOptions())
    await socket.send(SocketMessage(b"hello"))
    heard = await socket.receive()
    await socket.close(SocketClose(1000))
    await transport.aclose()
    return answer.status, answer.body, heard.data


async def test_requests_and_sockets_are_served():
    async with served() as (url, _):
        assert url.startswith("http://127.0.0.1:")
        assert await ask(f"{url}/path") == (200, b"/path", b"hello")


async def test_the_same_over_tls(tmp_path: Path):
    certificate, key = tmp_path / "c.pem", tmp_path / "k.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2",
         "-subj", "/CN=x", "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", str(key), "-out", str(certificate)],
        check=True, capture_output=True,
    )  # fmt: skip
    async with served(certificate=certificate, private_key=key) as (url, _):
        assert url.startswith("https://127.0.0.1:")
        assert await ask(f"{url}/path", certificate.read_text()) == (200, b"/path", b"hello")
        reader, writer = await asyncio.open_connection("127.0.0.1", int(url.rpartition(":")[2]))
        writer.write(b"GET / HTTP/1.1\r\n\r\n")
        assert b"HTTP" not in await reader.read(100), "in clear it says nothing"
        writer.close()
        old = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        old.check_hostname, old.verify_mode = False, ssl.CERT_NONE
        old.maximum_version = ssl.TLSVersion.TLSv1_2
        old.set_ciphers("AES128-SHA:@SECLEVEL=0")
        with pytest.raises((ssl.SSLError, OSError)):
            await asyncio.open_connection("127.0.0.1", int(url.rpartition(":")[2]), ssl=old)


@pytest.mark.parametrize("text", [None, "garbage"])
async def test_a_certificate_that_is_none_is_named(tmp_path: Path, text):
    certificate = tmp_path / "c.pem"
    if text is not None:
        certificate.write_text(text)
    with pytest.raises(ConfigError, match=r"c\.pem and its key cannot be used"):
        await serve_beside(echo, Serving("127.0.0.1", 0, certificate=certificate), asyncio.Event())


async def test_an_address_that_is_none_is_named():
    with pytest.raises(ConfigError, match=r"cannot listen on 192\.0\.2\.1 port 0"):
        await serve_beside(echo, Serving("192.0.2.1", 0), asyncio.Event())
