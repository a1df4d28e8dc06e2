"""The direct relay: a request goes to one provider as it is, and its answer comes back as it comes.

Everything around it is the same as for any exchange: authentication, interceptors, credential, deadline, record.
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Mapping
from typing import TYPE_CHECKING, Final

from llmgate.codecs.jsons import JSONError, dumps, loads
from llmgate.formats import FORMATS, get_format
from llmgate.spec import (
    Format,
    GatewayError,
    GatewayRequest,
    GatewayResponse,
    Outcome,
    ProviderProtocolError,
    ProviderResponse,
    ProviderStream,
    Secret,
)

from .attempt import Try, note_head
from .deadline import Deadline

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

LONGEST_READ: Final = 4 * 1024 * 1024
"""Bytes of an answer up to which it is read for its usage, where its address tells its format."""

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
        self.outcome = outcome or (Outcome() if response is None else response.outcome)
        self._reader = _Reader.of(frame.exchange.request)
        self.status = 200 if response is None else response.status
        self.headers: Mapping[str, str] = {"content-type": "application/json"}
        if upstream is not None:
            self.status = upstream.status
            self.headers = {name: value for name, value in upstream.headers.items() if _passes(name)}

    async def __aiter__(self) -> AsyncIterator[bytes]:
        if self._upstream is None:
            yield self._body
        else:
            pieces = aiter(self._upstream)
            while (piece := await self._deadline.read(lambda: anext(pieces, None))) is not None:
                if self._reader is not None:
                    self._reader.feed(piece)
                yield piece
        self._deadline.cancel()
        if self._reader is not None and self._upstream is not None and 200 <= self.status < 300:
            self._reader.tell(self._upstream.headers, self.outcome)
        self.outcome.complete = True
        await self._frame.seal()
        self.finished = True
        await self.aclose()

    async def aclose(self) -> None:
        """Close the upstream; an answer not read to its end is cancelled there. Idempotent."""
        if self.closed:
            return
        self.closed = True
        self._deadline.cancel()
        if self._upstream is not None:
            await self._upstream.aclose()


class _Reader:
    """Keeps a copy of an answer that nobody reads, to find in it at the end what it has used.

    Args:
        wire_format: The format that it is in, as far as the address tells.
    """

    def __init__(self, wire_format: Format) -> None:
        self._format = wire_format
        self._pieces: list[bytes] = []
        self._size = 0

    @classmethod
    def of(cls, request: GatewayRequest | None) -> _Reader | None:
        """A reader for the answer to a request; None where its format is not known."""
        return cls(get_format(request.format)) if request is not None and request.format in FORMATS else None

    def feed(self, piece: bytes) -> None:
        """Keep a piece; what becomes too long is not read at all."""
        self._size += len(piece)
        if self._size <= LONGEST_READ:
            self._pieces.append(piece)
        else:
            self._pieces.clear()

    def tell(self, headers: Mapping[str, str], outcome: Outcome) -> None:
        """Put what the whole answer says into its outcome; what cannot be read says nothing."""
        if self._size > LONGEST_READ or "json" not in headers.get("content-type", ""):
            return
        with contextlib.suppress(JSONError, GatewayError):
            value = loads(b"".join(self._pieces))
            for one in value if isinstance(value, list) else [value]:  # an array is a stream of Google's
                found = self._format.observe_response(dumps(one))
                outcome.usage = found.usage or outcome.usage
                outcome.model = found.model or outcome.model
                outcome.response_id = found.response_id or outcome.response_id
                outcome.finish_reason = found.finish_reason or outcome.finish_reason


def _passes(name: str) -> bool:
    return name in RELAYED_HEADERS or name.startswith(RELAYED_PREFIXES)
