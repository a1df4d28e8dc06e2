"""Spans of applications that called a model, by OpenTelemetry's conventions for generative AI: each is a call.

Source: https://github.com/open-telemetry/semantic-conventions-genai as of 2026-10; the words of older instrumentations
are read as well, where only the name has changed.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

import attrs

from llmgate.catalogue import parse_target
from llmgate.spec import FinishReason, Operation, Outcome, TraceContext, Usage

from .logged_calls import LoggedCall, Told
from .told_messages import told_answer, told_request

__all__ = ["VENDORS", "Span", "call_of"]

_OPERATIONS: Final = {
    "chat": Operation.CHAT,
    "generate_content": Operation.CHAT,
    "text_completion": Operation.TEXT_COMPLETION,
    "embeddings": Operation.EMBEDDINGS,
}
"""Operations that are calls of a model. Those of agents and tools only add up what their own calls tell."""
VENDORS: Final = {
    "aws.bedrock": "bedrock",
    "aws_bedrock": "bedrock",
    "az.ai.openai": "azure",
    "azure.ai.openai": "azure",
    "azure_openai": "azure",
    "gcp.gemini": "gemini",
    "gcp.gen_ai": "gemini",
    "gcp.vertex_ai": "vertex",
    "google": "gemini",
    "mistral_ai": "mistral",
    "mistralai": "mistral",
    "vertex_ai": "vertex",
    "x_ai": "xai",
}
"""Vendors whose name in the conventions, or in older instrumentations, is not the catalogue's."""
_ENDS: Final = {
    "stop": FinishReason.STOP,
    "end_turn": FinishReason.STOP,
    "stop_sequence": FinishReason.STOP_SEQUENCE,
    "length": FinishReason.LENGTH,
    "max_tokens": FinishReason.LENGTH,
    "tool_call": FinishReason.TOOL_CALLS,
    "tool_calls": FinishReason.TOOL_CALLS,
    "tool_use": FinishReason.TOOL_CALLS,
    "content_filter": FinishReason.CONTENT_FILTER,
    "safety": FinishReason.CONTENT_FILTER,
    "refusal": FinishReason.CONTENT_FILTER,
    "error": FinishReason.ERROR,
}
_TOKENS: Final[Mapping[str, tuple[str, ...]]] = {
    "input_tokens": ("input_tokens", "prompt_tokens"),
    "output_tokens": ("output_tokens", "completion_tokens"),
    "cache_read": ("cache_read.input_tokens", "cache_read_input_tokens"),
    "cache_write_5m": (
        "cache_write.input_tokens",
        "cache_creation.input_tokens",
        "cache_creation_input_tokens",
    ),
    "reasoning": ("reasoning.output_tokens", "reasoning_tokens"),
    "audio_input": ("audio.input_tokens",),
    "audio_output": ("audio.output_tokens",),
    "image_input": ("image.input_tokens",),
    "image_output": ("image.output_tokens",),
}
"""Names behind ``gen_ai.usage.`` of the fields of ``Usage``, today's first."""
_OWN: Final = "llmgate"
"""The instrumentation scope of the gateway's own spans."""
_PROPERTY: Final = "llmgate.property."
_MOST_TOKENS: Final = 10**12
_LONGEST: Final = 4096
_OLDEST: Final = 90 * 86400
_AHEAD: Final = 300
_SECOND: Final = 10**9
_STATUS: Final = re.compile("[1-5][0-9][0-9]")
_ERROR: Final = 400


@attrs.frozen
class Span:
    """A span that tells of a model.

    Args:
        trace_id: 32 hex digits.
        span_id: 16 hex digits.
        parent_id: The span above, ``""`` for none.
        started: Nanoseconds since the epoch.
        ended: Nanoseconds since the epoch.
        attributes: What it says, by name.
        failed: Whether what it tells of has failed.
        message: Why.
        service: What the application calls itself.
        scope: What has made the span.
    """

    trace_id: str
    span_id: str
    parent_id: str
    started: int
    ended: int
    attributes: Mapping[str, Any] = attrs.field(repr=False)
    failed: bool = False
    message: str = ""
    service: str = ""
    scope: str = ""


def call_of(span: Span, now: float, here: str) -> LoggedCall | None:
    """The call that a span tells of; None where it is none of a model, or one that this gateway has recorded itself.

    Args:
        span: The span.
        now: Seconds since the epoch.
        here: The host at which the application reaches this gateway, with its port; ``""`` where nobody knows.

    Raises:
        ValueError: what it says cannot be; the message names the attribute.
    """
    said = span.attributes
    operation = _operation(said)
    if operation is None or span.scope == _OWN or _is_here(said, here):
        return None
    model = _text(said, "gen_ai.request.model") or _text(said, "gen_ai.response.model")
    if not model:
        raise ValueError("gen_ai.request.model: write the name of the model")
    started, duration = _times(span, now)
    url, provider = _provider(said)
    status, error = _end(span)
    first = said.get("gen_ai.response.time_to_first_chunk")
    told = Told(
        operation=operation,
        outcome=_outcome(said),
        stream=said.get("gen_ai.request.stream") is True or first is not None,
        error=error,
        trace=TraceContext(span.trace_id, span.span_id, span.parent_id, sampled=False),
    )
    return LoggedCall(
        url=url,
        provider=provider,
        model=model,
        request=told_request(model, said),
        status=status,
        media_type="application/json",
        response=told_answer(said),
        started_at=started,
        duration=duration,
        first_content=_seconds(first, duration),
        headers=_labels(span),
        call_id=f"{span.trace_id}:{span.span_id}",
        told=told,
    )


