"""What aiohttp raises, said in llmgate's words.

The originals quote addresses, and an address may hold a key; so nothing of theirs is passed on, not even as
``__cause__``: every function here returns an error, to be raised outside the ``except`` block.
"""

from __future__ import annotations

import ssl
from typing import Final

from aiohttp import (
    ClientConnectorDNSError,
    ClientConnectorError,
    ClientHttpProxyError,
    ClientPayloadError,
    ClientProxyConnectionError,
    ClientResponseError,
    ConnectionTimeoutError,
    InvalidURL,
)
from aiohttp.http_exceptions import HttpProcessingError

from llmgate.spec import (
    ProviderConnectionError,
    ProviderError,
    ProviderProtocolError,
    ProviderRequest,
    ProviderTimeoutError,
)

from .egress import ForbiddenAddressError

__all__ = ["broken_answer", "opening_failure", "reading_failure"]

_TRY_LATER: Final = "check that it is running and that its base-url is right"


def opening_failure(exc: Exception, request: ProviderRequest) -> ProviderError:
    """The error behind an exception that came before the head of the answer.

    Once there is a connection, the request counts as sent: a connection that breaks while it is written may have
    carried all of it.

    Args:
        exc: What was raised.
        request: What was being sent.
    """
    name, timeouts = request.provider_name, request.timeouts
    if isinstance(exc, ConnectionTimeoutError):
        text = f"did not accept a connection within {timeouts.connect:g} s"
        return _timeout(name, text, "provider_connect_timeout", lost=False)
    if isinstance(exc, TimeoutError):
        text = f"did not begin to answer within {timeouts.first_byte:g} s"
        return _timeout(name, text, "provider_first_byte_timeout")
    if isinstance(exc, ClientProxyConnectionError):
        return _connection(name, "cannot be reached: the proxy refused the connection; check egress.proxy")
    if isinstance(exc, ClientConnectorError):
        return _unreachable(exc, name)
    if isinstance(exc, ClientHttpProxyError):
        text = f"cannot be reached: the proxy answered {exc.status}; check egress.proxy and egress.direct"
        return _connection(name, text)
    if isinstance(exc, ClientResponseError | HttpProcessingError | ClientPayloadError):
        return broken_answer(request, "answered with something that is not HTTP")
    if isinstance(exc, InvalidURL):
        # aiohttp's own refusal: 127.1 and the like, which C libraries read as addresses
        return _connection(name, "has an address that is not allowed; correct its base-url", "provider_address_refused")
    return _lost(name, "closed the connection without an answer")


def reading_failure(exc: Exception, request: ProviderRequest) -> ProviderError:
    """The error behind an exception that came in the middle of the body.

    Args:
        exc: What was raised.
        request: What was being answered.
    """
    if isinstance(exc, TimeoutError):
        text = f"fell silent for {request.timeouts.idle:g} s in the middle of its answer"
        return _timeout(request.provider_name, text, "provider_idle_timeout")
    if isinstance(exc, HttpProcessingError):
        return broken_answer(request, "broke the HTTP framing of its answer")
    return _lost(request.provider_name, "closed the connection in the middle of its answer")


def broken_answer(
    request: ProviderRequest, what: str, *, status: int | None = None, retryable: bool = True
) -> ProviderProtocolError:
    """An answer that cannot be taken.

    Args:
        request: What was being answered.
        what: What the provider did, following its name.
        status: The status that came with it.
        retryable: Whether the same request may do better elsewhere or later.
    """
    return ProviderProtocolError(
        f"provider {request.provider_name} {what}",
        provider_name=request.provider_name,
        upstream_status=status,
        retryable=retryable,
        lost=True,
    )


def _unreachable(exc: ClientConnectorError, name: str) -> ProviderError:
    cause = exc.os_error
    if isinstance(cause, ForbiddenAddressError):
        return _connection(name, cause.what, "provider_address_refused")
    if isinstance(exc, ClientConnectorDNSError):
        return _connection(name, "has a host name that cannot be resolved; check its base-url", "provider_dns_error")
    if isinstance(cause, ssl.SSLError):
        reason = (getattr(cause, "reason", None) or "handshake failed").replace("_", " ").lower()
        return _connection(name, f"cannot be reached over TLS ({reason}); check its base-url", "provider_tls_error")
    if isinstance(cause, ConnectionRefusedError):
        return _connection(name, f"refused the connection; {_TRY_LATER}")
    return _connection(name, f"cannot be reached; {_TRY_LATER}")


def _connection(name: str, what: str, code: str | None = None, *, lost: bool = False) -> ProviderConnectionError:
    return ProviderConnectionError(f"provider {name} {what}", provider_name=name, code=code, retryable=True, lost=lost)


def _lost(name: str, what: str) -> ProviderConnectionError:
    return _connection(name, what, "provider_connection_lost", lost=True)


def _timeout(name: str, what: str, code: str, *, lost: bool = True) -> ProviderTimeoutError:
    return ProviderTimeoutError(f"provider {name} {what}", provider_name=name, code=code, retryable=True, lost=lost)
