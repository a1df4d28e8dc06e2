"""What becomes of an error at the edge: a status, headers, and a body in the surface's own shape."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Final

from llmgate.spec import (
    AuthenticationError,
    Format,
    GatewayError,
    GatewayTimeoutError,
    InvalidRequestError,
    NoDeploymentError,
    ProviderError,
    ProviderProtocolError,
)

from .headers import Headers, upstream_headers

__all__ = ["INTERNAL_ERROR", "ClientLeftError", "RefusedError", "error_body", "error_headers"]

INTERNAL_ERROR: Final = "internal error: the gateway's log has the details under this request's id"
"""All that a caller learns of an error that nobody expected."""

LONGEST_HEEDED: Final = 60
"""Seconds up to which the openai and anthropic SDKs wait as ``retry-after`` says."""


class ClientLeftError(Exception):
    """The client went away: there is nobody left to answer."""


class RefusedError(InvalidRequestError):
    """The host itself refuses a request: its framing, its path, its method, its type, its origin.

    Args:
        status: The HTTP status.
        message: What is wrong and what to do about it.
        code: A stable word for programs.
        headers: Headers that belong to the refusal, for example ``allow``.
        close: Whether the connection must not carry another request.
    """

    def __init__(
        self,
        status: int,
        message: str,
        *,
        code: str,
        headers: Mapping[str, str] | None = None,
        close: bool = False,
    ) -> None:
        super().__init__(message, code=code)
        self.status = status
        self.headers: Mapping[str, str] = headers or {}
        self.close = close

    @property
    def http_status(self) -> int:
        """The status chosen by the host."""
        return self.status


def error_body(error: GatewayError, wire_format: Format) -> bytes:
    """The body of an error answer: the upstream's own where it may be shown, else one of the surface's shape."""
    if isinstance(error, ProviderError) and error.body is not None:
        return error.body
    return wire_format.encode_error(error)


def error_headers(error: GatewayError) -> Headers:
    """The headers that an error adds to its answer.

    A client library repeats 408, 409, 429 and 5xx by itself; where the gateway has spent its own repeats already it
    says ``x-should-retry: false`` (read by the openai and anthropic SDKs), or ``retry-after`` where a time is known;
    both where the time is longer than they wait, since some releases of theirs take no notice of it then, and where the
    gateway has repeated it itself: then it says so whatever the provider says, which knows nothing of these repeats.
    """
    headers: Headers = []
    if isinstance(error, ProviderError):
        headers += upstream_headers({name: text for name, text in error.headers.items() if name != "retry-after"})
    elif isinstance(error, RefusedError):
        headers += [(name.encode("latin-1"), value.encode("latin-1")) for name, value in error.headers.items()]
        if error.close:
            headers.append((b"connection", b"close"))
    elif isinstance(error, AuthenticationError):
        headers.append((b"www-authenticate", b"Bearer"))
    repeat_later = False
    if error.retry_after is not None and math.isfinite(error.retry_after):
        headers.append((b"retry-after", b"%d" % max(1, math.ceil(error.retry_after))))
        repeat_later = error.retry_after <= LONGEST_HEEDED
    if isinstance(error, ProviderError) and error.repeated:
        headers = [one for one in headers if one[0] != b"x-should-retry"]
        headers.append((b"x-should-retry", b"false"))
    elif not repeat_later and _spent(error) and not any(name == b"x-should-retry" for name, _ in headers):
        headers.append((b"x-should-retry", b"false"))
    return headers


def _spent(error: GatewayError) -> bool:
    """Whether a repeat by the client would only multiply the gateway's own."""
    if isinstance(error, ProviderError):
        return error.retryable or isinstance(error, ProviderProtocolError)  # both have been tried elsewhere, too
    return isinstance(error, NoDeploymentError | GatewayTimeoutError)
