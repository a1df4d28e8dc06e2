"""The direct relay: a request goes to one provider as it is, and its answer comes back as it comes.

Everything around it is the same as for any exchange: authentication, interceptors, credential, deadline, record.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from typing import TYPE_CHECKING, Final

from llmgate.spec import GatewayResponse, Outcome, ProviderProtocolError, ProviderResponse, ProviderStream

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

RELAYED_PREFIXES: Final = ("x-ratelimit-", "anthropic-ratelimit-")
"""What the names of other response headers begin with that are passed on."""


async def open_relay(tried: Try) -> ProviderStream:
    """Send a relayed request and return once the head of its answer has come.

    Raises:
        ProviderAuthenticationError: the provider refuses the gateway's credential; its text is withheld.
        ProviderProtocolError: the provider redirects, which is never followed.
        ProviderError: it cannot be reached.
    """
    upstream = await tried.runtime.transport.open_stream(tried.request)
    try:
        note_head(tried, upstream.status, upstream.headers)
        secret = tried.call.secret
        if upstream.status in {401, 403} and secret is not None and not secret.callers:
            body = await upstream.read()
            raise tried.runtime.adapter.parse_error(
                tried.call, ProviderResponse(upstream.status, upstream.headers, body)
            )
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
                yield piece
        self._deadline.cancel()
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


def _passes(name: str) -> bool:
    return name in RELAYED_HEADERS or name.startswith(RELAYED_PREFIXES)
