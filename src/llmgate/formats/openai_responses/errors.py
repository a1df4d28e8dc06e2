"""Errors in both directions: bodies are those of ``openai-chat``; this format's own is a response that failed.

Source: OpenAI API reference, "The response object", ``error``; streaming events ``response.failed`` and ``error``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from llmgate.codecs.jsons import JSONError, dumps, loads
from llmgate.formats.openai_chat.errors import decode_error, encode_error, error_in, error_value
from llmgate.spec import ErrorDetail, GatewayError, ProviderError

__all__ = ["decode_error", "encode_error", "event_error", "failure", "failure_in"]

_STATUSES: Final[Mapping[str, int]] = {
    "context_length_exceeded": 400,
    "invalid_prompt": 400,
    "rate_limit_exceeded": 429,
    "insufficient_quota": 429,
    "server_is_overloaded": 503,
    "server_error": 500,
}
"""The status that a code stands for; in a stream, and inside an answer of status 200, there is no other."""

_UNNAMED: Final = "server_error"
_OWN_CODES: Final = _STATUSES.keys()
_WAIT: Final = " Please try again in {seconds}s."


def failure_in(source: Mapping[str, Any]) -> ErrorDetail | None:
    """The error of a response that failed, or that is no response; None where it holds none."""
    if source.get("object") == "response" and source.get("status") != "failed":
        return None
    detail = error_in(source)
    if detail is None:
        failed = source.get("status") == "failed"
        return ErrorDetail("the provider says that the response failed", status=500) if failed else None
    return _read(detail, source.get("error"))


def event_error(value: Mapping[str, Any]) -> ErrorDetail:
    """The error of an ``error`` event, whose members stand at the top or in an ``error`` of its own."""
    inner = value.get("error")
    inner = inner if isinstance(inner, dict) else {name: one for name, one in value.items() if name != "type"}
    detail = error_in({"error": inner}) or ErrorDetail("the provider sent an error")
    return _read(detail, inner)


def failure(error: GatewayError) -> dict[str, Any]:
    """The ``error`` of a response that failed, in the provider's own words where they may be shown.

    Codes are those that clients act on; the gateway's own word stands in ``type``. Codex waits as long as a message
    says, and not as long as a header does.
    """
    shown = _shown(error)
    if shown is not None:
        return shown
    status = error.http_status
    if error.code in _OWN_CODES:
        code = error.code
    elif status == 429:
        code = "rate_limit_exceeded"
    else:
        code = "invalid_prompt" if 400 <= status < 500 else _UNNAMED
    message = error_value(error)["error"]["message"]
    if code == "rate_limit_exceeded" and error.retry_after is not None:
        message += _WAIT.format(seconds=round(error.retry_after, 3))
    return {"code": code, "message": message, "type": error.code, "param": error.param}


_BESIDE: Final[Mapping[str, Any]] = {"type": None, "param": None}
"""What an error has in a body of its own and lacks in the event of a response that failed."""


def _shown(error: GatewayError) -> dict[str, Any] | None:
    body = error.body if isinstance(error, ProviderError) else None
    if body is None:
        return None
    try:
        value = loads(body)
    except JSONError:
        return None
    inner: Any = value.get("error") if isinstance(value, dict) else None
    if not isinstance(inner, dict) or not isinstance(inner.get("message"), str):
        return None
    if not isinstance(inner.get("code"), str) or not inner["code"]:
        inner["code"] = _UNNAMED
    return {name: value for name, value in inner.items() if value is not None or name not in _BESIDE}


def _read(detail: ErrorDetail, inner: Any) -> ErrorDetail:
    """The detail with the status that its code stands for, and the error as a body, which has more to say."""
    body = dumps({"error": {**_BESIDE, **inner}}) if isinstance(inner, dict) and inner else None
    return ErrorDetail(
        message=detail.message,
        type=detail.type,
        code=detail.code,
        param=detail.param,
        status=detail.status or _STATUSES.get(detail.code or ""),
        retry_after=detail.retry_after,
        body=body,
    )
