"""Answers as in-process callers see them."""

from __future__ import annotations

import functools
from collections.abc import AsyncIterator, Callable, Sequence
from types import TracebackType
from typing import Any, Self

import attrs

from llmgate.codecs import jsons
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
from .settling import make_record
from .streaming import GatewayStream

__all__ = ["Completion", "CompletionStream", "Embeddings"]


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


class CompletionStream:
    """A streamed answer: ``async with pipeline.stream(...) as chunks``, then ``async for chunk in chunks``.

    Leaving the block early cancels the answer at the provider. ``text``, ``usage`` and ``finish_reason`` grow while it
    is read; ``exchange`` is complete after the block.

    Args:
        open_frame: Opens the exchange.
        request: What is asked.
    """

    def __init__(self, open_frame: Callable[[], ExchangeFrame], request: Callable[[], GatewayRequest]) -> None:
        self._open_frame = open_frame
        self._make_request = request
        self._frame: ExchangeFrame | None = None
        self._stream: GatewayStream | None = None
        self._chunks: AsyncIterator[GatewayChunk] | None = None
        self._text: list[str] = []

    async def __aenter__(self) -> Self:
        frame = self._frame = self._open_frame()
        await frame.__aenter__()
        try:
            self._stream = await frame.stream(self._make_request(), decode=True)
        except BaseException as failure:
            await frame.__aexit__(type(failure), failure, failure.__traceback__)
            raise
        self._chunks = self._stream.chunks()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, failure: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._frame is not None:
            await self._frame.__aexit__(kind, failure, traceback)

    def __aiter__(self) -> CompletionStream:
        return self

    async def __anext__(self) -> GatewayChunk:
        if self._chunks is None or self._stream is None:
            raise RuntimeError("open the stream first: async with pipeline.stream(...) as chunks")
        try:
            chunk = await anext(self._chunks)
        except StopAsyncIteration:
            await self._stream.finish()
            raise
        self._text.append(chunk.text)
        return chunk

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
            raise RuntimeError("open the stream first: async with pipeline.stream(...) as chunks")
        return self._frame.record
