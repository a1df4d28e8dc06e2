"""What a streamed answer is read from: the upstream of the attempt that answers, or an answer that is whole already."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Final, Protocol, TypeVar

import attrs

from llmgate.codecs.jsons import dumps
from llmgate.formats.citations import told_behind
from llmgate.formats.tool_names import restored_chunk
from llmgate.spec import (
    ChatChoice,
    ChoiceDelta,
    ErrorDetail,
    GatewayChunk,
    GatewayResponse,
    Outcome,
    ProviderError,
    ProviderProtocolError,
    ProviderResponse,
    ProviderStream,
    Reasoning,
    Refusal,
    StreamReader,
    Text,
    ToolCall,
    ToolCallDelta,
)

from .attempt import Try, read_error

__all__ = ["CannedStream", "LiveStream", "StreamSource"]

T = TypeVar("T")

DRAIN_SECONDS: Final = 1.0
"""Seconds that the end of an upstream's body is waited for after its terminal marker, to keep the connection."""

STATUS_OF_TYPE: Final[Mapping[str, int]] = {
    "invalid_request_error": 400,
    "authentication_error": 401,
    "permission_error": 403,
    "not_found_error": 404,
    "request_too_large": 413,
    "rate_limit_error": 429,
    "rate_limit_exceeded": 429,
    "insufficient_quota": 429,
    "overloaded_error": 503,
    "service_unavailable_error": 503,
    "timeout": 504,
    "timeout_error": 504,
}
"""What the classes of error that vendors put into a stream stand for."""


class StreamSource(Protocol):
    """What ``GatewayStream`` reads: either ``read_bytes`` or ``read_chunks`` is used, as ``decode`` says."""

    decode: bool
    relay: bool
    withhold_usage: bool
    outcome: Outcome
    headers: Mapping[str, str]
    held_bytes: list[bytes]
    held_chunks: list[GatewayChunk]
    received: int
    """Bytes that have come from upstream."""

    @property
    def sequence(self) -> int:
        """The number of the event behind those that have been read as bytes."""
        ...

    @property
    def terminal(self) -> bytes:
        """The terminal marker's own bytes."""
        ...

    async def read_bytes(self) -> bytes:
        """The next whole events as they came."""
        ...

    async def read_chunks(self) -> Sequence[GatewayChunk]:
        """The next whole events, decoded."""
        ...

    async def drain(self) -> None:
        """Wait a moment for the end of the body."""
        ...

    async def aclose(self) -> None:
        """Let go of the upstream."""
        ...


