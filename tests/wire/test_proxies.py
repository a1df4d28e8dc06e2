"""A proxy is used because an operator has written it down, for what he has not left out, and for nothing else."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest

from llmgate.spec import ProviderConnectionError, ProviderRequest, SocketOptions
from llmgate.testing.upstream import FakeUpstream
from llmgate.wire.proxies import Proxy
from llmgate.wire.transport import AiohttpTransport

PROXY = Proxy("http://127.0.0.1:3128", [".corp.example", "llm.example", "10.0.0.7", "fd00::7"])


@pytest.mark.parametrize(
    "host",
    ["localhost", "LOCALHOST.", "a.localhost", "127.0.0.1", "127.9.9.9", "::1", "[::1]", "a.corp.example",
     "a.b.corp.example", "llm.example", "10.0.0.7", "fd00::7"],
)  # fmt: skip
def test_what_is_left_out_and_this_machine_are_reached_directly(host: str) -> None:
    assert PROXY.for_host(host) is None


@pytest.mark.parametrize("host", ["api.openai.com", "corp.example", "xllm.example", "10.0.0.8", "8.8.8.8", "fd00::8"])
def test_everything_else_is_reached_through_it(host: str) -> None:
    assert PROXY.for_host(host) == "http://127.0.0.1:3128"


class Relay:
    """A proxy on loopback: tunnels, and whole addresses; every name leads to one place."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.port = 0
        self.leads_to = 0
        self.refuses = False

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        self.lines.append(head.split(b"\r\n")[0].decode())
        if self.refuses:
            writer.write(b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n")
            writer.close()
            return
        behind_reader, behind = await asyncio.open_connection("127.0.0.1", self.leads_to)
        if head.startswith(b"CONNECT "):
            writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
        else:
            behind.write(head)
        await asyncio.gather(pipe(reader, behind), pipe(behind_reader, writer))


async def pipe(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(ConnectionError, ssl.SSLError):
        while data := await reader.read(65536):
            writer.write(data)
    with suppress(ConnectionError, ssl.SSLError, RuntimeError):
        writer.close()


@asynccontextmanager
async def relaying() -> AsyncIterator[Relay]:
    relay = Relay()
    server = await asyncio.start_server(relay.serve, "127.0.0.1", 0)
    relay.port = server.sockets[0].getsockname()[1]
    try:
        yield relay
    finally:
        server.close()


def asked(origin: str) -> ProviderRequest:
    return ProviderRequest("POST", f"{origin}/v1/x", {"authorization": "Bearer s"}, b"{}", origin=origin, pool="one")


async def test_a_request_in_the_clear_goes_to_the_proxy_whole() -> None:
    async with FakeUpstream() as upstream, relaying() as relay:
        relay.leads_to = upstream.port
        transport = AiohttpTransport(proxy=Proxy(f"http://127.0.0.1:{relay.port}"))
        upstream.answer(json={"ok": 1})
        assert (await transport.send(asked("http://llm.invalid"))).status == 200
        assert relay.lines == ["POST http://llm.invalid/v1/x HTTP/1.1"]
        upstream.answer(json={"ok": 2})
        assert (await transport.send(asked(upstream.url))).status == 200
        assert len(relay.lines) == 1, "this machine is reached directly"
        await transport.aclose()


async def test_a_request_over_tls_goes_through_a_tunnel_that_shows_nothing(certificate: Path) -> None:
    serving = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    serving.load_cert_chain(certificate)
    trusting = ssl.create_default_context(cafile=str(certificate))
    trusting.check_hostname = False  # the certificate is for 127.0.0.1
    async with FakeUpstream() as upstream, relaying() as relay:

        async def end_tls(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            behind_reader, behind = await asyncio.open_connection("127.0.0.1", upstream.port)
            await asyncio.gather(pipe(reader, behind), pipe(behind_reader, writer))

        server = await asyncio.start_server(end_tls, "127.0.0.1", 0, ssl=serving)
        relay.leads_to = server.sockets[0].getsockname()[1]
        transport = AiohttpTransport(proxy=Proxy(f"http://127.0.0.1:{relay.port}"), tls=trusting)
        for number in range(3):
            upstream.answer(json={"ok": number})
            assert (await transport.send(asked("https://api.invalid"))).status == 200
        assert relay.lines == ["CONNECT api.invalid:443 HTTP/1.1"], "one connection serves all three"
        assert upstream.requests[-1].headers["host"] == "api.invalid"
        assert not [line for line in relay.lines if "Bearer" in line]
        await transport.aclose()
        server.close()


async def test_a_proxy_that_refuses_or_is_not_there_is_said_to_be_so() -> None:
    async with relaying() as relay:
        relay.refuses = True
        transport = AiohttpTransport(proxy=Proxy(f"http://127.0.0.1:{relay.port}"))
        with pytest.raises(ProviderConnectionError, match="the proxy answered 407"):
            await transport.send(asked("https://api.invalid"))
        await transport.aclose()
    gone = AiohttpTransport(proxy=Proxy(f"http://127.0.0.1:{relay.port}"))
    with pytest.raises(ProviderConnectionError, match=r"check egress\.proxy"):
        await gone.send(asked("https://api.invalid"))
    with pytest.raises(ProviderConnectionError):
        await gone.open_socket(asked("wss://api.invalid".replace("wss", "https")), SocketOptions())
    await gone.aclose()


async def test_the_environment_names_no_proxy(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    async with FakeUpstream() as upstream, relaying() as relay:
        for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy"):
            monkeypatch.setenv(name, f"http://127.0.0.1:{relay.port}")
        (tmp_path / ".netrc").write_text("machine 127.0.0.1 login a password canary\n")
        monkeypatch.setenv("NETRC", str(tmp_path / ".netrc"))
        monkeypatch.setenv("HOME", str(tmp_path))
        transport = AiohttpTransport()
        request = ProviderRequest("GET", f"{upstream.url}/", {}, origin=upstream.url)
        upstream.answer(json={})
        await transport.send(request)
        assert not relay.lines
        assert "authorization" not in upstream.requests[0].headers
        await transport.aclose()
