"""Error bodies in both directions.

Source: Anthropic API reference, "Errors": ``{"type": "error", "error": {"type", "message"}, "request_id"}``. Servers
that copy the format send other shapes as well; those are read as for OpenAI's format.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import attrs

from llmgate.codecs.jsons import dumps
from llmgate.formats.openai_chat.errors import decode_error as decode_any, error_in as any_error_in
from llmgate.spec import ErrorDetail, GatewayError, ProviderError

__all__ = ["OVERLOADED", "decode_error", "encode_error", "error_in", "error_status"]

OVERLOADED: Final = 529

_TYPES: Final[Mapping[int, str]] = {
    401: "authentication_error",
    402: "billing_error",
    403: "permission_error",
    404: "not_found_error",
    408: "timeout_error",
    413: "request_too_large",
    429: "rate_limit_error",
    503: "overloaded_error",
    504: "timeout_error",
    OVERLOADED: "overloaded_error",
}
"""The ``type`` of an error by its HTTP status; other 4xx are ``invalid_request_error``, the rest ``api_error``."""

_STATUSES: Final[Mapping[str, int]] = {
    "invalid_request_error": 400,
    "authentication_error": 401,
    "billing_error": 402,
    "permission_error": 403,
    "not_found_error": 404,
    "request_too_large": 413,
    "rate_limit_error": 429,
    "api_error": 500,
    "timeout_error": 504,
    "overloaded_error": OVERLOADED,
}
"""The status that a type stands for; in a stream there is no other."""


def decode_error(headers: Mapping[str, str], body: bytes) -> ErrorDetail | None:
    """What an error body says; None when it is not an error body (HTML, empty, garbage)."""
    detail = decode_any(headers, body)
    return None if detail is None else _with_status(detail)


def error_in(value: Mapping[str, Any]) -> ErrorDetail | None:
    """The error that an answer or an event holds although it came with a success status; None when it holds none."""
    if value.get("type") != "error" and not value.get("error"):
        return None
    detail = any_error_in(value)
    return None if detail is None else _with_status(detail)


def encode_error(error: GatewayError) -> bytes:
    """An error body in this format."""
    status = error.http_status
    kind = _TYPES.get(status) or ("invalid_request_error" if 400 <= status < 500 else "api_error")
    message = error.message.encode("utf-8", "replace").decode()  # a surrogate must not turn an error into another
    value: dict[str, Any] = {"type": "error", "error": {"type": kind, "message": message}}
    if error.request_id is not None:
        value["request_id"] = error.request_id
    return dumps(value)


def error_status(error: GatewayError) -> int:
    """The status of an error; that a provider has too much to do has one of its own in this format."""
    status = error.http_status
    return OVERLOADED if status == 503 and isinstance(error, ProviderError) else status


def _with_status(detail: ErrorDetail) -> ErrorDetail:
    known = _STATUSES.get(detail.type or "")
    return detail if detail.status is not None or known is None else attrs.evolve(detail, status=known)