def _operation(said: Mapping[str, Any]) -> Operation | None:
    name = said.get("gen_ai.operation.name")
    if name is None and "gen_ai.request.model" in said:
        name = said.get("llm.request.type", "chat")  # older instrumentations know no operations
    return _OPERATIONS.get(name) if isinstance(name, str) else None


def _is_here(said: Mapping[str, Any], here: str) -> bool:
    """Whether a call went through this gateway, to the address at which the application tells of it."""
    host, port = _address(said)
    if not host or not here:
        return False
    own, _, own_port = here.lower().rpartition(":") if re.search(r":[0-9]+\Z", here) else (here.lower(), "", "")
    return host.lower().strip("[]") == own.strip("[]") and (port or own_port) == own_port


def _address(said: Mapping[str, Any]) -> tuple[str, str]:
    port = said.get("server.port")
    return _text(said, "server.address"), str(port) if type(port) is int else ""


def _provider(said: Mapping[str, Any]) -> tuple[str, str]:
    """The address of a call and the name of its provider, of which one may be empty.

    An address of a vendor's own counts before the name: an instrumentation of one vendor's library calls everybody by
    it that the library can reach.
    """
    name = (_text(said, "gen_ai.provider.name") or _text(said, "gen_ai.system")).lower()
    name = VENDORS.get(name, name)
    host, port = _address(said)
    url = f"https://{host}:{port}" if port else f"https://{host}"
    try:
        row = parse_target(url).row if host else ""
    except ValueError:
        return "", name
    if row:
        return url, ""
    return ("", name) if name or not host else (url, "")


def _times(span: Span, now: float) -> tuple[float, float]:
    """When a call began and how long it took, in seconds."""
    started = span.started / _SECOND
    if not now - _OLDEST <= started <= now + _AHEAD:
        raise ValueError("startTimeUnixNano: it is no moment of the last 90 days")
    if not 0 <= span.ended - span.started <= _OLDEST * _SECOND:
        raise ValueError("endTimeUnixNano: it is before startTimeUnixNano")
    return started, (span.ended - span.started) / _SECOND


def _seconds(value: Any, duration: float) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= duration:
        return None
    return float(value)


def _end(span: Span) -> tuple[int | None, str | None]:
    """The HTTP status of an answer, where it is known, and what went wrong."""
    said = span.attributes
    kind = _text(said, "error.type")
    status = said.get("http.response.status_code")
    if type(status) is not int or not 100 <= status <= 599:
        status = int(kind) if _STATUS.fullmatch(kind) else None
    if not (span.failed or kind or (status is not None and status >= _ERROR)):
        return status or 200, None
    known = status if status is not None and status >= _ERROR else None
    return known, (span.message or kind or "the application says that it has failed")[:_LONGEST]


def _outcome(said: Mapping[str, Any]) -> Outcome:
    ends = said.get("gen_ai.response.finish_reasons")
    end = ends[0] if isinstance(ends, list) and ends else ends
    usage = _usage(said)
    tier = _text(said, "openai.response.service_tier") or _text(said, "gen_ai.openai.response.service_tier")
    return Outcome(
        response_id=_text(said, "gen_ai.response.id") or None,
        model=_text(said, "gen_ai.response.model") or None,
        usage=usage,
        finish_reason=_ENDS.get(end.lower()) if isinstance(end, str) else None,
        content=usage is not None and bool(usage.output_tokens),
        complete=True,
        service_tier=tier or None,
    )


def _usage(said: Mapping[str, Any]) -> Usage | None:
    """What an answer took; where what was cached is not counted as input, as the conventions want it, it is added."""
    found: dict[str, Any] = {}
    for field, names in _TOKENS.items():
        for name in names:
            value = said.get(f"gen_ai.usage.{name}")
            if value is None:
                continue
            if type(value) is not int or not 0 <= value <= _MOST_TOKENS:
                raise ValueError(f"gen_ai.usage.{name}: write a whole number from 0 on")
            found[field] = value
            break
    if not found:
        return None
    cached = found.get("cache_read", 0) + found.get("cache_write_5m", 0)
    if cached > found.get("input_tokens", cached):
        found["input_tokens"] += cached
    return Usage(**found)


def _labels(span: Span) -> dict[str, str]:
    """What the application says of a call, in the words of headers."""
    said = span.attributes
    found = {
        "helicone-user-id": _text(said, "user.id") or _text(said, "enduser.id"),
        "helicone-session-id": _text(said, "session.id") or _text(said, "gen_ai.conversation.id"),
        "helicone-prompt-id": _text(said, "gen_ai.prompt.name"),
        "helicone-property-service": "" if span.service.startswith("unknown_service") else span.service[:_LONGEST],
    }
    for name in said:
        if name.startswith(_PROPERTY):
            found[f"helicone-property-{name.removeprefix(_PROPERTY).lower()}"] = _plain(said[name])
    return {name: value.encode("utf-8", "replace").decode("latin-1") for name, value in found.items() if value}


def _plain(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)[:_LONGEST] if isinstance(value, str | int | float) else ""


def _text(said: Mapping[str, Any], name: str) -> str:
    value = said.get(name)
    return value[:_LONGEST] if isinstance(value, str) else ""
