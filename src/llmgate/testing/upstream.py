"""A provider on loopback that does what it is told, misbehaviour included.

Mocks of the HTTP client cannot cut a stream in the middle of a character, reset a connection, or notice that the client
has left. ``FakeUpstream`` is a real server on a real socket, written on bare asyncio so that it can break the rules of
HTTP that a server library would keep for it. Without a script it answers OpenAI chat completions sensibly.

    async with FakeUpstream() as upstream:
        upstream.answer(429, json={"error": {"message": "slow down"}}, headers={"retry-after": "1"})
        upstream.stream(chat_events("hello"), end="cut")
        ...  # point a provider at upstream.base_url; the third request is answered by the default
        assert upstream.requests[0].headers["authorization"] == "Bearer test"
"""

from __future__ import annotations

import asyncio
import gzip
import json as jsonlib
import socket
import zlib
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from types import TracebackType
from typing import Any, Literal, Self

from .upstream_chat import CREATED, StreamEvent, answer_chat, answer_json, chat_events, error_value, event_bytes
from .upstream_connection import Behaviour, ReceivedRequest, UpstreamConnection
from .upstream_faults import FAULTS, Phase, Speech
from .upstream_gemini import answer_gemini, is_gemini

__all__ = ["Behaviour", "FakeUpstream", "ReceivedRequest", "StreamEvent", "UpstreamConnection", "chat_events"]

StreamEnd = Literal["done", "eof", "cut", "reset", "hang"]


