"""Token counts as this format writes them.

Source: Amazon Bedrock API reference, ``TokenUsage``: ``inputTokens`` is what no cache had anything to do with; what was
read from a cache and written to one is counted beside it, and ``cacheDetails`` says for how long it was written.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from llmgate.formats.fields import known_count
from llmgate.formats.told_costs import cost_in
from llmgate.spec import Usage

__all__ = ["KNOWN", "decode_usage", "encode_usage", "service_tier"]

KNOWN: Final = frozenset(
    {"inputTokens", "outputTokens", "totalTokens", "cacheReadInputTokens", "cacheWriteInputTokens", "cacheDetails"}
    | {"cacheReadInputTokenCount", "cacheWriteInputTokenCount", "serverToolUsage"}
)
"""The members that the canonical counts are taken from, and older spellings that repeat them."""


def decode_usage(value: Any) -> Usage | None:
    """The counts; None when there are none. A count that is no count is unknown, which is not zero."""
    if not isinstance(value, Mapping):
        return None
    uncached, read = _count(value, "inputTokens"), _count(value, "cacheReadInputTokens")
    short, long = _writes(value)
    usage = Usage(
        input_tokens=None if uncached is None else uncached + (read or 0) + (short or 0) + (long or 0),
        output_tokens=_count(value, "outputTokens"),
        cache_read=read,
        cache_write_5m=short,
        cache_write_1h=long,
    )
    return None if usage == Usage() else usage


def service_tier(value: Any) -> str | None:
    """The tier of service that an answer's ``serviceTier`` names; None where it names none."""
    tier = value.get("type") if isinstance(value, Mapping) else None
    return tier if isinstance(tier, str) and tier else None


def encode_usage(usage: Usage | None) -> dict[str, Any]:
    """The ``usage`` object. The totals are always there, since clients demand them; the rest only where known."""
    if usage is None:
        return {"inputTokens": 0, "outputTokens": 0, "totalTokens": 0}
    short, long = usage.cache_write_5m, usage.cache_write_1h
    cached = (usage.cache_read or 0) + (short or 0) + (long or 0)
    uncached = max(0, (usage.input_tokens or 0) - cached)
    output = usage.output_tokens or 0
    value: dict[str, Any] = {
        "inputTokens": uncached,
        "outputTokens": output,
        "totalTokens": uncached + cached + output,
    }
    if usage.cache_read is not None:
        value["cacheReadInputTokens"] = usage.cache_read
    if short is not None or long is not None:
        value["cacheWriteInputTokens"] = (short or 0) + (long or 0)
    if long is not None:
        value["cacheDetails"] = [
            {"ttl": ttl, "inputTokens": count} for ttl, count in (("1h", long), ("5m", short)) if count is not None
        ]
    return value | cost_in(usage, "costUsd")


def _writes(value: Mapping[str, Any]) -> tuple[int | None, int | None]:
    """Tokens written to five-minute and to one-hour caches; where only their sum is told, it is the shorter kind."""
    counts: dict[str, int] = {}
    details = value.get("cacheDetails")
    for one in details if isinstance(details, list) else ():
        count = _count(one, "inputTokens") if isinstance(one, Mapping) else None
        if count is not None and isinstance(one.get("ttl"), str):
            counts[one["ttl"]] = counts.get(one["ttl"], 0) + count
    short, long = counts.get("5m"), counts.get("1h")
    total = _count(value, "cacheWriteInputTokens")
    if total is not None and (total > (short or 0) + (long or 0) or (short is None and long is None)):
        short = total - (long or 0)
    return short, long


def _count(value: Mapping[str, Any], name: str) -> int | None:
    return known_count(value.get(name))
