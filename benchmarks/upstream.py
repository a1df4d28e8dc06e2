"""A fake provider on loopback that is never the bottleneck: one ``asyncio.Protocol``, every answer built beforehand.

Run as a program it prints its address and serves until its standard input closes, so that it never outlives its parent.
"""

from __future__ import annotations

import asyncio
import gc
import re
import sys
from collections.abc import Sequence

from benchmarks.payloads import ANSWER, STREAM, USAGE_EVENT

__all__ = ["Upstream"]

LENGTH = re.compile(rb"content-length: *(\d+)", re.IGNORECASE)


def _whole(body: bytes) -> bytes:
    head = (
        f"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nx-request-id: req_benchmark\r\n"
        f"content-length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


def _chunked(events: Sequence[bytes]) -> bytes:
    head = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
    chunks = b"".join(b"%x\r\n%b\r\n" % (len(event), event) for event in events)
    return head + chunks + b"0\r\n\r\n"


WHOLE = _whole(ANSWER)
STREAMED = _chunked(STREAM)
STREAMED_WITH_USAGE = _chunked([*STREAM[:-1], USAGE_EVENT, STREAM[-1]])
REFUSED = b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"


class Upstream(asyncio.Protocol):
    """One connection: answers each chat request as soon as its last byte is there."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A gateway has connected."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        """Answer if the request is whole."""
        buffer = self._buffer
        buffer += data
        while buffer:
            head = buffer.find(b"\r\n\r\n")
            if head < 0:
                return
            length = LENGTH.search(buffer, 0, head)
            if length is None:
                self._transport.write(REFUSED)
                self._transport.close()
                return
            end = head + 4 + int(length[1])
            if len(buffer) < end:
                return
            body = bytes(buffer[head + 4 : end])
            del buffer[:end]
            self._transport.write(self._answer(body))

    def _answer(self, body: bytes) -> bytes:
        compact = body.replace(b'": ', b'":')
        if b'"stream":true' not in compact:
            return WHOLE
        return STREAMED_WITH_USAGE if b'"include_usage":true' in compact else STREAMED


async def _serve() -> None:
    loop = asyncio.get_running_loop()
    parent_left = asyncio.Event()
    server = await loop.create_server(Upstream, "127.0.0.1", 0, backlog=1024)
    loop.add_reader(sys.stdin.fileno(), parent_left.set)
    print(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", flush=True)
    await parent_left.wait()
    server.close()


if __name__ == "__main__":
    gc.freeze()
    asyncio.run(_serve())
