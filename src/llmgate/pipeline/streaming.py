"""Streams: held back until the first content, then relayed or decoded, never shown as finished when they are not."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import AsyncIterator, Iterator, Mapping
from typing import TYPE_CHECKING

import attrs

from llmgate.formats import get_format
from llmgate.formats.told_costs import told_in
from llmgate.spec import (
    GatewayChunk,
    GatewayError,
    GatewayRequest,
    ProviderProtocolError,
    ProviderResponse,
    ProviderStream,
    ProviderTimeoutError,
    StreamEncoder,
    Usage,
)
from llmgate.wire.alarm import Alarm

from .attempt import Try, note_head, note_unsaid, read_error
from .costs import asks_cost, cost_so_far
from .deadline import Deadline
from .live import LiveStream, StreamSource

if TYPE_CHECKING:
    from .frame import ExchangeFrame

__all__ = ["GatewayStream", "open_stream"]


async def open_stream(tried: Try, *, decode: bool) -> LiveStream:
    """Send an attempt and read its stream up to the first content.

    Args:
        tried: The attempt.
        decode: Whether somebody reads the chunks; bytes of another wire format are decoded in any case.

    Raises:
        ProviderError: the provider failed before any content came, so that another deployment may be tried.
    """
    bound = tried.call.deployment.provider.timeouts.first_content
    try:
        with Alarm(bound if math.isfinite(bound) else None):
            return await _open(tried, decode=decode)
    except TimeoutError:
        pass  # raised anew below, without what led to it
    name = tried.call.deployment.provider_name
    raise ProviderTimeoutError(
        f"provider {name} sent no content within {bound:g} s",
        provider_name=name,
        code="provider_first_content_timeout",
        retryable=True,
        lost=True,
    )


async def _open(tried: Try, *, decode: bool) -> LiveStream:
    upstream = await tried.runtime.transport.open_stream(tried.request)
    try:
        note_head(tried, upstream.status, upstream.headers)
        await _refuse_other_than_stream(tried, upstream)
        live = LiveStream(tried, upstream, decode=decode or not tried.relay)
        tried.attempt.outcome = live.outcome
        await live.read_up_to_content()
    except BaseException:
        await upstream.aclose()
        raise
    return live


async def _refuse_other_than_stream(tried: Try, upstream: ProviderStream) -> None:
    adapter, call = tried.runtime.adapter, tried.call
    if not 200 <= upstream.status < 300:
        body = await upstream.read()
        raise read_error(tried, ProviderResponse(upstream.status, upstream.headers, body))
    kind = upstream.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind not in {"application/json", "text/html"}:
        return
    body = await upstream.read()
    if kind == "application/json":
        # An error inside a 200 says more than the wrong content type; a whole answer is refused below.
        adapter.parse_response(call, ProviderResponse(upstream.status, upstream.headers, body))
    raise ProviderProtocolError(
        f"provider {call.deployment.provider_name!r} answered a stream request with {kind}",
        provider_name=call.deployment.provider_name,
        retryable=True,
    )


class GatewayStream:
    """A streamed answer: iterate it for bytes in the caller's wire format, or ``chunks()`` for decoded events.

    A failure after the first content is raised as ``GatewayError``; the bytes so far then lack the terminal marker, and
    the caller's surface adds its own error event.

    Args:
        frame: The exchange.
        source: What it is read from.
        request: What was asked.
    """

    events = True
    """Whether it is a stream of events, rather than bytes of any kind."""

    def __init__(self, frame: ExchangeFrame, source: StreamSource, request: GatewayRequest) -> None:
        self._frame = frame
        self._source = source
        self._request = request
        self._format = get_format(request.format).answering(request)
        self._deadline = Deadline(frame)
        self._pending = deque(source.held_chunks)
        self._bound = math.inf
        self.finished = False
        self.closed = False
        self.outcome = source.outcome
        # Bytes that an interceptor keeps to give them again would then tell what another answer has cost.
        told = frame.snapshot.config.prices.enabled and not frame.chain.watches_bytes
        self._tells_cost = told and (not source.relay or asks_cost(frame.exchange))
        self.media_type = self._format.stream_media_type
        self.headers: Mapping[str, str] = {
            name: value for name, value in source.headers.items() if self._format.allows_down(name)
        }

    def __aiter__(self) -> AsyncIterator[bytes]:
        pieces = self._encoded() if self._source.decode else self._relayed()
        return self._watched(pieces) if self._frame.watches_bytes else pieces

    def chunks(self) -> AsyncIterator[GatewayChunk]:
        """The events, decoded and seen by the interceptors; the usage-only event only where it was asked for."""
        return self._written() if self._frame.watches_bytes else self._chunks()

    async def _watched(self, pieces: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        async for data in pieces:
            self._frame.sent(data)
            yield data

    async def _written(self) -> AsyncIterator[GatewayChunk]:
        """The events for a caller in process, written as well for the interceptors that watch the bytes."""
        encoder = self._start_encoder()
        async for chunk in self._chunks():
            data = self._encode(encoder, chunk)
            if data:
                self._frame.sent(data)
            yield chunk
        self._frame.sent(self._encode_end(encoder))

    async def _chunks(self) -> AsyncIterator[GatewayChunk]:
        while True:
            for chunk in self._at_hand():
                yield chunk
            if not await self._more():
                return

    def _at_hand(self) -> Iterator[GatewayChunk]:
        """The events that have been read and not been taken, but for the one that ends the stream."""
        source, frame = self._source, self._frame
        pending = self._pending  # kept there, so that reading can be taken up where a caller has left
        while pending and not pending[0].final:
            chunk = pending.popleft()
            if source.withhold_usage and chunk.usage is not None and not chunk.choices:
                continue
            seen = self._seen(chunk) if frame.chain.reads_stream else chunk
            if seen is not None:
                yield seen

    async def _more(self) -> bool:
        """Read on; False when the stream has come to its end, or is given up."""
        source = self._source
        if self._pending or source.outcome.complete:
            await self._seal()
            return False
        if source.received > self._bound:
            return False
        self._pending.extend(await self._deadline.read(source.read_chunks))
        return True

    async def read_on(self, most: int) -> bool:
        """Read what is left for nobody: interceptors see it, and the account is that of a whole answer.

        Args:
            most: Bytes after which it is given up.

        Returns:
            Whether it came to its end.

        Raises:
            GatewayError: the provider failed, or the time of the exchange is over.
        """
        source = self._source
        self._bound = source.received + most
        if source.decode:
            async for _ in self._chunks():
                pass
        else:
            while not source.outcome.complete:
                if source.received > self._bound:
                    return False
                await self._deadline.read(source.read_bytes)
            await self._seal()
        if self.finished:
            await self.finish()
        return self.finished

    def _seen(self, chunk: GatewayChunk) -> GatewayChunk | None:
        """The chunk as the interceptors leave it; one that they changed no longer goes down as the bytes that came."""
        seen = self._frame.chain.on_chunk(self._frame.view, chunk)
        if seen is None or seen is chunk or seen.raw is not chunk.raw:
            return seen
        return attrs.evolve(seen, raw=b"")

    async def finish(self) -> None:
        """Let the upstream end by itself for a moment, then close it. Idempotent."""
        if not self.closed:
            self._deadline.cancel()
            await self._source.drain()
            await self.aclose()

    async def aclose(self) -> None:
        """Close the upstream; a stream not read to its end is cancelled there. Idempotent."""
        if self.closed:
            return
        self.closed = True
        self._deadline.cancel()
        await self._source.aclose()

    async def _relayed(self) -> AsyncIterator[bytes]:
        source = self._source
        if any(source.held_bytes):
            yield _taken(source.held_bytes)  # no name for it here: it must not lie beside what follows it
        while not source.outcome.complete:
            try:
                data = await self._deadline.read(source.read_bytes)
            except GatewayError:
                self._frame.encoder = self._format.stream_encoder()
                self._frame.encoder.resume(source.outcome, source.sequence)
                raise
            if data:
                yield data
        await self._seal()
        yield source.terminal
        await self.finish()

    async def _encoded(self) -> AsyncIterator[bytes]:
        """The events in the caller's format; those that were read together go down together."""
        encoder = self._frame.encoder = self._start_encoder()
        pieces: list[bytes] = []
        while True:
            try:
                pieces.extend(self._encode(encoder, chunk) for chunk in self._at_hand())
            except Exception:  # what came before it has been kept, and goes out first
                if any(pieces):
                    yield _taken(pieces)
                raise
            if any(pieces):
                yield _taken(pieces)
            if not await self._more():
                break
        yield self._encode_end(encoder)
        await self.finish()

    def _start_encoder(self) -> StreamEncoder:
        encoder = self._format.stream_encoder(include_usage=self._request.include_usage)
        if not self._source.relay:  # formats that tell no time are read where no clock is
            encoder.encode(self._beside())
        return encoder

    def _encode(self, encoder: StreamEncoder, chunk: GatewayChunk) -> bytes:
        if chunk.usage is not None and self._tells_cost:
            chunk = self._telling(chunk, chunk.usage)
        if self._source.relay:
            return encoder.relayed(chunk) if chunk.raw else encoder.encode(chunk)
        attempts = self._frame.exchange.attempts
        if chunk.choices and chunk.model is None and attempts:  # nor do all formats name the model
            chunk = attrs.evolve(chunk, model=attempts[-1].deployment.model)
        return encoder.encode(chunk)

    def _telling(self, chunk: GatewayChunk, usage: Usage) -> GatewayChunk:
        """A chunk with usage that tells what the answer cost, where that is known."""
        cost = cost_so_far(usage, self._frame.exchange)
        if cost is None:
            return chunk
        return attrs.evolve(chunk, usage=attrs.evolve(usage, cost_nano=cost), raw=told_in(chunk.raw, cost) or b"")

    def _encode_end(self, encoder: StreamEncoder) -> bytes:
        raw = self._source.terminal if self._source.relay else b""
        cost = self._frame.exchange.cost_nano if raw and self._tells_cost else None
        end = GatewayChunk(final=True, raw=raw if cost is None else told_in(raw, cost) or raw)
        return encoder.relayed(end) if end.raw else encoder.encode(end)

    def _beside(self) -> GatewayChunk:
        """What formats are not told by the stream itself: the time, and an id and a model where it tells none."""
        created, outcome = int(self._frame.clock.now()), self.outcome
        last = self._frame.exchange.attempts[-1] if self._frame.exchange.attempts else None
        if last is None or (outcome.response_id and outcome.model):
            return GatewayChunk(created=created)
        return GatewayChunk(
            id=outcome.response_id or last.provider_request_id or self._frame.exchange.id,
            model=outcome.model or last.deployment.model,
            created=created,
        )

    async def _seal(self) -> None:
        encoder, attempts = self._frame.encoder, self._frame.exchange.attempts
        if encoder is not None and attempts and not self._source.relay:
            note_unsaid(attempts[-1], sorted(encoder.unsaid | self.outcome.unread))
        await self._frame.seal()
        self.finished = True


def _taken(pieces: list[bytes]) -> bytes:
    """The pieces as one; the list lets go of them."""
    data = pieces[0] if len(pieces) == 1 else b"".join(pieces)
    pieces.clear()
    return data
