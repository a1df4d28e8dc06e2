"""A transport that answers from a script and remembers what it was asked."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from typing import Any

import attrs

from llmgate.spec import ProviderRequest, ProviderResponse, SocketOptions

from .sockets import ScriptedSocket

__all__ = [
    "Answer",
    "AnsweringTransport",
    "ScriptedAnswer",
    "ScriptedStream",
    "ScriptedTransport",
    "json_answer",
    "stream_answer",
]

Piece = bytes | BaseException | asyncio.Event
"""What a scripted body is made of: bytes to hand over, an exception to raise, an event to wait for."""


@attrs.frozen(eq=False)
class ScriptedAnswer:
    """An HTTP answer whose body comes in pieces.

    Args:
        status: The HTTP status.
        headers: Response headers, lower-case names.
        pieces: The body: bytes to hand over, exceptions to raise, events to wait for.
    """

    status: int = 200
    headers: Mapping[str, str] = attrs.field(factory=dict)
    pieces: Sequence[Piece] = ()


Answer = ProviderResponse | ScriptedAnswer | ScriptedSocket | BaseException | Callable[[ProviderRequest], Any]
"""One line of a script; a callable is given the request and returns any of the others."""


def json_answer(value: Any, *, status: int = 200, headers: Mapping[str, str] | None = None) -> ProviderResponse:
    """A whole JSON answer."""
    return ProviderResponse(
        status=status, headers={"content-type": "application/json", **(headers or {})}, body=json.dumps(value).encode()
    )


def stream_answer(*pieces: Piece, status: int = 200, headers: Mapping[str, str] | None = None) -> ScriptedAnswer:
    """An event stream that comes in these pieces."""
    return ScriptedAnswer(status, {"content-type": "text/event-stream", **(headers or {})}, pieces)


class ScriptedStream:
    """The body of a scripted answer; ``closed`` tells whether it was let go, ``finished`` whether it was read whole."""

    def __init__(self, answer: ScriptedAnswer) -> None:
        self.status = answer.status
        self.headers: Mapping[str, str] = answer.headers
        self.closed = False
        self.finished = False
        self._pieces = iter(answer.pieces)

    def __aiter__(self) -> AsyncIterator[bytes]:
        """The body's pieces."""
        return self

    async def __anext__(self) -> bytes:
        """The next bytes of the body."""
        while not self.closed:
            try:
                piece = next(self._pieces)
            except StopIteration:
                self.finished = True
                break
            if isinstance(piece, BaseException):
                raise piece
            if isinstance(piece, asyncio.Event):
                await piece.wait()
                continue
            return piece
        raise StopAsyncIteration

    async def read(self) -> bytes:
        """All that is left of the body."""
        return b"".join([piece async for piece in self])

    async def aclose(self) -> None:
        """Close it."""
        self.closed = True


class ScriptedTransport:
    """Implements ``llmgate.spec.Transport`` and ``SocketTransport`` without a network.

    Args:
        answers: What is answered, in order: a ``ProviderResponse``, a ``ScriptedAnswer``, a ``ScriptedSocket`` for
            ``open_socket``, an exception to raise, or a callable that is given the request and returns one of these.

    Attributes:
        requests: Every request, in the order in which they came.
        streams: Every body handed out by ``open_stream``.
        options: What every WebSocket was asked for with.
        closed: Whether ``aclose`` has been called.
    """

    def __init__(self, answers: Iterable[Answer] = ()) -> None:
        self.requests: list[ProviderRequest] = []
        self.streams: list[ScriptedStream] = []
        self.options: list[SocketOptions] = []
        self.closed = False
        self._answers: list[Answer] = list(answers)

    def add(self, *answers: Answer) -> None:
        """Put more answers at the end of the script."""
        self._answers.extend(answers)

    @property
    def left(self) -> int:
        """How many answers have not been asked for."""
        return len(self._answers)

    async def send(self, request: ProviderRequest) -> ProviderResponse:
        """The next answer, whole."""
        answer = self._next_answer(request)
        if isinstance(answer, ProviderResponse):
            return answer
        body = await ScriptedStream(answer).read()
        return ProviderResponse(status=answer.status, headers=answer.headers, body=body)

    async def open_stream(self, request: ProviderRequest) -> ScriptedStream:
        """The next answer, its body still to come."""
        answer = self._next_answer(request)
        if isinstance(answer, ProviderResponse):
            answer = ScriptedAnswer(answer.status, answer.headers, (answer.body,) if answer.body else ())
        stream = ScriptedStream(answer)
        self.streams.append(stream)
        return stream

    async def open_socket(self, request: ProviderRequest, options: SocketOptions) -> ScriptedSocket | ProviderResponse:
        """The next answer, a socket or what refuses one."""
        self.options.append(options)
        answer = self._next(request)
        if isinstance(answer, ScriptedAnswer):
            return ProviderResponse(answer.status, answer.headers, await ScriptedStream(answer).read())
        return answer

    async def aclose(self) -> None:
        """Close it."""
        self.closed = True

    def _next_answer(self, request: ProviderRequest) -> ProviderResponse | ScriptedAnswer:
        answer = self._next(request)
        if isinstance(answer, ScriptedSocket):
            raise TypeError("the script has a socket for a request that asks for none")
        return answer

    def _next(self, request: ProviderRequest) -> ProviderResponse | ScriptedAnswer | ScriptedSocket:
        self.requests.append(request)
        if not self._answers:
            raise AssertionError(
                f"the script has no answer for request {len(self.requests)}, {request.method} {request.url}: add one"
            )
        answer: Any = self._answers.pop(0)
        if callable(answer) and not isinstance(
            answer, ProviderResponse | ScriptedAnswer | ScriptedSocket | BaseException
        ):
            answer = answer(request)
        if isinstance(answer, BaseException):
            raise answer
        if not isinstance(answer, ProviderResponse | ScriptedAnswer | ScriptedSocket):
            raise TypeError(
                f"{type(answer).__name__} is no answer: give a ProviderResponse, ScriptedAnswer or exception"
            )
        return answer


class AnsweringTransport(ScriptedTransport):
    """A scripted transport whose script has no end: one function answers every request that it has no answer for.

    Args:
        answer: Is given the request and returns an answer, or raises.
    """

    def __init__(self, answer: Callable[[ProviderRequest], ProviderResponse | ScriptedAnswer]) -> None:
        super().__init__()
        self._answer = answer

    def _next(self, request: ProviderRequest) -> ProviderResponse | ScriptedAnswer | ScriptedSocket:
        if not self.left:
            self.add(self._answer)
        return super()._next(request)