class FakeUpstream:
    """A server on 127.0.0.1 that plays a provider, well or badly.

    Each scripting method adds one behaviour to a queue; each request takes the next one. With an empty queue the
    default answers: ``POST …/chat/completions`` echoes the last user message (as a stream when asked, with usage when
    asked), Gemini's methods are answered likewise, ``GET …/models`` lists ``models``, anything else is a 404 in
    OpenAI's shape.

    Args:
        models: What the model list names.
    """

    def __init__(self, models: Sequence[str] = ("gpt-4o-mini", "gpt-4o")) -> None:
        self.models = tuple(models)
        self.requests: list[ReceivedRequest] = []
        """Every request received, oldest first."""
        self.accepted = 0
        """How many connections were made."""
        self.left = 0
        """How many connections the client has closed."""
        self.disconnects = 0
        """How many times the client left before its answer was complete."""
        self.port = 0
        self._rejected = 0
        self._connections: set[UpstreamConnection] = set()
        self._script: deque[Behaviour] = deque()
        self._changed = asyncio.Event()
        self._failures: list[Exception] = []
        self._server: asyncio.Server | None = None
        self._placeholder: socket.socket | None = None

    @property
    def url(self) -> str:
        """``http://127.0.0.1:port``."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def base_url(self) -> str:
        """The address to configure a provider with: ``url`` and ``/v1``."""
        return f"{self.url}/v1"

    @property
    def open_connections(self) -> int:
        """How many connections are open now."""
        return len(self._connections)

    @property
    def busy_connections(self) -> int:
        """How many connections have an answer under way now."""
        return sum(connection.busy for connection in self._connections)

    async def __aenter__(self) -> Self:
        await self.accept()
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.refuse()
        if self._placeholder is not None:
            self._placeholder.close()
            self._placeholder = None
        if exc is None and self._failures:
            raise self._failures[0]

    async def accept(self) -> None:
        """Listen, on the same port as before if there was one."""
        if self._server is not None:
            return
        sock, self._placeholder = self._placeholder or self._bound(), None
        self.port = sock.getsockname()[1]
        self._server = await asyncio.get_running_loop().create_server(lambda: UpstreamConnection(self), sock=sock)

    async def refuse(self) -> None:
        """Close every connection and refuse new ones until ``accept`` is called; the port stays ours."""
        if self._server is None:
            return
        self._server.close()
        self._server = None
        self._placeholder = self._bound()
        for connection in list(self._connections):
            connection.reset()
        await self._until(lambda: not self._connections, 5.0, "its connections to close")

    async def received(self, count: int = 1, *, timeout: float = 5.0) -> None:
        """Wait until ``count`` requests have come in all.

        Raises:
            AssertionError: they did not within ``timeout`` seconds.
        """
        await self._until(lambda: len(self.requests) >= count, timeout, f"{count} requests")

    async def closed(self, count: int = 1, *, timeout: float = 5.0) -> None:
        """Wait until the client has closed ``count`` connections in all.

        Raises:
            AssertionError: it did not within ``timeout`` seconds.
        """
        await self._until(lambda: self.left >= count, timeout, f"the client to close {count} connections")

    async def idle(self, *, timeout: float = 5.0) -> None:
        """Wait until no answer is under way: given to its end, or given up because the client has left.

        Raises:
            AssertionError: one still was after ``timeout`` seconds.
        """
        await self._until(lambda: not self.busy_connections, timeout, "every answer to end")

    def reject(self, times: int = 1) -> None:
        """Break the next connections (RST) as soon as they are made."""
        self._rejected += times

    def fault(self, name: str, phase: Phase = Phase.HEAD, *, times: int = 1, speech: Speech | None = None) -> None:
        """Queue a fault of ``upstream_faults.FAULTS``.

        Args:
            name: Which one.
            phase: When it happens.
            times: For how many requests.
            speech: The answer that is spoilt; None for one of OpenAI's chat completions.
        """
        self.script(FAULTS[name].behaviour(phase, speech), times=times)

    def script(self, behaviour: Behaviour, *, times: int = 1) -> None:
        """Queue a behaviour of your own."""
        self._script.extend([behaviour] * times)

    def answer(
        self,
        status: int = 200,
        *,
        json: Any = None,
        body: bytes = b"",
        headers: Mapping[str, str] | None = None,
        delay: float = 0.0,
        split: int | None = None,
        times: int = 1,
    ) -> None:
        """Queue a whole answer.

        Args:
            status: Its HTTP status.
            json: Its body as a value; None to take ``body``.
            body: Its body as bytes.
            headers: More headers; a ``content-length`` or ``content-type`` of yours wins.
            delay: Seconds before the head, and after each piece where ``split`` is given.
            split: Send the body in pieces of so many bytes.
            times: For how many requests.
        """
        data = body if json is None else jsonlib.dumps(json).encode()
        head = {"content-type": "application/json", "content-length": str(len(data)), **(headers or {})}

        async def behave(request: ReceivedRequest, connection: UpstreamConnection) -> None:
            await asyncio.sleep(delay)
            await connection.write_head(status, head)
            await connection.write(data, split=split, delay=delay if split else 0.0)

        self.script(behave, times=times)

    def stream(
        self,
        events: Iterable[StreamEvent],
        *,
        delay: float = 0.0,
        split: int | None = None,
        end: StreamEnd = "done",
        headers: Mapping[str, str] | None = None,
        times: int = 1,
    ) -> None:
        """Queue a streamed answer (status 200, chunked).

        Args:
            events: What to send.
            delay: Seconds to wait after each event, or after each piece where ``split`` is given.
            split: Send the stream in HTTP chunks of so many bytes.
            end: How it ends: ``done`` sends ``[DONE]`` and ends the body, ``eof`` ends the body without it, ``cut``
                closes the connection in the middle of the body, ``reset`` breaks it, ``hang`` falls silent.
            headers: More headers.
            times: For how many requests.
        """
        frames = [event_bytes(event) for event in events]
        if end == "done":
            frames.append(b"data: [DONE]\n\n")
        head = {"content-type": "text/event-stream", "transfer-encoding": "chunked", **(headers or {})}

        async def behave(request: ReceivedRequest, connection: UpstreamConnection) -> None:
            await connection.write_head(200, head)
            for frame in frames:
                await connection.write_chunk(frame, split=split, delay=delay)
            await _end(connection, end)

        self.script(behave, times=times)

    def error_event(self, events: Iterable[StreamEvent] = (), *, message: str = "the model is overloaded") -> None:
        """Queue a stream with status 200 that turns into an error: ``events``, an error event, the end of the body."""
        error = {"error": {"message": message, "type": "server_error", "code": "overloaded"}}
        self.stream([*events, error], end="eof")

    def hang(self) -> None:
        """Queue silence: the request is read and never answered."""
        self.script(lambda request, connection: connection.hang())

    def reset(self) -> None:
        """Queue a broken connection (RST) where an answer should be."""
        self.raw(b"", end="reset")

    def cut(self, body: bytes, *, after: int, end: StreamEnd = "cut") -> None:
        """Queue an answer that ends after so many bytes of the body that its ``content-length`` promises."""
        head = f"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
        self.raw(head.encode() + body[:after], end=end)

    def html(self, status: int = 502) -> None:
        """Queue a page of HTML, as a proxy in between sends it."""
        page = b"<!doctype html><title>Bad gateway</title><h1>502 Bad gateway</h1>"
        self.answer(status, body=page, headers={"content-type": "text/html; charset=utf-8"})

    def redirect(self, location: str, status: int = 302) -> None:
        """Queue a redirect."""
        self.answer(status, headers={"location": location})

    def gzip(self, body: bytes, *, keep: int | None = None, corrupt: bool = False) -> None:
        """Queue a compressed answer, asked for or not.

        Args:
            body: What is compressed.
            keep: Send only so many bytes of it, with a ``content-length`` that fits: truncated, not cut.
            corrupt: Whether a byte in the middle is wrong.
        """
        data = bytearray(gzip.compress(body, mtime=0)[:keep])
        if corrupt:
            data[len(data) // 2] ^= 0xFF
        self.answer(body=bytes(data), headers={"content-encoding": "gzip"})

    def gzip_bomb(self, size: int) -> None:
        """Queue an answer that is about a thousand times longer, ``size`` bytes, once it is decompressed."""
        packer = zlib.compressobj(9, zlib.DEFLATED, 31)
        block = b" " * 65_536
        packed = b"".join(packer.compress(block) for _ in range(size // len(block))) + packer.flush()
        self.answer(body=packed, headers={"content-encoding": "gzip"})

    def surplus(self, extra: bytes, *, after: float | None = None) -> None:
        """Queue the default answer with bytes behind it that nobody asked for, on the connection that stays open.

        Args:
            extra: The bytes.
            after: Seconds between the answer and the bytes; None sends both at once.
        """

        async def behave(request: ReceivedRequest, connection: UpstreamConnection) -> None:
            if after is None:
                # A body that comes on its own, so that the surplus arrives in the piece that ends the answer.
                await connection.write(
                    b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\n"
                )
                await asyncio.sleep(0.02)
                await connection.write(b"{}" + extra)
                return
            await self._default(request, connection)
            await asyncio.sleep(after)
            await connection.write(extra)

        self.script(behave)

    def raw(self, data: bytes, *, end: StreamEnd | Literal["keep"] = "cut") -> None:
        """Queue bytes of your own instead of an answer.

        Args:
            data: Everything that is sent, status line and headers included.
            end: ``cut`` closes the connection, ``reset`` breaks it, ``hang`` falls silent, ``keep`` keeps it.
        """

        async def behave(request: ReceivedRequest, connection: UpstreamConnection) -> None:
            await connection.write(data)
            if end != "keep":
                await _end(connection, end)

        self.script(behave)

    async def _default(self, request: ReceivedRequest, connection: UpstreamConnection) -> None:
        """Answer as OpenAI would."""
        path = request.path.partition("?")[0]
        number = len(self.requests)
        if request.method == "POST" and path.endswith("/chat/completions"):
            await answer_chat(request, connection, f"chatcmpl-fake-{number}", f"req-fake-{number}")
        elif is_gemini(request):
            await answer_gemini(request, connection, f"resp-fake-{number}", f"req-fake-{number}")
        elif request.method == "GET" and path.endswith("/models"):
            rows = [{"id": model, "object": "model", "created": CREATED, "owned_by": "fake"} for model in self.models]
            await answer_json(connection, 200, {"object": "list", "data": rows}, f"req-fake-{number}")
        else:
            await answer_json(connection, 404, error_value(f"nothing at {path}"), f"req-fake-{number}")

    def behaviour_for(self, request: ReceivedRequest) -> Behaviour:
        """Note a request and say what to do with it (for the connection's use)."""
        self.requests.append(request)
        self._changed.set()
        return self._script.popleft() if self._script else self._default

    def opened(self, connection: UpstreamConnection) -> int:
        """Note a new connection (for the connection's use)."""
        self.accepted += 1
        self._connections.add(connection)
        self._changed.set()
        if self._rejected:
            self._rejected -= 1
            connection.reset()
        return self.accepted - 1

    def answered(self) -> None:
        """Note the end of an answer (for the connection's use)."""
        self._changed.set()

    def lost(self, connection: UpstreamConnection, *, by_client: bool, busy: bool) -> None:
        """Note the end of a connection (for the connection's use)."""
        self._connections.discard(connection)
        self.left += by_client
        self.disconnects += by_client and busy
        self._changed.set()

    def failed(self, error: Exception) -> None:
        """Note that a behaviour raised; leaving the context raises it again (for the connection's use)."""
        self._failures.append(error)

    async def _until(self, holds: Callable[[], bool], timeout: float, what: str) -> None:
        try:
            async with asyncio.timeout(timeout):
                while not holds():
                    self._changed.clear()
                    await self._changed.wait()
        except TimeoutError:
            raise AssertionError(f"the fake upstream waited {timeout} s in vain for {what}") from None

    def _bound(self) -> socket.socket:
        """A socket on our port that does not listen: connecting to it is refused."""
        sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)  # so that asyncio sets TCP_NODELAY
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind(("127.0.0.1", self.port))
        return sock


async def _end(connection: UpstreamConnection, end: StreamEnd) -> None:
    if end in {"done", "eof"}:
        await connection.write(b"0\r\n\r\n")
    elif end == "hang":
        await connection.hang()
    elif end == "reset":
        await asyncio.sleep(0.02)  # a reset overtakes bytes on their way; let the client have them first
        connection.reset()
    else:
        connection.close()
