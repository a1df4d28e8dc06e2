"""Answers as in-process callers see them."""

from __future__ import annotations

import functools
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Callable, Sequence
from types import TracebackType
from typing import Any, ClassVar, Final, Generic, Self, TypeVar

import attrs

from llmgate.codecs import jsons
from llmgate.codecs.sse import EventSplitter, event_data
from llmgate.formats.openai_embeddings import vectors_in
from llmgate.spec import (
    ChatResponse,
    Exchange,
    FinishReason,
    GatewayChunk,
    GatewayRequest,
    GatewayResponse,
    ProviderProtocolError,
    Record,
    ToolCall,
    Usage,
)

from .frame import ExchangeFrame
from .recording import make_record
from .streaming import GatewayStream

__all__ = ["AnswerStream", "Completion", "CompletionStream", "Embeddings", "ResponseStream"]

T = TypeVar("T")

UNOPENED: Final = "open the stream first: async with pipeline.stream(...) as chunks, or stream_response(...)"


@attrs.frozen(eq=False)
class Completion:
    """A whole answer.

    Args:
        response: The answer as it travelled.
        settled: The exchange, settled.
    """

    response: GatewayResponse = attrs.field(repr=False)
    _settled: Exchange = attrs.field(repr=False)

    @functools.cached_property
    def exchange(self) -> Record:
        """The account of the exchange: attempts, times, usage; made when it is first asked for."""
        return make_record(self._settled)

    @property
    def chat(self) -> ChatResponse:
        """The answer in canonical form."""
        return self.response.chat

    @property
    def id(self) -> str:
        """The provider's id of the answer."""
        return self.chat.id

    @property
    def model(self) -> str:
        """The model that answered."""
        return self.chat.model

    @property
    def text(self) -> str:
        """The text of the first answer."""
        return self.chat.text

    @property
    def reasoning(self) -> str:
        """The visible reasoning of the first answer."""
        return self.chat.reasoning

    @property
    def tool_calls(self) -> Sequence[ToolCall]:
        """The tool calls of the first answer."""
        return self.chat.tool_calls

    @property
    def usage(self) -> Usage | None:
        """Tokens, None when the provider did not say."""
        return self.response.outcome.usage

    @property
    def finish_reason(self) -> FinishReason | None:
        """Why the first answer ended."""
        return self.chat.finish_reason

    @property
    def raw(self) -> dict[str, Any]:
        """The answer's body as parsed JSON."""
        value: dict[str, Any] = jsons.loads(self.response.body)
        return value


@attrs.frozen(eq=False)
class Embeddings:
    """Embeddings of one or several texts.

    Args:
        response: The answer as it travelled.
        exchange: The account of the exchange.
    """

    response: GatewayResponse = attrs.field(repr=False)
    exchange: Record = attrs.field(repr=False)

    @property
    def vectors(self) -> Sequence[Sequence[float]]:
        """One vector per input, in the order of the inputs.

        Raises:
            ProviderProtocolError: the provider sent something else.
        """
        try:
            return vectors_in(self.response.body)
        except (KeyError, TypeError, ValueError) as wrong:
            raise ProviderProtocolError(f"the answer holds no vectors: {wrong}") from None

    @property
    def model(self) -> str | None:
        """The model that answered."""
        return self.response.outcome.model

    @property
    def usage(self) -> Usage | None:
        """Tokens, None when the provider did not say."""
        return self.response.outcome.usage


class AnswerStream(ABC, Generic[T]):
    """What a streamed answer is in process, whatever its events are.

    Leaving the block early cancels the answer at the provider. ``text``, ``usage`` and ``finish_reason`` grow while it
    is read; ``exchange`` is complete after the block.

    Args:
        open_frame: Opens the exchange.
        request: What is asked.
    """

    decode: ClassVar[bool]
    """Whether events are read in canonical form rather than as bytes of the wire format."""

    def __init__(self, open_frame: Callable[[], ExchangeFrame], request: Callable[[], GatewayRequest]) -> None:
        self._open_frame = open_frame
        self._make_request = request
        self._frame: ExchangeFrame | None = None
        self._stream: GatewayStream | None = None
        self._events: AsyncIterator[T] | None = None
        self._text: list[str] = []

    @abstractmethod
    def _read(self, stream: GatewayStream) -> AsyncIterator[T]:
        """The events of an open stream."""

    @abstractmethod
    def _text_of(self, event: T) -> str:
        """What an event adds to the text of the first answer."""

    async def __aenter__(self) -> Self:
        frame = self._frame = self._open_frame()
        await frame.__aenter__()
        try:
            self._stream = await frame.stream(self._make_request(), decode=self.decode)
        except BaseException as failure:
            await frame.__aexit__(type(failure), failure, failure.__traceback__)
            raise
        self._events = self._read(self._stream)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, failure: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._frame is not None:
            await self._frame.__aexit__(kind, failure, traceback)

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> T:
        if self._events is None or self._stream is None:
            raise RuntimeError(UNOPENED)
        try:
            event = await anext(self._events)
        except StopAsyncIteration:
            await self._stream.finish()
            raise
        self._text.append(self._text_of(event))
        return event

    @property
    def text(self) -> str:
        """The text of the first answer so far."""
        return "".join(self._text)

    @property
    def usage(self) -> Usage | None:
        """Tokens, once the provider has said."""
        return self._stream.outcome.usage if self._stream else None

    @property
    def finish_reason(self) -> FinishReason | None:
        """Why the first answer ended, once it has."""
        return self._stream.outcome.finish_reason if self._stream else None

    @property
    def exchange(self) -> Record:
        """The account of the exchange; complete after the block."""
        if self._frame is None:
            raise RuntimeError(UNOPENED)
        return self._frame.record


class CompletionStream(AnswerStream[GatewayChunk]):
    """A streamed chat answer: ``async with pipeline.stream(...) as chunks``, then ``async for chunk in chunks``."""

    decode = True

    def _read(self, stream: GatewayStream) -> AsyncIterator[GatewayChunk]:
        return stream.chunks()

    def _text_of(self, event: GatewayChunk) -> str:
        return event.text


class ResponseStream(AnswerStream[dict[str, Any]]):
    """A streamed answer of OpenAI's Responses: ``async with pipeline.stream_response(...) as events``.

    Each event is one of theirs as parsed JSON, whatever format the provider speaks: ``event["type"]`` says which.
    """

    decode = False

    async def _read(self, stream: GatewayStream) -> AsyncIterator[dict[str, Any]]:
        splitter = EventSplitter()
        async for piece in stream:
            for raw in splitter.feed(piece):
                data = event_data(raw)
                if data and data != b"[DONE]":
                    yield jsons.loads(data)

    def _text_of(self, event: dict[str, Any]) -> str:
        return str(event["delta"]) if event.get("type") == "response.output_text.delta" else ""
