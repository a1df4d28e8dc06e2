"""Token counts as this format writes them.

Source: OpenAI API reference, "The chat completion object", ``usage``; ``prompt_cache_hit_tokens`` is DeepSeek's and
``cached_tokens`` at the top Moonshot's. Perplexity counts the searches that it bills in ``num_search_queries``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from llmgate.formats.fields import known_count
from llmgate.formats.told_costs import cost_in
from llmgate.spec import Usage

__all__ = ["decode_usage", "encode_usage", "service_tier"]

_NOTHING: Final = Usage()


def decode_usage(value: Any) -> Usage | None:
    """The counts; None when there are none. A count that is no count is unknown, which is not zero."""
    if not isinstance(value, dict) or not value:
        return None
    prompt = _details(value, "prompt_tokens_details")
    completion = _details(value, "completion_tokens_details")
    cached = (prompt.get("cached_tokens"), value.get("prompt_cache_hit_tokens"), value.get("cached_tokens"))
    usage = Usage(
        input_tokens=known_count(value.get("prompt_tokens")),
        output_tokens=known_count(value.get("completion_tokens")),
        cache_read=next(filter(_is_count, cached), None),
        cache_write_5m=known_count(prompt.get("cache_write_tokens")),
        reasoning=known_count(completion.get("reasoning_tokens")),
        audio_input=known_count(prompt.get("audio_tokens")),
        audio_output=known_count(completion.get("audio_tokens")),
        web_searches=known_count(value.get("num_search_queries")),
    )
    return None if usage == _NOTHING else usage


def service_tier(value: Any) -> str | None:
    """The tier of service that an answer names; None where it names none."""
    return value if isinstance(value, str) and value else None


def encode_usage(usage: Usage) -> dict[str, Any]:
    """The ``usage`` object; what is unknown is left out. Both kinds of cache writes are one count here."""
    writes = [count for count in (usage.cache_write_5m, usage.cache_write_1h) if count is not None]
    value: dict[str, Any] = _known(
        prompt_tokens=usage.input_tokens, completion_tokens=usage.output_tokens, total_tokens=usage.total_tokens
    )
    prompt = _known(
        cached_tokens=usage.cache_read,
        cache_write_tokens=sum(writes) if writes else None,
        audio_tokens=usage.audio_input,
    )
    completion = _known(reasoning_tokens=usage.reasoning, audio_tokens=usage.audio_output)
    if prompt:
        value["prompt_tokens_details"] = prompt
    if completion:
        value["completion_tokens_details"] = completion
    return value | cost_in(usage)


def _details(value: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    details = value.get(name)
    return details if isinstance(details, dict) else {}


def _is_count(value: Any) -> bool:
    return known_count(value) is not None


def _known(**counts: int | None) -> dict[str, Any]:
    return {name: count for name, count in counts.items() if count is not None}
