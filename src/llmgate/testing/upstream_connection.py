"""One connection to the fake upstream: HTTP/1.1 as far as a test needs it, on bare asyncio so that it can be broken."""

from __future__ import annotations

import asyncio
import json as jsonlib
import socket
import struct
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final, Protocol, cast

import attrs

__all__ = ["Behaviour", "ConnectionOwner", "ReceivedRequest", "UpstreamConnection"]

_TLS_HANDSHAKE: Final = b"\x16\x03"
"""How a client begins that expects TLS; a plain server takes it for a bad request."""

_REASONS: Final = {200: "OK", 302: "Found", 400: "Bad Request", 401: "Unauthorized", 404: "Not Found"}


@attrs.frozen(eq=False)
class ReceivedRequest:
    """A request as it came over the wire.

    Args:
        method: The HTTP method.
        path: The request target, query included.
        headers: Headers with lower-case names; repeats are joined with a comma.
        body: The body, chunks put together.
        raw_head: The request line and the headers, byte for byte.
        connection: Which connection it came on, counted from 0.
    """

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes
    raw_head: bytes
    connection: int

    def json(self) -> Any:
        """The body, read as JSON."""
        return jsonlib.loads(self.body)


class ConnectionOwner(Protocol):
    """What a connection tells the server that it belongs to."""

    def opened(self, connection: UpstreamConnection) -> int:
        """A connection was made; returns its number."""
        ...

    def lost(self, connection: UpstreamConnection, *, by_client: bool, busy: bool) -> None:
        """It is gone: closed by the client or by us, while an answer was due or not."""
        ...

    def answered(self) -> None:
        """An answer has ended."""
        ...

    def failed(self, error: Exception) -> None:
        """A behaviour raised."""
        ...

    def behaviour_for(self, request: ReceivedRequest) -> Behaviour:
        """What to do with a request."""
        ...


class UpstreamConnection(asyncio.Protocol):
    """One connection from a client; what a scripted behaviour writes to.

    Args:
        owner: The server that it belongs to.
    """

    def __init__(self, owner: ConnectionOwner) -> None:
        self.number = -1
        """Which connection of the server it is, counted from 0."""
        self.gone = False
        """Whether it is closed."""
        self.busy = False
        """Whether an answer is under way."""
        self._owner = owner
        self._buffer = bytearray()
        self._arrived = asyncio.Event()
        self._writable = asyncio.Event()
        self._writable.set()
        self._closed_by_us = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Start serving."""
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is one in all but name
        self.number = self._owner.opened(self)
        self._task = asyncio.get_running_loop().create_task(self._serve())

    def data_received(self, data: bytes) -> None:
        """Take bytes."""
        self._buffer += data
        self._arrived.set()

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop whatever is being answered: nobody reads it."""
        self.gone = True
        self._writable.set()
        self._task.cancel()
        self._owner.lost(self, by_client=not self._closed_by_us, busy=self.busy)

    def pause_writing(self) -> None:
        """The client reads slower than we write."""
        self._writable.clear()

    def resume_writing(self) -> None:
        """The client has caught up."""
        self._writable.set()

    async def write(self, data: bytes, *, split: int | None = None, delay: float = 0.0) -> None:
        """Send bytes, and wait while the client does not take them.

        Args:
            data: The bytes.
            split: Send them in pieces of so many bytes.
            delay: Seconds to wait after each piece.
        """
        step = split or max(len(data), 1)
        for start in range(0, len(data), step):
            self._transport.write(data[start : start + step])
            await self._writable.wait()
            if delay or split:
                await asyncio.sleep(delay)

    async def write_head(self, status: int, headers: Mapping[str, str]) -> None:
        """Send a status line and headers."""
        lines = [f"HTTP/1.1 {status} {_REASONS.get(status, 'Status')}"]
        lines += [f"{name}: {value}" for name, value in headers.items()]
        await self.write("\r\n".join([*lines, "", ""]).encode("latin-1"))

    async def write_chunk(self, data: bytes, *, split: int | None = None, delay: float = 0.0) -> None:
        """Send bytes as HTTP chunks: one, or one for each ``split`` bytes."""
        step = split or max(len(data), 1)
        for start in range(0, len(data), step):
            piece = data[start : start + step]
            await self.write(b"%x\r\n%b\r\n" % (len(piece), piece))
            if delay or split:
                await asyncio.sleep(delay)

    def limit_buffer(self, size: int) -> None:
        """Have the kernel keep only about so many bytes for a client that does not read, instead of megabytes."""
        self._transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, size)

    async def hang(self) -> None:
        """Do nothing until the client leaves."""
        await asyncio.get_running_loop().create_future()

    def close(self) -> None:
        """Close the connection in the ordinary way (FIN), once what was written has gone out."""
        self._closed_by_us = True
        self._transport.close()

    def reset(self) -> None:
        """Break the connection (RST); what was written last may be lost to the client."""
        self._closed_by_us = True
        sock = self._transport.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._transport.abort()

    async def _serve(self) -> None:
        """Answer one request after the other."""
        try:
            while (request := await self._read_request()) is not None:
                self.busy = True
                await self._owner.behaviour_for(request)(request, self)
                self.busy = False
                self._owner.answered()
                if request.headers.get("connection", "").lower() == "close":
                    break
        except Exception as error:  # noqa: BLE001 - a behaviour is anybody's code; the test shall hear of it
            self._owner.failed(error)
            self.reset()
        else:
            self.close()

    async def _read_request(self) -> ReceivedRequest | None:
        """The next request; None when what came is none."""
        while (end := self._buffer.find(b"\r\n\r\n")) < 0:
            if self._buffer.startswith(_TLS_HANDSHAKE):
                await self.write_head(400, {"connection": "close", "content-length": "0"})
                return None
            await self._more()
        head = self._take(end + 4)
        request_line, *lines = head[:-4].decode("latin-1").split("\r\n")
        if request_line.count(" ") != 2:
            return None
        method, path, _ = request_line.split(" ")
        headers: dict[str, str] = {}
        for line in lines:
            name, _, value = line.partition(":")
            name, value = name.lower(), value.strip()
            headers[name] = f"{headers[name]}, {value}" if name in headers else value
        body = await self._read_body(headers)
        return ReceivedRequest(method, path, headers, body, head, self.number)

    async def _read_body(self, headers: Mapping[str, str]) -> bytes:
        if "chunked" not in headers.get("transfer-encoding", ""):
            return await self._read_exactly(int(headers.get("content-length", "0")))
        body = b""
        while True:
            while (end := self._buffer.find(b"\r\n")) < 0:
                await self._more()
            size = int(self._take(end + 2).split(b";")[0], 16)
            body += (await self._read_exactly(size + 2))[:-2]
            if not size:
                return body

    async def _read_exactly(self, size: int) -> bytes:
        while len(self._buffer) < size:
            await self._more()
        return self._take(size)

    async def _more(self) -> None:
        self._arrived.clear()
        await self._arrived.wait()

    def _take(self, size: int) -> bytes:
        taken = bytes(self._buffer[:size])
        del self._buffer[:size]
        return taken


Behaviour = Callable[[ReceivedRequest, UpstreamConnection], Awaitable[None]]
"""What to do with one request: anything, by means of the connection's methods."""