class LiveStream:
    """The stream of one attempt, read piece by piece.

    Args:
        tried: The attempt.
        upstream: Its answer.
        decode: Whether pieces are chunks rather than bytes.
    """

    def __init__(self, tried: Try, upstream: ProviderStream, *, decode: bool) -> None:
        self.decode = decode
        self.relay = tried.relay
        self.withhold_usage = tried.call.withhold_usage
        self.held_bytes: list[bytes] = []
        self.held_chunks: list[GatewayChunk] = []
        self.headers = upstream.headers if tried.relay else tried.limits_in(upstream.headers)
        self._tried = tried
        self._provider_name = tried.call.deployment.provider_name
        self._reader: StreamReader = tried.runtime.adapter.stream_reader(tried.call)
        self.outcome: Outcome = self._reader.outcome
        self._upstream = upstream
        self._pieces = aiter(upstream)
        self._exhausted = False
        self.received = 0

    @property
    def sequence(self) -> int:
        """The number of the event behind those that have been read as bytes."""
        return self._reader.sequence

    @property
    def terminal(self) -> bytes:
        """The terminal marker's own bytes."""
        return self._reader.terminal

    async def read_up_to_content(self) -> None:
        """Hold back what comes before the first content.

        Raises:
            ProviderError: the stream failed first.
        """
        while not (self.outcome.content or self.outcome.complete):
            if self.decode:
                self.held_chunks.extend(await self.read_chunks())
            else:
                self.held_bytes.append(await self.read_bytes())

    async def read_bytes(self) -> bytes:
        """The next whole events as they came; ``b""`` when a piece completed none.

        Raises:
            ProviderError: the stream broke, ended too soon, or said that it failed.
        """
        return self._checked(self._understood(self._reader.relay, await self._read()))

    async def read_chunks(self) -> Sequence[GatewayChunk]:
        """The next whole events, decoded; see ``read_bytes``."""
        chunks = self._understood(self._reader.decode, await self._read())
        names = self._tried.tool_names
        if names:
            chunks = [restored_chunk(chunk, names) for chunk in chunks]
        return self._checked([chunk for chunk in chunks if chunk.error is None])

    async def drain(self) -> None:
        """Wait a moment for the end of the body, so that the connection can be used again."""
        if self._exhausted:
            return
        try:
            async with asyncio.timeout(DRAIN_SECONDS):
                async for _ in self._pieces:
                    pass
            self._exhausted = True
        except (ProviderError, TimeoutError):
            pass  # the answer is whole; the connection is closed instead of kept

    async def aclose(self) -> None:
        """Close the upstream; a body not read to its end closes the connection."""
        await self._upstream.aclose()

    async def _read(self) -> bytes:
        if self.outcome.error is not None:
            raise self._stream_error(self.outcome.error)
        try:
            piece = await anext(self._pieces)
        except StopAsyncIteration:
            self._exhausted = True
        else:
            self.received += len(piece)
            attempt = self._tried.attempt
            attempt.received = self.received
            attempt.events += piece.count(b"\n\n")
            return piece
        self._understood(lambda _: self._reader.finish(), b"")
        return b""  # only the blank line behind the terminal marker was missing

    def _understood(self, step: Callable[[bytes], T], data: bytes) -> T:
        """What the reader makes of a piece; where it is broken or the last one came too soon, the provider is named."""
        try:
            return step(data)
        except ProviderProtocolError as error:
            message, code = f"provider {self._provider_name!r}: {error.message}", error.code
        raise ProviderProtocolError(message, code=code, provider_name=self._provider_name, retryable=True, lost=True)

    def _checked(self, pieces: T) -> T:
        """What came before an error event goes out first; the error is raised when nothing did."""
        if self.outcome.error is not None and not pieces:
            raise self._stream_error(self.outcome.error)
        return pieces

    def _stream_error(self, detail: ErrorDetail) -> ProviderError:
        """The error event inside a stream, read by the adapter as the error answer that it would have been."""
        status = detail.status or STATUS_OF_TYPE.get(detail.code or "") or STATUS_OF_TYPE.get(detail.type or "") or 502
        body = {"message": detail.message, "type": detail.type, "param": detail.param, "code": detail.code}
        data = dumps({"error": body}) if detail.body is None else detail.body
        response = ProviderResponse(status, {"content-type": "application/json"}, data)
        error = read_error(self._tried, response)
        error.retry_after = detail.retry_after if error.retry_after is None else error.retry_after
        return error


class CannedStream:
    """An answer that is whole already (an interceptor gave it), as a stream.

    Args:
        response: The answer.
        include_usage: Whether the stream is to end with its usage.
    """

    decode = True
    relay = False
    withhold_usage = False
    sequence = 0
    terminal = b""
    received = 0

    def __init__(self, response: GatewayResponse, *, include_usage: bool) -> None:
        chat = response.chat
        head = GatewayChunk(id=chat.id, model=chat.model, created=chat.created)
        self.headers: Mapping[str, str] = {}
        self.outcome = response.outcome
        self.held_bytes: list[bytes] = []
        self.held_chunks = [attrs.evolve(head, choices=(_delta(choice),)) for choice in chat.choices]
        self.held_chunks += [attrs.evolve(head, choices=(_ending(choice),)) for choice in chat.choices]
        if include_usage:
            self.held_chunks.append(attrs.evolve(head, usage=chat.usage))
        self.held_chunks.append(GatewayChunk(final=True))

    async def read_bytes(self) -> bytes:
        """Never asked for: everything is held already."""
        raise NotImplementedError

    async def read_chunks(self) -> Sequence[GatewayChunk]:
        """Never asked for: everything is held already."""
        raise NotImplementedError

    async def drain(self) -> None:
        """There is no upstream."""

    async def aclose(self) -> None:
        """There is no upstream."""


def _ending(choice: ChatChoice) -> ChoiceDelta:
    return ChoiceDelta(choice.index, finish_reason=choice.finish_reason, stop_sequence=choice.stop_sequence)


def _delta(choice: ChatChoice) -> ChoiceDelta:
    parts = choice.message.parts
    calls = [part for part in parts if isinstance(part, ToolCall)]
    refusals = [part.text for part in parts if isinstance(part, Refusal)]
    return ChoiceDelta(
        choice.index,
        role=choice.message.role.value,
        parts=tuple(part for part in told_behind(parts) if isinstance(part, Text | Reasoning)),
        refusal="".join(refusals) or None,
        tool_calls=tuple(
            ToolCallDelta(index, id=call.id, name=call.name, arguments=call.arguments, extra=call.extra)
            for index, call in enumerate(calls)
        ),
    )
