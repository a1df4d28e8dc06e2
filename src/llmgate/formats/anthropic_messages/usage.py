"""Token counts as this format writes them.

Source: Anthropic API reference, "Create a Message", ``usage``. ``input_tokens`` is what no cache had anything to do
with; what was read from a cache and written to one is counted beside it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from llmgate.formats.fields import known_count
from llmgate.formats.told_costs import cost_in
from llmgate.spec import Usage

__all__ = ["KNOWN", "decode_usage", "encode_usage", "service_tier"]

KNOWN: Final = frozenset(
    {
        "input_tokens",
        "output_tokens",
        "cache_read_input_tokens",
        "cache_creation_input_tokens",
        "cache_creation",
        "output_tokens_details",
    }
)
"""The members that the canonical counts are taken from."""


def decode_usage(value: Any) -> Usage | None:
    """The counts; None when there are none. A count that is no count is unknown, which is not zero."""
    if not isinstance(value, Mapping):
        return None
    uncached, read = _count(value, "input_tokens"), _count(value, "cache_read_input_tokens")
    short, long = _writes(value)
    usage = Usage(
        input_tokens=None if uncached is None else uncached + (read or 0) + (short or 0) + (long or 0),
        output_tokens=_count(value, "output_tokens"),
        cache_read=read,
        cache_write_5m=short,
        cache_write_1h=long,
        reasoning=_count(_object(value, "output_tokens_details"), "thinking_tokens"),
        web_searches=_count(_object(value, "server_tool_use"), "web_search_requests"),
    )
    return None if usage == Usage() else usage


def service_tier(value: Any) -> str | None:
    """The tier of service that a ``usage`` object names: the fast mode is one, too; None where it names none."""
    if not isinstance(value, Mapping):
        return None
    tier = "fast" if value.get("speed") == "fast" else value.get("service_tier")
    return tier if isinstance(tier, str) and tier else None


def encode_usage(usage: Usage | None) -> dict[str, Any]:
    """The ``usage`` object. Both totals are always there, since clients demand them; the rest only where known."""
    if usage is None:
        return {"input_tokens": 0, "output_tokens": 0}
    cached = (usage.cache_read or 0) + (usage.cache_write_5m or 0) + (usage.cache_write_1h or 0)
    value: dict[str, Any] = {"input_tokens": max(0, (usage.input_tokens or 0) - cached)}
    if usage.cache_write_5m is not None or usage.cache_write_1h is not None:
        value["cache_creation_input_tokens"] = (usage.cache_write_5m or 0) + (usage.cache_write_1h or 0)
    if usage.cache_read is not None:
        value["cache_read_input_tokens"] = usage.cache_read
    if usage.cache_write_1h is not None:
        short = {} if usage.cache_write_5m is None else {"ephemeral_5m_input_tokens": usage.cache_write_5m}
        value["cache_creation"] = {**short, "ephemeral_1h_input_tokens": usage.cache_write_1h}
    value["output_tokens"] = usage.output_tokens or 0
    if usage.reasoning is not None:
        value["output_tokens_details"] = {"thinking_tokens": usage.reasoning}
    return value | cost_in(usage)


def _writes(value: Mapping[str, Any]) -> tuple[int | None, int | None]:
    """Tokens written to five-minute and to one-hour caches; where only their sum is told, it is the shorter kind."""
    details = _object(value, "cache_creation")
    short, long = _count(details, "ephemeral_5m_input_tokens"), _count(details, "ephemeral_1h_input_tokens")
    total = _count(value, "cache_creation_input_tokens")
    if total is not None and total > (short or 0) + (long or 0):
        short = total - (long or 0)
    elif total == 0 and short is None and long is None:
        short = 0
    return short, long


def _object(value: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    inner = value.get(name)
    return inner if isinstance(inner, Mapping) else {}


def _count(value: Mapping[str, Any], name: str) -> int | None:
    return known_count(value.get(name))
