"""A record in Helicone's words.

Source: Helicone, "Manual Logger - cURL" (``HeliconeAsyncLogRequest``) and "Header Directory".
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

from llmgate.spec import Content, Record, Usage

__all__ = ["log_request"]

_NO_PATH: Final = "custom-model-nopath"
"""What Helicone wants as the address of a request that it shall take as it is told."""
_OURS: Final = "llmgate"


def log_request(record: Record) -> Mapping[str, Any]:
    """The body of a call of Helicone's log endpoint.

    Args:
        record: The record; what it does not hold of request and answer is left out, but for model and tokens.
    """
    content = record.content
    ended = record.started_at + record.duration
    timing: dict[str, Any] = {"startTime": _moment(record.started_at), "endTime": _moment(ended)}
    if record.first_content is not None:
        timing["timeToFirstToken"] = round(record.first_content * 1000)
    return {
        "providerRequest": {
            "url": _NO_PATH,
            "json": {**_told(content.request if content else None), "model": record.request_model or "unknown"},
            "meta": _meta(record),
        },
        "providerResponse": {
            "status": record.status or 0,
            "headers": {},
            "json": _answer(record, _told(content.response if content else None)),
        },
        "timing": timing,
    }


def _answer(record: Record, told: Mapping[str, Any]) -> Mapping[str, Any]:
    answer = {**told}
    if record.response_model is not None:
        answer.setdefault("model", record.response_model)
    if record.usage is not None and not isinstance(answer.get("usage"), dict):
        answer["usage"] = _usage(record.usage)
    if record.error_code is not None:
        answer.setdefault("error", {"code": record.error_code, "message": record.error_message or ""})
    return answer


def _usage(usage: Usage) -> Mapping[str, Any]:
    """Tokens as OpenAI counts them, which Helicone reads of any model; what is unknown is left out."""
    counts = {
        "prompt_tokens": usage.input_tokens,
        "completion_tokens": usage.output_tokens,
        "total_tokens": None
        if usage.input_tokens is None or usage.output_tokens is None
        else usage.input_tokens + usage.output_tokens,
    }
    told: dict[str, Any] = {name: count for name, count in counts.items() if count is not None}
    if usage.cache_read:
        told["prompt_tokens_details"] = {"cached_tokens": usage.cache_read}
    if usage.reasoning:
        told["completion_tokens_details"] = {"reasoning_tokens": usage.reasoning}
    return told


def _meta(record: Record) -> Mapping[str, str]:
    named = {
        "Helicone-Request-Id": record.id,
        "Helicone-User-Id": record.user or record.principal,
        "Helicone-Session-Id": record.session_id,
        "Helicone-Session-Path": record.session_path,
        "Helicone-Session-Name": record.session_name,
        "Helicone-Prompt-Id": record.prompt_id,
    }
    properties = {
        f"{_OURS}-router": record.router,
        f"{_OURS}-provider": record.provider_name,
        f"{_OURS}-outcome": record.outcome,
        f"{_OURS}-cost-usd": record.cost_usd,
        f"{_OURS}-team": record.team,
        f"{_OURS}-cache": record.cache,
        **record.properties,
    }
    meta = {name: value for name, value in named.items() if value}
    return meta | {f"Helicone-Property-{name}": value for name, value in properties.items() if value}


def _told(content: Content | None) -> Mapping[str, Any]:
    """What is kept of a body, as Helicone wants it: an object."""
    if content is None or content.text is None:
        return {}
    if not content.truncated:
        try:
            value = json.loads(content.text)
        except (ValueError, RecursionError):
            value = None
        if isinstance(value, dict):
            return value
    return {"text": content.text, "truncated": content.truncated}


def _moment(seconds: float) -> Mapping[str, int]:
    milliseconds = round(seconds * 1000)
    return {"seconds": milliseconds // 1000, "milliseconds": milliseconds % 1000}
