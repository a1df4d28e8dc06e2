"""Operations whose answers may be whole, events or bytes of any kind: what it is shows when the head has come.

A form's fields come in any order, so a request for a transcript may have left before it is known whether events are
wanted; and speech is bytes. So these requests are sent as a stream is, and the answer is taken for what it says it is.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from typing import TYPE_CHECKING, TypeAlias

import attrs

from llmgate.formats.carried import CarriedFormat
from llmgate.spec import GatewayRequest, GatewayResponse, ProviderProtocolError, ProviderResponse, ProviderStream

from .attempt import Try, note_head, read_error
from .live import LiveStream
from .relaying import RelayAnswer
from .streaming import GatewayStream

if TYPE_CHECKING:
    from .frame import ExchangeFrame

__all__ = ["Answered", "as_taken", "carry", "media_type_of"]

EVENTS = "text/event-stream"

Answered: TypeAlias = "GatewayResponse | LiveStream | ProviderStream"
"""An answer that has begun: whole, a stream of events, or bytes that are still coming."""


async def carry(tried: Try) -> Answered:
    """Send an attempt and take its answer for what it says it is.

    Raises:
        ProviderError: the provider failed before there was anything to hand on, so that another may be tried.
    """
    call, adapter = tried.call, tried.runtime.adapter
    upstream = await tried.runtime.transport.open_stream(tried.request)
    try:
        note_head(tried, upstream.status, upstream.headers)
        if not 200 <= upstream.status < 300:
            raise read_error(tried, ProviderResponse(upstream.status, upstream.headers, await upstream.read()))
        kind = media_type_of(upstream.headers)
        if kind == EVENTS:
            live = LiveStream(tried, upstream, decode=False)
            tried.attempt.outcome = live.outcome
            await live.read_up_to_content()
            return live
        if _is_bytes(call.format, kind):
            return await _Begun.of(tried, upstream)
        body = await upstream.read()
        response = adapter.parse_response(call, ProviderResponse(upstream.status, upstream.headers, body))
        tried.attempt.outcome = response.outcome
    except BaseException:
        await upstream.aclose()
        raise
    return response


def as_taken(
    frame: ExchangeFrame, answered: LiveStream | ProviderStream, request: GatewayRequest
) -> GatewayStream | RelayAnswer:
    """An answer that is still coming, as its exchange hands it on.

    Args:
        frame: The exchange.
        answered: What the provider sends.
        request: What was asked.
    """
    if not isinstance(answered, LiveStream):
        return RelayAnswer(frame, answered, outcome=frame.exchange.attempts[-1].outcome)
    if not request.stream:
        frame.exchange.request = attrs.evolve(request, stream=True)  # a form says so behind its file
    return GatewayStream(frame, answered, request)


def media_type_of(headers: Mapping[str, str]) -> str:
    """The media type of an answer, without its parameters."""
    return headers.get("content-type", "").partition(";")[0].strip().lower()


def _is_bytes(wire_format: object, kind: str) -> bool:
    """Whether an answer is bytes that are passed on unread: not where it is an error or a page in disguise."""
    if not isinstance(wire_format, CarriedFormat) or not wire_format.binary:
        return False
    return kind not in {"application/json", "text/html", "text/plain"}


class _Begun:
    """Bytes of which the first have come, so that a provider that sends none is replaced; a ``ProviderStream``."""

    def __init__(self, first: bytes, upstream: ProviderStream) -> None:
        self.status = upstream.status
        self.headers = upstream.headers
        self._first = first
        self._upstream = upstream
        self._pieces = aiter(upstream)

    @classmethod
    async def of(cls, tried: Try, upstream: ProviderStream) -> _Begun:
        """Wait for the first bytes.

        Raises:
            ProviderError: none came.
        """
        begun = cls(b"", upstream)
        begun._first = await anext(begun._pieces, b"")
        if not begun._first:
            name = tried.call.deployment.provider_name
            raise ProviderProtocolError(
                f"provider {name!r} sent an empty answer", provider_name=name, upstream_status=upstream.status,
                retryable=True,
            )  # fmt: skip
        tried.attempt.outcome.content = True
        return begun

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        first, self._first = self._first, b""
        return first or await anext(self._pieces)

    async def read(self) -> bytes:
        """All that is left of the body."""
        first, self._first = self._first, b""
        return first + await self._upstream.read()

    async def aclose(self) -> None:
        """Close the upstream. Idempotent."""
        await self._upstream.aclose()
