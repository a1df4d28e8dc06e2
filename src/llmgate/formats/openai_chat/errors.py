"""Error bodies: every shape that servers of this format are known to send, and the one that the gateway writes.

Sources: OpenAI API reference, "Error codes"; google.rpc.Status for Gemini's OpenAI-compatible endpoint; the error
bodies of Mistral, vLLM, FastAPI, Cloudflare and AWS.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any, Final

from llmgate.codecs.jsons import JSONError, dumps, loads
from llmgate.spec import ErrorDetail, GatewayError

__all__ = ["decode_error", "encode_error", "error_in", "error_value"]

_TYPES: Final[Mapping[int, str]] = {
    402: "insufficient_quota",
    403: "permission_error",
    408: "timeout",
    429: "rate_limit_error",
    503: "service_unavailable_error",
    504: "timeout",
    529: "service_unavailable_error",
}
"""The ``type`` of an error by its HTTP status; other 4xx are ``invalid_request_error``, the rest ``server_error``."""

_DURATION: Final = re.compile(r"([0-9]{1,9}(?:\.[0-9]{1,9})?)s")


def decode_error(headers: Mapping[str, str], body: bytes) -> ErrorDetail | None:
    """What an error body says; None when it is not an error body of this format (HTML, empty, garbage).

    Args:
        headers: Response headers, lower-case names; some servers name the class of error there.
        body: The body.
    """
    try:
        value = loads(body)
    except JSONError:
        return None
    if isinstance(value, list):  # Gemini's OpenAI-compatible endpoint wraps the error in an array
        value = next((one for one in value if isinstance(one, dict)), None)
    if not isinstance(value, dict):
        return None
    detail = error_in(value) or _bare(value)
    if detail is None or detail.type is not None:
        return detail
    named = headers.get("x-amzn-errortype", "").partition(":")[0]
    return ErrorDetail(
        message=detail.message,
        type=named or None,
        code=detail.code,
        param=detail.param,
        status=detail.status,
        retry_after=detail.retry_after,
    )


def error_in(value: Mapping[str, Any]) -> ErrorDetail | None:
    """The error that an answer or an event holds although it came with a success status; None when it holds none."""
    error = value.get("error")
    if isinstance(error, str) and error:
        return ErrorDetail(error, code=_word(value.get("code")), status=_status(value.get("status")))
    if isinstance(error, dict) and error:
        return _from_object(error)
    if value.get("object") == "error" or value.get("type") == "error":
        return _bare(value) or ErrorDetail("the provider sent an error without a message")
    errors = value.get("errors")
    if isinstance(errors, list) and errors and "choices" not in value:  # Cloudflare
        first = errors[0]
        return _from_object(first) if isinstance(first, dict) else ErrorDetail(str(first))
    return None


def encode_error(error: GatewayError) -> bytes:
    """An error body in this format."""
    return dumps(error_value(error))


def error_value(error: GatewayError) -> dict[str, Any]:
    """The error as this format's JSON value."""
    status = error.http_status
    kind = _TYPES.get(status) or ("invalid_request_error" if 400 <= status < 500 else "server_error")
    message = error.message.encode("utf-8", "replace").decode()  # a surrogate must not turn an error into another
    return {"error": {"message": message, "type": kind, "param": error.param, "code": error.code}}


def _bare(value: Mapping[str, Any]) -> ErrorDetail | None:
    """An error object that stands at the top level: ``{"message"}``, ``{"detail"}``."""
    if "message" in value or "Message" in value:
        return _from_object(value)
    detail = value.get("detail")
    if isinstance(detail, str):
        return ErrorDetail(detail)
    if isinstance(detail, dict):
        return _from_object(detail)
    if isinstance(detail, list):  # FastAPI's validation errors
        problems = [one for one in detail if isinstance(one, dict)]
        if problems:
            places = [".".join(map(str, one["loc"])) for one in problems if isinstance(one.get("loc"), list)]
            message = "; ".join(str(one.get("msg", "")) for one in problems)
            return ErrorDetail(message, param=places[0].removeprefix("body.") if places else None)
    return None


def _from_object(error: Mapping[str, Any]) -> ErrorDetail:
    details = [one for one in error.get("details") or () if isinstance(one, dict)] if _is_list(error, "details") else []
    reason = next((one["reason"] for one in details if isinstance(one.get("reason"), str)), None)
    code = error.get("code")
    return ErrorDetail(
        message=_message(error),
        type=_word(error.get("type")) or _word(error.get("status")),
        code=reason or _word(code),
        param=_word(error.get("param")),
        status=_status(code) or _status(error.get("status")) or _status(error.get("status_code")),
        retry_after=next((wait for one in details if (wait := _delay(one.get("retryDelay"))) is not None), None),
    )


def _message(error: Mapping[str, Any]) -> str:
    message = next((error[name] for name in ("message", "Message", "msg", "detail") if error.get(name)), None)
    if isinstance(message, str):
        return message
    if message is None:
        return "the provider sent an error without a message"
    if isinstance(message, dict) and (inner := _bare(message)) is not None:
        return inner.message
    return dumps(message).decode()


def _is_list(error: Mapping[str, Any], name: str) -> bool:
    return isinstance(error.get(name), list)


def _word(value: Any) -> str | None:
    """A code or a type as text; numbers are written out."""
    if isinstance(value, str) and value:
        return value
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else None


def _status(value: Any) -> int | None:
    if isinstance(value, str) and re.fullmatch(r"[45][0-9]{2}", value):
        value = int(value)
    return value if isinstance(value, int) and not isinstance(value, bool) and 400 <= value <= 599 else None


def _delay(value: Any) -> float | None:
    """A protobuf duration such as ``34s`` or ``1.5s``."""
    found = _DURATION.fullmatch(value) if isinstance(value, str) else None
    seconds = float(found[1]) if found else math.nan
    return seconds if math.isfinite(seconds) else None
