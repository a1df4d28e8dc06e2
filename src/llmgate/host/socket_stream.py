"""The server's end of one WebSocket connection (RFC 6455), between our own transport and the application.

hypercorn's own agrees to compression without a bound, loses the client's close code, and answers every ping however
many come. This one speaks ASGI's ``websocket`` messages upwards; frames are wsproto's.
"""

from __future__ import annotations

import asyncio
import io
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, Final
from urllib.parse import unquote

import attrs
from hypercorn.config import Config
from hypercorn.protocol.events import Body, Data, EndBody, Event, Request, Response, StreamClosed
from hypercorn.protocol.h11 import STREAM_ID
from starlette.types import ASGIApp, Message, Scope
from wsproto.connection import Connection, ConnectionState, ConnectionType
from wsproto.events import BytesMessage, CloseConnection, Event as Frame, Ping, TextMessage
from wsproto.frame_protocol import CloseReason
from wsproto.utilities import LocalProtocolError, generate_accept_token

__all__ = ["SocketStream", "Surroundings"]

Headers = list[tuple[bytes, bytes]]

LOST: Final = 1006
"""How ASGI says that a connection broke without a close frame; it is never sent."""
TOO_BIG: Final = int(CloseReason.MESSAGE_TOO_BIG)
FAILED: Final = int(CloseReason.INTERNAL_ERROR)


@attrs.frozen(eq=False)
class Surroundings:
    """What a stream needs of its connection.

    Args:
        app: The application.
        config: hypercorn's settings; the bound of a message and the interval of pings are its own.
        tasks: Starts the application.
        spawn: Runs something beside it.
        tls: Whether the connection is encrypted.
        client: The peer's address.
        server: Our own.
        send: Writes to the connection.
        switch: Sends the 101 answer and turns the connection over to frames.
        abort: Cuts the connection.
    """

    app: ASGIApp
    config: Config
    tasks: Any
    spawn: Callable[[Coroutine[Any, Any, Any]], Any]
    tls: bool
    client: tuple[str, int] | None
    server: tuple[str, int] | None
    send: Callable[[Event], Awaitable[None]]
    switch: Callable[[Headers], Awaitable[None]]
    abort: Callable[[], None]


