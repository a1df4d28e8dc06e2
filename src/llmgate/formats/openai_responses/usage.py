"""Token counts as this format writes them.

Source: OpenAI API reference, "The response object", ``usage``. Every member is demanded there, so that a count that is
not known is written as 0.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import attrs

from llmgate.formats.fields import known_count
from llmgate.formats.told_costs import cost_in
from llmgate.spec import Usage

__all__ = ["decode_usage", "encode_usage", "usage_of"]


def decode_usage(value: Any) -> Usage | None:
    """The counts; None when there are none. A count that is no count is unknown, which is not zero."""
    if not isinstance(value, dict):
        return None
    inputs, outputs = _details(value, "input_tokens_details"), _details(value, "output_tokens_details")
    usage = Usage(
        input_tokens=_count(value, "input_tokens"),
        output_tokens=_count(value, "output_tokens"),
        cache_read=_count(inputs, "cached_tokens"),
        cache_write_5m=_count(inputs, "cache_write_tokens"),
        reasoning=_count(outputs, "reasoning_tokens"),
        audio_input=_count(inputs, "audio_tokens"),
        audio_output=_count(outputs, "audio_tokens"),
    )
    return None if usage == Usage() else usage


def usage_of(response: Mapping[str, Any]) -> Usage | None:
    """What a whole response took: its counts, and the searches that it made, which are billed and in no count."""
    usage, output = decode_usage(response.get("usage")), response.get("output")
    searches = sum(map(_is_search, output)) if isinstance(output, list) else 0
    return attrs.evolve(usage, web_searches=searches) if usage is not None and searches else usage


def _is_search(item: Any) -> bool:
    """Whether an item of the output is a search of the web, not the opening of a page that was found."""
    if not isinstance(item, dict) or item.get("type") != "web_search_call":
        return False
    action = item.get("action")
    return not isinstance(action, dict) or action.get("type", "search") == "search"


def encode_usage(usage: Usage | None) -> dict[str, Any] | None:
    """The ``usage`` object, None where nothing is known. Both kinds of cache writes are one count here."""
    if usage is None:
        return None
    given, written = usage.input_tokens or 0, usage.output_tokens or 0
    inputs = {
        "cached_tokens": usage.cache_read or 0,
        "cache_write_tokens": (usage.cache_write_5m or 0) + (usage.cache_write_1h or 0),
    }
    outputs = {"reasoning_tokens": usage.reasoning or 0}
    if usage.audio_input is not None:
        inputs["audio_tokens"] = usage.audio_input
    if usage.audio_output is not None:
        outputs["audio_tokens"] = usage.audio_output
    return {
        "input_tokens": given,
        "input_tokens_details": inputs,
        "output_tokens": written,
        "output_tokens_details": outputs,
        "total_tokens": given + written,
        **cost_in(usage),
    }


def _details(value: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    details = value.get(name)
    return details if isinstance(details, dict) else {}


def _count(value: Mapping[str, Any], name: str) -> int | None:
    return known_count(value.get(name))
