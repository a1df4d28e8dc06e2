"""What an error answer of a provider means for the gateway: which error it is, and how much of it may be shown."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from llmgate.codecs.jsons import JSONError, dumps, loads
from llmgate.spec import (
    AttemptCall,
    ErrorDetail,
    Format,
    ProviderAuthenticationError,
    ProviderError,
    ProviderProtocolError,
    ProviderRateLimitError,
    ProviderResponse,
    ProviderTimeoutError,
)

from .requests import origin_of
from .waits import wait_asked_for

__all__ = ["NOT_AT_THE_SAME_PLACE", "error_inside_success", "parse_error", "shown_headers"]

NOT_AT_THE_SAME_PLACE: Final = frozenset({"insufficient_quota", "model_not_found", "provider_authentication_failed"})
"""Codes of errors that are retryable elsewhere only: the same provider would say the same again."""

_RETRYABLE: Final = frozenset({402, 404, 408, 409, 425, 429, 498})
"""Statuses below 500 after which another attempt may succeed; 402 and 404 at another provider only."""

_TIMEOUTS: Final = frozenset({408, 504, 524})
_CREDENTIAL_CODES: Final = frozenset({"API_KEY_INVALID", "invalid_api_key"})
"""Codes by which some vendors refuse a credential with 400."""

_QUOTA_CODES: Final = frozenset({"insufficient_quota", "billing_hard_limit_reached", "billing_not_active"})
_PHRASES: Final[Mapping[int, str]] = {
    400: "bad request", 401: "unauthorized", 402: "payment required", 403: "forbidden", 404: "not found",
    405: "method not allowed", 408: "request timeout", 409: "conflict", 410: "gone", 413: "content too large",
    415: "unsupported media type", 422: "unprocessable content", 424: "failed dependency", 425: "too early",
    429: "too many requests", 500: "internal server error", 501: "not implemented", 502: "bad gateway",
    503: "service unavailable", 504: "gateway timeout",
}  # fmt: skip
"""What statuses are called (RFC 9110, section 15)."""

_CODE: Final = re.compile(r"[A-Za-z0-9_.\-]{1,64}")
_CONTROL: Final = re.compile(r"[\s\x00-\x1f\x7f-\x9f\u2028\u2029]+")
_EXCERPT: Final = 300
_LARGEST_BODY: Final = 64 * 1024


def parse_error(call: AttemptCall, response: ProviderResponse) -> ProviderError:
    """The error behind an answer that is no success, whatever its body is."""
    status = response.status
    name = call.deployment.provider_name
    if not 400 <= status <= 599:
        return ProviderProtocolError(
            f"provider {name!r} answered {status}, which is neither a success nor an error"
            + (": redirects are not followed, correct its base-url" if 300 <= status < 400 else ""),
            provider_name=name,
            upstream_status=status,
            retryable=True,
        )
    detail = call.format.decode_error(status, response.headers, response.body)
    return _error(call, status, detail, response)


def error_inside_success(call: AttemptCall, detail: ErrorDetail, response: ProviderResponse) -> ProviderError:
    """The error that came with a success status."""
    return _error(call, detail.status or 502, detail, response)


def shown_headers(wire_format: Format, headers: Mapping[str, str]) -> dict[str, str]:
    """The response headers that the wire format lets through to the client."""
    return {name: value for name, value in headers.items() if wire_format.allows_down(name)}


def _error(call: AttemptCall, status: int, detail: ErrorDetail | None, response: ProviderResponse) -> ProviderError:
    name = call.deployment.provider_name
    code = detail.code if detail else None
    own = call.secret is not None and call.secret.callers
    if not own and (status in (401, 403) or code in _CREDENTIAL_CODES):
        return ProviderAuthenticationError(
            f"provider {name!r} refuses the credential of the gateway: the operator must check it",
            provider_name=name,
            upstream_status=status,
            retryable=True,
        )
    kind = ProviderRateLimitError if status == 429 else ProviderTimeoutError if status in _TIMEOUTS else ProviderError
    return kind(
        f"provider {name!r} answered {status}: {_excerpt(call, status, detail, response)}",
        provider_name=name,
        upstream_status=status,
        body=_shown_body(call, response.body) if detail else None,
        headers=shown_headers(call.format, response.headers),
        retryable=status >= 500 or status in _RETRYABLE,
        code=_code(call, status, detail),
        param=_clean(call, detail.param)[:_EXCERPT] if detail and detail.param else None,
        retry_after=wait_asked_for(response.headers, detail, call.now, status),
    )


def _code(call: AttemptCall, status: int, detail: ErrorDetail | None) -> str | None:
    """A stable word for programs; None for the class's own, also where the provider's holds the credential."""
    said = detail.code if detail else None
    kind = detail.type if detail else None
    if status == 402 or said in _QUOTA_CODES or kind in _QUOTA_CODES:
        return "insufficient_quota"
    if status == 404:
        return "model_not_found"
    if status == 429 or said is None or not _CODE.fullmatch(said) or said.isdigit() or _clean(call, said) != said:
        return None
    return None if said in NOT_AT_THE_SAME_PLACE else said


def _excerpt(call: AttemptCall, status: int, detail: ErrorDetail | None, response: ProviderResponse) -> str:
    """The provider's words in short, or what kind of answer it was where there are none to show."""
    kind = response.headers.get("content-type", "").partition(";")[0].strip().lower()
    text = ""
    if detail is not None:
        text = _clean(call, detail.message)
    elif kind == "text/plain":
        text = _clean(call, response.body[:_LARGEST_BODY].decode("utf-8", "replace"))
    if text:
        return text if len(text) <= _EXCERPT else text[: _EXCERPT - 1] + "…"
    body = "a body that is no JSON error" if response.body else "an empty body"
    return f"{_PHRASES.get(status, 'no known status')}, with {body}"


def _clean(call: AttemptCall, text: str) -> str:
    """Text of the provider on one line, without the credential and without the address that it is reached by."""
    if call.secret is not None and call.secret.reveal():
        text = text.replace(call.secret.reveal(), "***")
    provider = call.deployment.provider
    for address in (provider.base_url, origin_of(provider.base_url)):
        text = text.replace(address, f"<{provider.name}>")
    return _CONTROL.sub(" ", text).strip()


def _shown_body(call: AttemptCall, body: bytes) -> bytes | None:
    """The provider's own error body where it can be shown: JSON, of moderate size, with nothing of ours in it."""
    if len(body) > _LARGEST_BODY:
        return None
    try:
        plain = dumps(loads(body))  # escapes undone, so that nothing hides behind them
    except JSONError:
        return None
    hidden = [origin_of(call.deployment.provider.base_url)]
    if call.secret is not None and call.secret.reveal() and not call.secret.callers:
        hidden.append(call.secret.reveal())
    return None if any(dumps(text)[1:-1] in plain or text.encode() in body for text in hidden) else body
