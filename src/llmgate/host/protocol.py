"""hypercorn's HTTP/1.1 protocol on the strict parser, with errors that say something, and WebSockets of our own."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from itertools import chain
from typing import TYPE_CHECKING, Any, Final, cast

import h11
from hypercorn.events import RawData
from hypercorn.protocol.events import Body, EndBody, Event as StreamEvent, Request, Response, StreamClosed
from hypercorn.protocol.h11 import STREAM_ID, H11Protocol
from hypercorn.protocol.http_stream import ASGIHTTPState, HTTPStream

from .headers import are_lines
from .parser import FramesOnly, StrictParser
from .plain import PlainRequest
from .socket_stream import SocketStream, Surroundings

if TYPE_CHECKING:
    from .connection import Connection

__all__ = ["Http", "are_plain"]


class Http(H11Protocol):
    """hypercorn's HTTP/1.1, on the strict parser, with errors that say something, and our own WebSockets."""

    outer: Connection
    connection: Any
    stream: Any

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.connection = StrictParser(h11.SERVER, max_incomplete_event_size=self.config.h11_max_incomplete_size)

    async def stream_send(self, event: StreamEvent) -> None:
        """Send a piece of an answer."""
        if isinstance(event, Response) and event.status_code >= 200:
            await self._send_head(event)
            return
        plain = self.connection.plain
        if plain is None:
            await super().stream_send(event)
        elif isinstance(event, Body):
            sending = self.send(RawData(plain.piece(event.data)))
            del event  # as in ``_send``
            await sending
        elif isinstance(event, EndBody):
            await self.send(RawData(plain.end()))
        elif isinstance(event, StreamClosed):
            await self._maybe_recycle()

    async def _send_head(self, event: Response) -> None:
        headers = [*event.headers, *self.config.response_headers("h11")]
        if self.keep_alive_requests >= self.config.keep_alive_max_requests:
            headers.append((b"connection", b"close"))
        valid, plain = are_plain(headers), self.connection.plain
        if valid and plain is not None:
            await self.send(RawData(plain.head(event.status_code, headers)))
        else:
            await self._send_h11_event(h11.Response(status_code=event.status_code, headers=headers, _parsed=valid))

    @property
    def unread(self) -> bool:
        """Whether the client may be sending bytes that nobody takes."""
        return self.connection.their_state in {h11.SEND_BODY, h11.ERROR} or bool(self.connection.trailing_data[0])

    async def _check_protocol(self, event: h11.Request) -> None:
        """Nothing to switch to."""

    async def _create_stream(self, request: h11.Request) -> None:
        """Hand a request over; hypercorn's own would serve a WebSocket by itself."""
        if self.connection.asks_for_socket:
            self.stream = self._socket_stream()
        else:
            self.stream = _Stream(
                self.app,
                self.config,
                self.context,
                self.task_group,
                self.ssl,
                self.client,
                self.server,
                self.stream_send,
                STREAM_ID,
            )
        await self.stream.handle(
            Request(
                stream_id=STREAM_ID,
                headers=_fields(request),
                http_version=request.http_version.decode("ascii"),
                method=request.method.decode("ascii"),
                raw_path=request.target,
                state=self.connection_state,
            )
        )
        self.keep_alive_requests += 1

    async def _send_h11_event(self, event: Any) -> None:
        """Send the bytes of an event; hypercorn's own holds on to them while it waits for a slow client."""
        try:
            sending = self.send(RawData(self.connection.send(event)))
        except h11.LocalProtocolError:
            if self.connection.their_state is not h11.ERROR:
                raise
        else:
            await sending

    def _socket_stream(self) -> SocketStream:
        around = Surroundings(
            app=cast("Any", self.app),
            config=self.config,
            tasks=self.task_group,
            spawn=self.outer.spawn,
            tls=self.ssl,
            client=self.client,
            server=self.server,
            send=self.stream_send,
            switch=self._switch,
            abort=self.outer.abort,
        )
        return SocketStream(around)

    async def _switch(self, headers: list[tuple[bytes, bytes]]) -> None:
        """Answer 101; from here on the connection carries frames."""
        headers = [*headers, *self.config.response_headers("h11")]
        await self._send_h11_event(h11.InformationalResponse(status_code=101, headers=headers))
        self.connection = FramesOnly(self.connection.trailing_data[0])
        await self.can_read.set()

    async def _send_error_response(self, status_code: int) -> None:
        self.outer.refused(status_code, self.connection.head)
        message = _STATUS_MESSAGES.get(status_code, "the request is not valid HTTP/1.1")
        error = {"message": message, "type": "invalid_request_error", "param": None, "code": "invalid_http"}
        body = json.dumps({"error": error}).encode()
        headers = [
            (b"content-type", b"application/json"),
            (b"content-length", b"%d" % len(body)),
            (b"connection", b"close"),
        ]
        await self._send_h11_event(
            h11.Response(status_code=status_code, headers=list(chain(headers, self.config.response_headers("h11"))))
        )
        await self._send_h11_event(h11.Data(data=body))
        await self._send_h11_event(h11.EndOfMessage())


def _fields(request: h11.Request) -> list[tuple[bytes, bytes]]:
    """The fields of a request, names in lower case."""
    if isinstance(request, PlainRequest):
        return request.items
    return [(name.lower(), value) for name, value in request.headers.raw_items()]


class _Stream(HTTPStream):
    """hypercorn's exchange with the application, less a look at each field of an answer that we take ourselves."""

    async def app_send(self, message: Any) -> None:
        """Take a message of the application's."""
        if message is not None and message["type"] == "http.response.start" and self.state is ASGIHTTPState.REQUEST:
            self.response = message
            status = int(message["status"])
            await self.send(Response(stream_id=STREAM_ID, headers=list(message.get("headers", ())), status_code=status))
            self.state = ASGIHTTPState.RESPONSE
        else:
            await super().app_send(message)


def are_plain(headers: Sequence[tuple[bytes, bytes]]) -> bool:
    """Whether h11 would find nothing to say against headers; it looks at each by itself, and that takes its time."""
    if not headers:
        return False
    names, values = map(b"\n".join, zip(*headers, strict=True))
    return (
        names.count(b"\n") == values.count(b"\n") == len(headers) - 1
        and _NAMES.fullmatch(names) is not None
        and are_lines(values)
    )


_NAMES: Final = re.compile(rb"[a-z0-9-]+(?:\n[a-z0-9-]+)*")

_STATUS_MESSAGES: Final = {
    431: "the head of the request is too large",
    501: "this transfer encoding is not understood",
    505: "only HTTP/1.1 is spoken here",
}
