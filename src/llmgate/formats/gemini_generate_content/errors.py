"""Error bodies in both directions.

Source: Google Cloud API Design Guide, "Errors": ``google.rpc.Status`` as ``{"error": {"code", "message", "status",
"details"}}``, with ``RetryInfo`` and ``ErrorInfo`` among the details.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Final

import attrs

from llmgate.codecs.jsons import dumps
from llmgate.formats.openai_chat.errors import decode_error as decode_any, error_in as any_error_in
from llmgate.spec import ErrorDetail, GatewayError, ProviderError

__all__ = ["decode_error", "encode_error", "error_in", "error_status", "error_value"]

_STATUSES: Final[Mapping[int, str]] = {
    400: "INVALID_ARGUMENT",
    401: "UNAUTHENTICATED",
    402: "RESOURCE_EXHAUSTED",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    405: "UNIMPLEMENTED",
    408: "DEADLINE_EXCEEDED",
    409: "ABORTED",
    413: "INVALID_ARGUMENT",
    429: "RESOURCE_EXHAUSTED",
    499: "CANCELLED",
    503: "UNAVAILABLE",
    504: "DEADLINE_EXCEEDED",
    529: "UNAVAILABLE",
}
"""The canonical code by HTTP status; other 4xx are ``INVALID_ARGUMENT``, the rest ``INTERNAL``."""

_CODES: Final[Mapping[str, int]] = {
    "INVALID_ARGUMENT": 400,
    "FAILED_PRECONDITION": 400,
    "OUT_OF_RANGE": 400,
    "UNAUTHENTICATED": 401,
    "PERMISSION_DENIED": 403,
    "NOT_FOUND": 404,
    "ABORTED": 409,
    "ALREADY_EXISTS": 409,
    "RESOURCE_EXHAUSTED": 429,
    "CANCELLED": 499,
    "UNIMPLEMENTED": 501,
    "INTERNAL": 500,
    "UNKNOWN": 500,
    "DATA_LOSS": 500,
    "UNAVAILABLE": 503,
    "DEADLINE_EXCEEDED": 504,
}
"""The HTTP status of each canonical code; in a stream there is no other."""

_TYPE: Final = "type.googleapis.com/google.rpc."
_DOMAIN: Final = "llmgate"


def decode_error(headers: Mapping[str, str], body: bytes) -> ErrorDetail | None:
    """What an error body says; None when it is not an error body (HTML, empty, garbage)."""
    detail = decode_any(headers, body)
    return None if detail is None else _with_status(detail)


def error_in(value: Mapping[str, Any]) -> ErrorDetail | None:
    """The error that an answer or an event holds although it came with a success status; None when it holds none."""
    if not value.get("error"):
        return None
    detail = any_error_in(value)
    return _with_status(detail) if detail is not None else ErrorDetail("the provider sent an error without a message")


def encode_error(error: GatewayError) -> bytes:
    """An error body in this format."""
    return dumps(error_value(error))


def error_value(error: GatewayError) -> dict[str, Any]:
    """The error as this format's JSON value."""
    status = error_status(error)
    message = error.message.encode("utf-8", "replace").decode()  # a surrogate must not turn an error into another
    kind = _STATUSES.get(status) or ("INVALID_ARGUMENT" if 400 <= status < 500 else "INTERNAL")
    value: dict[str, Any] = {"code": status, "message": message, "status": kind, "details": _details(error)}
    return {"error": value}


def error_status(error: GatewayError) -> int:
    """The status of an error."""
    status = error.http_status
    return 503 if status == 529 and isinstance(error, ProviderError) else status


def _details(error: GatewayError) -> list[dict[str, Any]]:
    info: dict[str, Any] = {"@type": f"{_TYPE}ErrorInfo", "reason": error.code, "domain": _DOMAIN}
    details = [info]
    if error.param is not None:
        violation = {"field": error.param, "description": "see the message"}
        details.append({"@type": f"{_TYPE}BadRequest", "fieldViolations": [violation]})
    if error.retry_after is not None and math.isfinite(error.retry_after):
        details.append({"@type": f"{_TYPE}RetryInfo", "retryDelay": f"{max(0.0, error.retry_after):.9g}s"})
    if error.request_id is not None:
        details.append({"@type": f"{_TYPE}RequestInfo", "requestId": error.request_id})
    return details


def _with_status(detail: ErrorDetail) -> ErrorDetail:
    known = _CODES.get(detail.type or "")
    return detail if detail.status is not None or known is None else attrs.evolve(detail, status=known)
