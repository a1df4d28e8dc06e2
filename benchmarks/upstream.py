"""A fake provider on loopback that is never the bottleneck: one ``asyncio.Protocol``, every answer built beforehand.

The path chooses whose format it speaks, the model how it answers: at once, at a steady pace, or without end. Run as a
program it prints its address and serves until its standard input closes, so that it never outlives its parent.
"""

from __future__ import annotations

import asyncio
import gc
import json
import re
import sys
import time
from collections.abc import Sequence
from typing import cast

from benchmarks.loops import run
from benchmarks.payloads import (
    ANSWER,
    ANTHROPIC_ANSWER,
    ANTHROPIC_STREAM,
    FLOOD_MODEL,
    PACED_MODEL,
    STREAM,
    USAGE_EVENT,
    timed_event,
)

__all__ = ["Upstream"]

LENGTH = re.compile(rb"content-length: *(\d+)", re.IGNORECASE)


def _whole(body: bytes) -> bytes:
    head = (
        f"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nx-request-id: req_benchmark\r\n"
        f"content-length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


def _chunks(events: Sequence[bytes]) -> bytes:
    return b"".join(b"%x\r\n%b\r\n" % (len(event), event) for event in events)


STREAM_HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
STREAM_END = b"0\r\n\r\n"
WHOLE = _whole(ANSWER)
STREAMED = STREAM_HEAD + _chunks(STREAM) + STREAM_END
STREAMED_WITH_USAGE = STREAM_HEAD + _chunks([*STREAM[:-1], USAGE_EVENT, STREAM[-1]]) + STREAM_END
ANTHROPIC_WHOLE = _whole(ANTHROPIC_ANSWER)
ANTHROPIC_STREAMED = STREAM_HEAD + _chunks(ANTHROPIC_STREAM) + STREAM_END
FLOOD = _chunks(STREAM[1:2]) * 200
REFUSED = b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"


class Upstream(asyncio.Protocol):
    """One connection: answers each chat request as soon as its last byte is there."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._buffer = bytearray()
        self._flooding = False
        self._paused = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A gateway has connected."""
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is none by class

    def connection_lost(self, failure: Exception | None) -> None:
        """The gateway has had enough."""
        self._flooding = False

    def pause_writing(self) -> None:
        """The gateway does not keep up."""
        self._paused = True

    def resume_writing(self) -> None:
        """The gateway has caught up."""
        self._paused = False
        self._flood()

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
            anthropic = buffer.find(b"/messages ", 0, head) > 0
            del buffer[:end]
            self._answer(body, anthropic=anthropic)

    def _answer(self, body: bytes, *, anthropic: bool) -> None:
        compact = body.replace(b'": ', b'":')
        streamed = b'"stream":true' in compact
        if anthropic:
            self._transport.write(ANTHROPIC_STREAMED if streamed else ANTHROPIC_WHOLE)
        elif not streamed:
            self._transport.write(WHOLE)
        elif PACED_MODEL.encode() in body:
            asked = json.loads(body)
            self._transport.write(STREAM_HEAD + _chunks(STREAM[:1]))
            self._pace(time.monotonic(), asked["seed"] / 1e3, asked["max_tokens"])
        elif FLOOD_MODEL.encode() in body:
            self._transport.write(STREAM_HEAD + _chunks(STREAM[:1]))
            self._flooding = True
            self._flood()
        else:
            self._transport.write(STREAMED_WITH_USAGE if b'"include_usage":true' in compact else STREAMED)

    def _pace(self, due: float, interval: float, left: int) -> None:
        """Send an event at a time counted from the first, so that a late one does not make all that follow late."""
        if self._transport.is_closing():
            return
        if not left:
            self._transport.write(_chunks(STREAM[-2:]) + STREAM_END)
            return
        self._transport.write(_chunks([timed_event(time.monotonic())]))
        due += interval
        self._loop.call_at(due, self._pace, due, interval, left - 1)

    def _flood(self) -> None:
        """Send until the gateway does not take any more."""
        if self._flooding and not self._paused:
            self._transport.write(FLOOD)
            self._loop.call_soon(self._flood)


async def _serve() -> None:
    loop = asyncio.get_running_loop()
    parent_left = asyncio.Event()
    server = await loop.create_server(Upstream, "127.0.0.1", 0, backlog=4096)
    loop.add_reader(sys.stdin.fileno(), parent_left.set)
    print(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", flush=True)
    await parent_left.wait()
    server.close()


if __name__ == "__main__":
    gc.freeze()
    run(_serve())
