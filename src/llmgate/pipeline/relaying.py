"""The direct relay: a request goes to one provider as it is, and its answer comes back as it comes.

Everything around it is the same as for any exchange: authentication, interceptors, credential, deadline, record.
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Mapping
from typing import TYPE_CHECKING, Final

from llmgate.codecs.jsons import JSONError, dumps, loads
from llmgate.spec import (
    Exchange,
    GatewayResponse,
    Outcome,
    ProviderProtocolError,
    ProviderResponse,
    ProviderStream,
    Secret,
)

from .attempt import Try, note_head
from .deadline import Deadline
from .observing import RelayObserver, observer_for

if TYPE_CHECKING:
    from .frame import ExchangeFrame

__all__ = ["RELAYED_HEADERS", "RelayAnswer", "open_relay"]

RELAYED_HEADERS: Final = frozenset(
    {
        "accept-ranges",
        "cache-control",
        "content-disposition",
        "content-language",
        "content-range",
        "content-type",
        "etag",
        "last-modified",
        "openai-processing-ms",
        "openai-version",
        "retry-after",
        "retry-after-ms",
        "x-should-retry",
    }
)
"""Response headers of a provider that the direct relay passes on, beside those of ``RELAYED_PREFIXES``."""


RELAYED_PREFIXES: Final = ("x-ratelimit-", "anthropic-ratelimit-")
"""What the names of other response headers begin with that are passed on."""


async def open_relay(tried: Try) -> ProviderStream:
    """Send a relayed request and return once the head of its answer has come.

    Raises:
        ProviderAuthenticationError: the provider refuses the gateway's credential; its text is withheld.
        ProviderRateLimitError: it limits one of the several keys that it is used with.
        ProviderError: the provider's error quotes the credential, so that only a part of it can be told.
        ProviderProtocolError: the provider redirects, which is never followed.
        ProviderError: it cannot be reached.
    """
    upstream = await tried.runtime.transport.open_stream(tried.request)
    try:
        note_head(tried, upstream.status, upstream.headers)
        secret = tried.call.secret
        refused = upstream.status in {401, 403} and secret is not None and not secret.callers
        if refused or (upstream.status == 429 and tried.call.deployment.key is not None):  # another key may do better
            body = await upstream.read()
            raise tried.runtime.adapter.parse_error(
                tried.call, ProviderResponse(upstream.status, upstream.headers, body)
            )
        if upstream.status >= 400 and secret is not None and not secret.callers:
            return await _without_key(tried, upstream, secret)
        if 300 <= upstream.status < 400 and upstream.status != 304:
            raise ProviderProtocolError(
                f"provider {tried.call.deployment.provider_name!r} answered with a redirect, which is never followed",
                provider_name=tried.call.deployment.provider_name,
                upstream_status=upstream.status,
            )
    except BaseException:
        await upstream.aclose()
        raise
    return upstream


async def _without_key(tried: Try, upstream: ProviderStream, secret: Secret) -> ProviderStream:
    """The answer that an error is, read whole, since vendors quote the key that they were given.

    Raises:
        ProviderError: the key is in it; only what can be shown of it is told.
    """
    body = await upstream.read()
    await upstream.aclose()
    plain = body
    with contextlib.suppress(JSONError):
        plain = dumps(loads(body))  # escapes undone, so that nothing hides behind them
    key = secret.reveal()
    if key and (key.encode() in body or dumps(key)[1:-1] in plain):
        response = ProviderResponse(upstream.status, upstream.headers, body)
        raise tried.runtime.adapter.parse_error(tried.call, response)
    return _WholeAnswer(upstream.status, upstream.headers, body)


class _WholeAnswer:
    """An answer that has been read; implements ``ProviderStream``."""

    def __init__(self, status: int, headers: Mapping[str, str], body: bytes) -> None:
        self.status = status
        self.headers = headers
        self._body = body

    async def __aiter__(self) -> AsyncIterator[bytes]:
        body = await self.read()
        if body:
            yield body

    async def read(self) -> bytes:
        """What has not been read yet."""
        body, self._body = self._body, b""
        return body

    async def aclose(self) -> None:
        """There is nothing left to close."""


class RelayAnswer:
    """The answer to a relayed request: its head, and its body in the pieces in which it comes.

    Args:
        frame: The exchange.
        upstream: The provider's answer; None where an interceptor has answered.
        response: The answer of an interceptor.
        outcome: What is seen of the answer; None for nothing so far.
    """

    events = False
    """Whether it is a stream of events that are understood."""

    def __init__(
        self,
        frame: ExchangeFrame,
        upstream: ProviderStream | None,
        response: GatewayResponse | None = None,
        outcome: Outcome | None = None,
    ) -> None:
        self._frame = frame
        self._upstream = upstream
        self._body = b"" if response is None else response.body
        self._deadline = Deadline(frame)
        self.finished = False
        self.closed = False
        self._observer: RelayObserver | None = None
        if outcome is None and upstream is not None:
            outcome, self._observer = _watched(frame.exchange, upstream)
        self.outcome = outcome or (Outcome() if response is None else response.outcome)
        self.status = 200 if response is None else response.status
        self.headers: Mapping[str, str] = {"content-type": "application/json"}
        if upstream is not None:
            self.status = upstream.status
            self.headers = {name: value for name, value in upstream.headers.items() if _passes(name)}

    @property
    def media_type(self) -> str:
        """The content type of the body, parameters included."""
        return self.headers.get("content-type", "")

    @property
    def stream_format(self) -> str:
        """The wire format of the stream that it is; ``""`` where it is none, or in none that is known."""
        return "" if self._observer is None else self._observer.stream_format

    async def __aiter__(self) -> AsyncIterator[bytes]:
        capture = self._frame.capture
        if self._upstream is None:
            if capture is not None:
                capture.sent(self._body)
            yield self._body
        else:
            pieces = aiter(self._upstream)
            while (piece := await self._deadline.read(lambda: anext(pieces, None))) is not None:
                if capture is not None:
                    capture.sent(piece)
                if self._observer is not None:
                    self._observer.feed(piece)
                    if self._observer.complete:
                        await self._seal()  # who reads the stream takes it for whole, whatever comes behind
                yield piece
        self._deadline.cancel()
        await self._seal()
        self.finished = True
        await self.aclose()

    async def _seal(self) -> None:
        """Everything is known of the answer. Idempotent."""
        if not self.outcome.complete:
            if self._observer is not None:
                self._observer.finish(self.outcome)
            self.outcome.complete = True
        await self._frame.seal()

    async def aclose(self) -> None:
        """Close the upstream; an answer not read to its end is cancelled there. Idempotent."""
        if self.closed:
            return
        self.closed = True
        self._deadline.cancel()
        if self._upstream is not None:
            await self._upstream.aclose()


def _watched(exchange: Exchange, upstream: ProviderStream) -> tuple[Outcome, RelayObserver | None]:
    """Where the account of a relayed answer is kept, and what reads the answer for it."""
    last, request = exchange.attempts[-1], exchange.request
    if request is None or request.relay is None:
        return last.outcome, None
    provider = last.deployment.provider
    known = request.format or None
    return last.outcome, observer_for(provider, request.relay.path, upstream.status, upstream.headers, known)


def _passes(name: str) -> bool:
    return name in RELAYED_HEADERS or name.startswith(RELAYED_PREFIXES)
