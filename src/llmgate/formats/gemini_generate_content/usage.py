"""Token counts as this format writes them.

Source: Gemini API reference, "UsageMetadata". Thoughts are counted beside the candidates, save by servers whose total
shows that they are inside; a count of zero is left out, as protocol buffers do.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from llmgate.formats.fields import known_count
from llmgate.formats.told_costs import cost_in
from llmgate.spec import Usage

from .keys import camel

__all__ = ["decode_usage", "encode_usage", "service_tier"]

_NOTHING: Final = Usage()


def decode_usage(value: Any) -> Usage | None:
    """The counts; None when there are none. A count that is no count is unknown, which is not zero."""
    if not isinstance(value, Mapping):
        return None
    if any("_" in name for name in value):
        value = {camel(name): one for name, one in value.items()}
    prompt, results = _count(value, "promptTokenCount"), _count(value, "toolUsePromptTokenCount")
    answers, thoughts = _count(value, "candidatesTokenCount"), _count(value, "thoughtsTokenCount")
    total = _count(value, "totalTokenCount")
    given = None if prompt is None and results is None else (prompt or 0) + (results or 0)
    usage = Usage(
        input_tokens=given,
        output_tokens=_output(given, answers, thoughts, total),
        cache_read=_count(value, "cachedContentTokenCount"),
        reasoning=thoughts,
        audio_input=_of("AUDIO", value.get("promptTokensDetails")),
        audio_output=_of("AUDIO", value.get("candidatesTokensDetails")),
        image_input=_of("IMAGE", value.get("promptTokensDetails")),
        image_output=_of("IMAGE", value.get("candidatesTokensDetails")),
        cache_read_audio=_of("AUDIO", value.get("cacheTokensDetails")),
        cache_read_image=_of("IMAGE", value.get("cacheTokensDetails")),
    )
    return None if usage == _NOTHING else usage


def service_tier(value: Any) -> str | None:
    """The tier of service that a ``usageMetadata`` names, in either of Google's two ways; None where it names none."""
    if not isinstance(value, Mapping):
        return None
    named = map(value.get, ("serviceTier", "service_tier", "trafficType", "traffic_type"))
    tier = next((one for one in named if isinstance(one, str) and one), None)
    return None if tier is None else tier.lower().removeprefix("on_demand_")


def encode_usage(usage: Usage) -> dict[str, Any]:
    """The ``usageMetadata``; what is unknown is left out."""
    answers = usage.output_tokens
    if answers is not None and usage.reasoning is not None:
        answers = max(0, answers - usage.reasoning)
    counts = {
        "promptTokenCount": usage.input_tokens,
        "candidatesTokenCount": answers,
        "totalTokenCount": usage.total_tokens,
        "cachedContentTokenCount": usage.cache_read,
        "thoughtsTokenCount": usage.reasoning,
    }
    value: dict[str, Any] = {name: count for name, count in counts.items() if count is not None}
    for name, count in (("promptTokensDetails", usage.audio_input), ("candidatesTokensDetails", usage.audio_output)):
        if count is not None:
            value[name] = [{"modality": "AUDIO", "tokenCount": count}]
    return value | cost_in(usage, "costUsd")


def _output(given: int | None, answers: int | None, thoughts: int | None, total: int | None) -> int | None:
    if answers is None and thoughts is None:
        return None if total is None or given is None else max(0, total - given)
    if thoughts and total is not None and given is not None and answers is not None and given + answers == total:
        return answers  # the thoughts are inside
    return (answers or 0) + (thoughts or 0)


def _of(modality: str, details: Any) -> int | None:
    for one in details if isinstance(details, list) else ():
        if isinstance(one, Mapping) and one.get("modality") == modality:
            return _count(one, "tokenCount") if "tokenCount" in one else _count(one, "token_count")
    return None


def _count(value: Mapping[str, Any], name: str) -> int | None:
    return known_count(value.get(name))
