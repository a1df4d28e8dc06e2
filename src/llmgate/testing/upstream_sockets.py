"""A provider on loopback that holds WebSockets, well or badly.

async with FakeSocketUpstream() as upstream:
    upstream.refuse(429, {"error": {"message": "slow down"}})
    upstream.play(handler)  # an async function of one ReceivedSocket
    ...  # point a provider at upstream.base_url; the third connection is answered by the default, an echo
    assert upstream.sockets[0].headers["authorization"] == "Bearer test"
"""

from __future__ import annotations

import asyncio
import json
from collections import deque
from collections.abc import Awaitable, Callable, Mapping, Sequence
from types import TracebackType
from typing import Any, Self

from aiohttp import WSMsgType, web

__all__ = ["FakeSocketUpstream", "ReceivedSocket"]


class ReceivedSocket:
    """One connection of a client.

    Args:
        request: Its handshake.
        subprotocols: What the server chooses from.
    """

    def __init__(self, request: web.Request, subprotocols: Sequence[str]) -> None:
        self.path = request.path_qs
        self.headers: Mapping[str, str] = {name.lower(): text for name, text in request.headers.items()}
        self.messages: list[str | bytes] = []
        """What has come so far, oldest first."""
        self.close_code: int | None = None
        """How the client has closed; None while it has not, or has left without a word."""
        self.close_reason: str | None = None
        self.ended = asyncio.Event()
        self.web = web.WebSocketResponse(max_msg_size=0, protocols=subprotocols)
        self._request = request

    async def receive(self) -> str | bytes | None:
        """The next message; None once the client has closed."""
        message = await self.web.receive()
        if message.type in (WSMsgType.TEXT, WSMsgType.BINARY):
            data: str | bytes = message.data
            self.messages.append(data)
            return data
        self.close_code = self.web.close_code
        self.close_reason = message.extra if message.type is WSMsgType.CLOSE else None
        return None

    async def send(self, message: str | bytes | Mapping[str, Any]) -> None:
        """Send a message; a mapping as an event in JSON."""
        if isinstance(message, bytes):
            await self.web.send_bytes(message)
        else:
            await self.web.send_str(message if isinstance(message, str) else json.dumps(message))

    async def close(self, code: int = 1000, reason: str = "") -> None:
        """Close in order."""
        await self.web.close(code=code, message=reason.encode())

    def reset(self) -> None:
        """Break the connection."""
        assert self._request.transport is not None, "it is open"
        self._request.transport.abort()

    def pause(self) -> None:
        """Read nothing more from the connection."""
        assert self._request.transport is not None, "it is open"
        self._request.transport.pause_reading()

    async def write(self, data: bytes) -> None:
        """Send bytes as they are, in frames or not."""
        assert self._request.transport is not None, "it is open"
        self._request.transport.write(data)


Player = Callable[[ReceivedSocket], Awaitable[None]]


class FakeSocketUpstream:
    """A server on 127.0.0.1 that accepts WebSockets at any path.

    Args:
        subprotocols: What it chooses from.
    """

    def __init__(self, subprotocols: Sequence[str] = ("realtime",)) -> None:
        self.sockets: list[ReceivedSocket] = []
        """Every handshake received, oldest first."""
        self.before_answer: asyncio.Event | None = None
        """What a handshake's answer waits for; None for nothing."""
        self.port = 0
        self._subprotocols = tuple(subprotocols)
        self._script: deque[Player | web.Response] = deque()
        self._runner: web.AppRunner | None = None

    @property
    def url(self) -> str:
        """``http://127.0.0.1:port``."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def base_url(self) -> str:
        """The address to configure a provider with: ``url`` and ``/v1``."""
        return f"{self.url}/v1"

    def play(self, player: Player) -> None:
        """Have the next connection played by a function."""
        self._script.append(player)

    def refuse(self, status: int, value: Any = None, headers: Mapping[str, str] | None = None) -> None:
        """Answer the next handshake with a status."""
        body = b"" if value is None else json.dumps(value).encode()
        self._script.append(
            web.Response(status=status, body=body, headers={"content-type": "application/json", **(headers or {})})
        )

    async def __aenter__(self) -> Self:
        application = web.Application()
        application.router.add_route("*", "/{path:.*}", self._serve)
        self._runner = web.AppRunner(application, access_log=None, shutdown_timeout=0.1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        self.port = self._runner.addresses[0][1]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, failure: BaseException | None, traceback: TracebackType | None
    ) -> None:
        assert self._runner is not None, "it was started"
        await self._runner.cleanup()

    async def _serve(self, request: web.Request) -> web.StreamResponse:
        received = ReceivedSocket(request, self._subprotocols)
        self.sockets.append(received)
        step = self._script.popleft() if self._script else _echo
        if self.before_answer is not None:
            await self.before_answer.wait()
        try:
            if isinstance(step, web.Response):
                return step
            await received.web.prepare(request)
            await step(received)
            while not received.web.closed and await received.receive() is not None:
                pass
        except ConnectionResetError:
            pass
        finally:
            received.ended.set()
        return received.web


async def _echo(socket: ReceivedSocket) -> None:
    while (message := await socket.receive()) is not None:
        await socket.send(message)
