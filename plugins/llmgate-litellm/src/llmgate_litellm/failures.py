"""litellm's exceptions, as the answers of a vendor that they stand for."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any, Final

from llmgate.codecs.jsons import dumps
from llmgate.spec import (
    GatewayError,
    InvalidRequestError,
    ProviderAuthenticationError,
    ProviderConnectionError,
    ProviderProtocolError,
    ProviderResponse,
    ProviderTimeoutError,
    SecretNotFoundError,
)

__all__ = ["answer_for", "error_event", "raised"]

_HEADERS: Final = ("retry-after", "retry-after-ms", "x-ratelimit-remaining-requests", "x-ratelimit-remaining-tokens",
                   "x-ratelimit-reset-requests", "x-ratelimit-reset-tokens", "x-request-id")  # fmt: skip
_LONGEST: Final = 2000


def raised(failure: Exception, provider: str) -> GatewayError | None:
    """The error of the transport that an exception stands for; None where a vendor has answered."""
    if isinstance(failure, InvalidRequestError):
        return None
    name = type(failure).__name__
    if isinstance(failure, SecretNotFoundError):
        message = f"provider {provider} has no credential: {failure.message}"
        return ProviderAuthenticationError(message, provider_name=provider, retryable=True)
    if name == "Timeout" or isinstance(failure, TimeoutError):
        return ProviderTimeoutError(f"provider {provider} did not answer in time", provider_name=provider)
    if name == "APIConnectionError" or isinstance(failure, OSError):
        return ProviderConnectionError(f"provider {provider} cannot be reached by litellm", provider_name=provider)
    if not isinstance(getattr(failure, "status_code", None), int):
        return ProviderProtocolError(
            f"provider {provider}: litellm failed with {name}", provider_name=provider, retryable=True
        )
    return None


def answer_for(failure: Exception, secrets: Collection[str]) -> ProviderResponse:
    """The answer of the vendor that an exception tells of.

    Args:
        failure: The exception; one for which ``raised`` gives None.
        secrets: What must not show.
    """
    status = 400 if isinstance(failure, InvalidRequestError) else int(getattr(failure, "status_code", 502))
    status = status if 400 <= status <= 599 else 502
    headers = {"content-type": "application/json", **_headers(failure)}
    return ProviderResponse(status, headers, dumps({"error": _error(failure, secrets)}))


def error_event(failure: Exception, secrets: Collection[str]) -> bytes:
    """The event of a stream that ends with an exception."""
    inner = getattr(failure, "original_exception", None)
    failure = inner if isinstance(inner, Exception) else failure
    return b"data: " + dumps({"error": _error(failure, secrets)}) + b"\n\n"


def _error(failure: Exception, secrets: Collection[str]) -> Mapping[str, Any]:
    if isinstance(failure, InvalidRequestError):
        return {
            "message": failure.message,
            "type": "invalid_request_error",
            "param": failure.param,
            "code": failure.code,
        }
    message = str(getattr(failure, "message", None) or failure)
    for secret in secrets:
        message = message.replace(secret, "***")
    code = getattr(failure, "code", None)
    return {
        "message": message[:_LONGEST],
        "type": type(failure).__name__,
        "param": getattr(failure, "param", None),
        "code": code if isinstance(code, str) else None,
    }


def _headers(failure: Exception) -> Mapping[str, str]:
    found: dict[str, str] = {}
    response = getattr(failure, "response", None)
    for source in (getattr(response, "headers", None), getattr(failure, "litellm_response_headers", None)):
        for name in _HEADERS:
            value = source.get(name) if source is not None and hasattr(source, "get") else None
            if isinstance(value, str) and value.isascii() and value.isprintable():
                found[name] = value
    return found
