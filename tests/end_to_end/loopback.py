"""A gateway in the test's own event loop: a real server on a real socket, fake providers, all records it leaves."""

from __future__ import annotations

import asyncio
import io
import json
import socket
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Any

import aiohttp
import attrs

import servers
from llmgate import Pipeline
from llmgate.host.app import create_app
from llmgate.host.server import bind, serve
from llmgate.spec import Clock, Logger, Record, hookimpl
from llmgate.testing.upstream import FakeUpstream

MAIN = "/router/main/chat/completions"
MESSAGES = [{"role": "user", "content": "hello wide world"}]


def keeping(kept: list[Record]) -> object:
    """A plugin with a logger that keeps every record."""

    class Keeping(Logger[Any]):
        name = "keeping"

        async def record(self, record: Record) -> None:
            kept.append(record)

    class Plugin:
        @hookimpl
        def llmgate_register_loggers(self) -> type[Keeping]:
            return Keeping

    return Plugin()


@attrs.frozen
class Reply:
    """What a client got.

    Args:
        status: The status.
        headers: The headers, lower-case names.
        body: The body as far as it came.
        whole: Whether it came to its end as HTTP wants it.
    """

    status: int
    headers: Mapping[str, str]
    body: bytes
    whole: bool = True

    @property
    def error(self) -> dict[str, Any]:
        """The error in the body."""
        error = json.loads(self.body)["error"]
        assert isinstance(error, dict)
        return error

    @property
    def events(self) -> list[bytes]:
        """The events of a stream, comments left out."""
        assert not self.body or self.body.endswith(b"\n\n"), f"a torn event: {self.body[-200:]!r}"
        return [event for event in self.body.split(b"\n\n") if event and not event.startswith(b":")]


class Loopback:
    """A running gateway.

    Args:
        pipeline: Its pipeline.
        port: Its port on 127.0.0.1.
        client: A client.
        records: The records so far.
    """

    def __init__(self, pipeline: Pipeline, port: int, client: aiohttp.ClientSession, records: list[Record]) -> None:
        self.pipeline, self.port, self.client, self.records = pipeline, port, client, records
        self.raw_clients: list[RawClient] = []

    async def recorded(self, count: int = 1, seconds: float = 30) -> list[Record]:
        """The records, once there are so many, and not one more."""
        async with asyncio.timeout(seconds):
            while len(self.records) < count:
                await asyncio.sleep(0.01)
        await asyncio.sleep(0)
        assert len(self.records) == count
        return self.records

    async def post(self, body: Mapping[str, Any] | bytes, path: str = MAIN, **headers: str) -> Reply:
        """A request of a decent client."""
        data = io.BytesIO(body if isinstance(body, bytes) else json.dumps(body).encode())
        sent = {"content-type": "application/json", **{name.replace("_", "-"): text for name, text in headers.items()}}
        async with self.client.post(f"http://127.0.0.1:{self.port}{path}", data=data, headers=sent) as response:
            came = bytearray()
            whole = True
            try:
                async for piece in response.content.iter_any():
                    came += piece
            except aiohttp.ClientPayloadError:
                whole = False
            names = {name.lower(): text for name, text in response.headers.items()}
            return Reply(response.status, names, bytes(came), whole)

    async def raw(self, data: bytes, *, receive_buffer: int | None = None) -> RawClient:
        """A client of which the test writes every byte."""
        sock = socket.socket()
        if receive_buffer is not None:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        sock.setblocking(False)
        loop = asyncio.get_running_loop()
        await loop.sock_connect(sock, ("127.0.0.1", self.port))
        client = RawClient(sock)
        self.raw_clients.append(client)
        await client.send(data)
        return client


class RawClient:
    """A client without manners, on a bare socket."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self.received = b""

    async def send(self, data: bytes) -> None:
        """Send bytes; the server may be gone already."""
        with suppress(BrokenPipeError, ConnectionResetError):
            await asyncio.get_running_loop().sock_sendall(self.sock, data)

    async def read(self, count: int, seconds: float = 30) -> bytes:
        """Read until so many bytes have come in all, or the server has closed."""
        async with asyncio.timeout(seconds):
            while len(self.received) < count and (piece := await self._some(count - len(self.received))):
                self.received += piece
        return self.received

    async def read_until(self, mark: bytes, seconds: float = 30) -> bytes:
        """Read until a mark has come, or the server has closed."""
        async with asyncio.timeout(seconds):
            while mark not in self.received and (piece := await self._some(65536)):
                self.received += piece
        return self.received

    async def _some(self, size: int) -> bytes:
        try:
            return await asyncio.get_running_loop().sock_recv(self.sock, min(size, 65536))
        except ConnectionResetError:
            return b""

    def fin(self) -> None:
        """Leave in the ordinary way."""
        self.sock.close()

    def rst(self) -> None:
        """Leave with a bang."""
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")
        self.sock.close()

    def half_close(self) -> None:
        """Say that nothing more will be sent, and stay."""
        self.sock.shutdown(socket.SHUT_WR)


def request_bytes(body: Mapping[str, Any] | bytes, path: str = MAIN, *, headers: str = "") -> bytes:
    """A request as it goes over the wire."""
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    head = (
        f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(data)}\r\n{headers}\r\n"
    )
    return head.encode() + data


def settings_for(*upstreams: FakeUpstream, **sections: Any) -> dict[str, Any]:
    """A router ``main`` over providers ``one``, ``two`` … in this order."""
    names = ("one", "two", "three")[: len(upstreams)]
    return {
        "providers": {name: {"base-url": upstream.base_url} for name, upstream in zip(names, upstreams, strict=True)},
        "routers": {"main": {"load-balance": {"chat": {"strategy": "priority", "providers": list(names)}}}},
        **sections,
    }


@asynccontextmanager
async def loopback(
    settings: Mapping[str, Any],
    *,
    plugins: Sequence[object] = (),
    clock: Clock | None = None,
    send_buffer: int | None = None,
    environment: Mapping[str, str] | None = None,
) -> AsyncIterator[Loopback]:
    """Serve a configuration for the length of a test; every provider's key is ``secret-of-NAME``.

    Args:
        settings: The configuration.
        plugins: What it uses.
        clock: Time and chance; None for the real ones.
        environment: More variables than those of the keys.
        send_buffer: Bytes that the kernel keeps for each client; None for as many as it likes (megabytes).
    """
    keys = {f"{name.upper()}_API_KEY": f"secret-of-{name}" for name in settings["providers"]}
    settings = {**settings, "loggers": [{"use": "keeping"}, *settings.get("loggers", [])]}
    records: list[Record] = []
    plugins = [keeping(records), *plugins]
    pipeline = Pipeline.from_config(settings, environment={**keys, **(environment or {})}, plugins=plugins, clock=clock)
    (listening,) = bind("127.0.0.1", 0)
    if send_buffer is not None:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, send_buffer)
    listening.listen(4096)  # a client that comes before the server waits in line
    stop = asyncio.Event()
    async with pipeline, aiohttp.ClientSession() as client:
        app = create_app(pipeline, owns_pipeline=False, server=servers.chosen(pipeline.config.server))
        serving = asyncio.create_task(serve(app, [listening], stop=stop))
        gateway = Loopback(pipeline, listening.getsockname()[1], client, records)
        try:
            yield gateway
        finally:
            for raw in gateway.raw_clients:
                raw.sock.close()
            stop.set()
            await serving
