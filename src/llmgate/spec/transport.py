"""HTTP as stages see it: requests and responses are values, and the one ``Transport`` moves them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Protocol

import attrs

from .deployments import Timeouts
from .uploads import Upload

__all__ = ["ProviderRequest", "ProviderResponse", "ProviderStream", "Transport"]


@attrs.frozen(eq=False, slots=False)
class ProviderRequest:
    """An HTTP request to a provider, ready to be sent.

    Args:
        method: The HTTP method.
        url: The whole address.
        headers: Headers with lower-case names, the credential among them.
        body: The bytes to send, None for none.
        upload: A body that is sent as it comes, in place of ``body``; None for none.
        provider_name: Who is asked, for error messages.
        origin: ``scheme://host[:port]`` that ``url`` must have; the transport refuses any other.
        pool: Which connections may be shared: those of the same provider and credential.
        timeouts: How long to wait.
        max_body_bytes: Upper bound of a whole answer, decompressed; pieces that are iterated over are not bounded.
        authorities: Certificates (PEM) that the server's is checked against; None for those of the transport.
        lost: What the adapter has left out of what was asked, as the caller writes it.
    """

    method: str
    url: str
    headers: Mapping[str, str] = attrs.field(repr=False)
    body: bytes | None = attrs.field(default=None, repr=False)
    upload: Upload | None = attrs.field(default=None, repr=False)
    provider_name: str = ""
    origin: str = ""
    pool: str = ""
    timeouts: Timeouts = Timeouts()
    max_body_bytes: int = 64 * 1024 * 1024
    authorities: str | None = attrs.field(default=None, repr=False)
    lost: Sequence[str] = ()


@attrs.frozen(eq=False)
class ProviderResponse:
    """A whole HTTP answer of a provider; header names are lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes = attrs.field(repr=False)


class ProviderStream(Protocol):
    """An HTTP answer whose body is still coming."""

    status: int
    headers: Mapping[str, str]

    def __aiter__(self) -> AsyncIterator[bytes]:
        """The body in the pieces in which it comes; a read that was cancelled may be resumed.

        Raises:
            ProviderTimeoutError: nothing came within the idle timeout.
            ProviderConnectionError: the connection broke.
            ProviderProtocolError: the framing or the encoding is broken, or a bound is passed.
        """
        ...

    async def read(self) -> bytes:
        """All that is left of the body, within the request's bound."""
        ...

    async def aclose(self) -> None:
        """Close it; a body not read to its end closes the connection. Idempotent."""
        ...


class Transport(Protocol):
    """What moves requests: aiohttp in ``llmgate.wire``, a script in tests, or an adapter's own.

    Every method raises ``ProviderTimeoutError``, ``ProviderConnectionError`` or ``ProviderProtocolError`` and nothing
    else, but for what reading the request's ``upload`` failed with. Redirects are never followed.
    """

    async def send(self, request: ProviderRequest) -> ProviderResponse:
        """Send a request and read the whole answer."""
        ...

    async def open_stream(self, request: ProviderRequest) -> ProviderStream:
        """Send a request and return once the answer's head has come."""
        ...

    async def aclose(self) -> None:
        """Close every connection. Idempotent."""
        ...