class SocketStream:
    """One request for a WebSocket, and the connection that it becomes once the application accepts.

    Until then the application may answer it as plain HTTP (ASGI extension ``websocket.http.response``).

    Args:
        around: Its connection.
    """

    def __init__(self, around: Surroundings) -> None:
        self._around = around
        self._put: Callable[[Message], Awaitable[None]] | None = None
        self._key = b""
        self._frames: Connection | None = None
        self._text: io.StringIO | None = None
        self._binary: bytearray | None = None
        self._answered = False
        self._over = False
        """Whether nothing more is taken from the client."""
        self._closed = False
        self._heard = True
        self._taking = False
        self._beat: asyncio.TimerHandle | None = None

    # Called by the connection.

    async def handle(self, event: Event) -> None:
        """Take what the connection has: the request, bytes of frames, or its end."""
        if isinstance(event, Request):
            await self._begin(event)
        elif isinstance(event, Data) and self._frames is not None and not self._over:
            self._heard = self._taking = True
            try:
                await self._take(self._frames, event.data)
            finally:
                self._taking = False
        elif isinstance(event, StreamClosed):
            await self._end()

    async def _begin(self, request: Request) -> None:
        around = self._around
        path, _, query = request.raw_path.partition(b"?")
        fields = dict(request.headers)
        self._key = fields.get(b"sec-websocket-key", b"").strip()
        offered = fields.get(b"sec-websocket-protocol", b"").decode("latin-1")
        scope: Scope = {
            "type": "websocket",
            "asgi": {"spec_version": "2.3", "version": "3.0"},
            "scheme": "wss" if around.tls else "ws",
            "http_version": request.http_version,
            "path": unquote(path.decode("ascii")),
            "raw_path": path,
            "query_string": query,
            "root_path": around.config.root_path,
            "headers": request.headers,
            "client": around.client,
            "server": around.server,
            "state": request.state.copy(),
            "subprotocols": [one.strip() for one in offered.split(",") if one.strip()],
            "extensions": {"websocket.http.response": {}},
        }
        self._put = await around.tasks.spawn_app(around.app, around.config, scope, self._send)
        await self._put({"type": "websocket.connect"})

    async def _end(self) -> None:
        """The connection is over, or about to be."""
        if self._closed:
            return
        self._closed = True
        if self._beat is not None:
            self._beat.cancel()
        await self._disconnect(LOST, "")

    # Frames of the client.

    async def _take(self, frames: Connection, data: bytes) -> None:
        frames.receive_data(data)
        ping: Ping | None = None
        for event in frames.events():
            if isinstance(event, Ping):
                ping = event  # of several only the last need be answered (RFC 6455, section 5.5.3)
            elif isinstance(event, CloseConnection):
                await self._closing(frames, event)
                return
            elif isinstance(event, TextMessage | BytesMessage) and not await self._gather(event):
                await self._emit(CloseConnection(TOO_BIG, "the message is too large"))
                await self._disconnect(LOST, "")
                return
        if ping is not None:
            await self._emit(ping.response())

    async def _closing(self, frames: Connection, event: CloseConnection) -> None:
        """The client closes, has answered our own close, or sent something that is no frame."""
        if frames.state is ConnectionState.REMOTE_CLOSING:
            await self._emit(event.response())
            await self._disconnect(int(event.code), event.reason or "")
        elif frames.state is ConnectionState.OPEN:
            await self._emit(CloseConnection(event.code, event.reason))
            await self._disconnect(LOST, "")
        else:
            self._over = True

    async def _gather(self, event: TextMessage | BytesMessage) -> bool:
        """Add a piece of a message, and hand it over when it is whole; False when it is too large."""
        limit: int = self._around.config.websocket_max_message_size
        if isinstance(event, TextMessage):
            text = self._text = self._text or io.StringIO()
            text.write(event.data)
            if text.tell() > limit:
                return False
            if event.message_finished:
                self._text = None
                whole = text.getvalue()
                if len(whole) * 4 > limit and len(whole.encode()) > limit:
                    return False
                await self._hand_over({"type": "websocket.receive", "text": whole})
            return True
        binary = self._binary = bytearray() if self._binary is None else self._binary
        binary += event.data
        if len(binary) > limit:
            return False
        if event.message_finished:
            self._binary = None
            await self._hand_over({"type": "websocket.receive", "bytes": bytes(binary)})
        return True

    async def _hand_over(self, message: Message) -> None:
        assert self._put is not None, "frames come after the request"
        await self._put(message)

    async def _disconnect(self, code: int, reason: str) -> None:
        if not self._over:
            self._over = True
            if self._put is not None:
                await self._put({"type": "websocket.disconnect", "code": code, "reason": reason})

    # Messages of the application.

    async def _send(self, message: Message | None) -> None:
        if message is None:
            await self._left_by_application()
        elif not self._closed:
            await self._answer(message)

    async def _answer(self, message: Message) -> None:
        kind, frames = message["type"], self._frames
        if frames is not None:
            if kind == "websocket.send":
                text = message.get("text")
                await self._emit(TextMessage(text) if text is not None else BytesMessage(message["bytes"]))
            elif kind == "websocket.close":
                await self._emit(CloseConnection(message.get("code", 1000), message.get("reason") or None))
        elif kind == "websocket.accept":
            await self._accept(message)
        elif kind == "websocket.http.response.start":
            self._answered = True
            headers = [(name, value) for name, value in message["headers"]]
            await self._around.send(Response(STREAM_ID, headers=headers, status_code=message["status"]))
        elif kind == "websocket.http.response.body":
            if message.get("body"):
                await self._around.send(Body(STREAM_ID, data=message["body"]))
            if not message.get("more_body", False):
                await self._around.send(EndBody(STREAM_ID))
        elif kind == "websocket.close":
            await self._refuse(403)

    async def _accept(self, message: Message) -> None:
        headers: Headers = [(b"sec-websocket-accept", generate_accept_token(self._key))]
        if message.get("subprotocol"):
            headers.append((b"sec-websocket-protocol", message["subprotocol"].encode("latin-1")))
        headers += [(b"upgrade", b"websocket"), (b"connection", b"Upgrade"), *message.get("headers", [])]
        self._frames = Connection(ConnectionType.SERVER)
        self._answered = True
        await self._around.switch(headers)
        self._schedule_beat()

    async def _refuse(self, status: int) -> None:
        self._answered = True
        headers: Headers = [(b"content-length", b"0"), (b"connection", b"close")]
        await self._around.send(Response(STREAM_ID, headers=headers, status_code=status))
        await self._around.send(EndBody(STREAM_ID))

    async def _left_by_application(self) -> None:
        """The application has returned: nobody would take what still comes."""
        if not self._closed:
            if not self._answered:
                await self._refuse(500)
            elif self._frames is not None:
                await self._emit(CloseConnection(FAILED))  # nothing happens where the application has closed
        self._over = True
        await self._around.send(StreamClosed(STREAM_ID))

    async def _emit(self, event: Frame) -> None:
        """Send a frame; nothing happens once a close frame has gone."""
        if self._frames is None or self._closed:
            return
        try:
            data = self._frames.send(event)
        except LocalProtocolError:
            return
        await self._around.send(Data(STREAM_ID, data=data))

    # Signs of life.

    def _schedule_beat(self) -> None:
        interval = self._around.config.websocket_ping_interval
        if interval is not None and not self._closed:
            self._beat = asyncio.get_running_loop().call_later(interval, self._tick)

    def _tick(self) -> None:
        """Ask for a sign of life; a client that gave none since the last time is gone.

        While its own bytes wait for somebody to take them nothing can be read, so that says nothing.
        """
        if self._closed:
            return
        if not (self._heard or self._taking):
            self._around.abort()
            return
        self._heard = False
        self._around.spawn(self._emit(Ping()))
        self._schedule_beat()
