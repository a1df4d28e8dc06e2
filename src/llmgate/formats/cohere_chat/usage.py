"""Token counts as this format writes them.

Source: Cohere API reference, "Chat (v2)", ``usage``. ``tokens`` are those that the model saw and wrote,
``billed_units`` those that are paid for; counts may be written as floats.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from llmgate.formats.fields import known_count
from llmgate.formats.told_costs import cost_in
from llmgate.spec import Usage

__all__ = ["KNOWN", "decode_usage", "encode_usage"]

KNOWN: Final = frozenset({"tokens", "cached_tokens"})
"""The members that the canonical counts are taken from."""


def decode_usage(value: Any) -> Usage | None:
    """The counts; None when there are none. A count that is no count is unknown, which is not zero."""
    if not isinstance(value, Mapping):
        return None
    tokens, billed = _object(value, "tokens"), _object(value, "billed_units")
    usage = Usage(
        input_tokens=_either(tokens, billed, "input_tokens"),
        output_tokens=_either(tokens, billed, "output_tokens"),
        cache_read=_count(value.get("cached_tokens")),
    )
    return None if usage == Usage() else usage


def encode_usage(usage: Usage) -> dict[str, Any]:
    """The ``usage`` object; what is unknown is left out. What was counted is what is billed, as far as is known."""
    given = {"input_tokens": usage.input_tokens, "output_tokens": usage.output_tokens}
    counts = {name: count for name, count in given.items() if count is not None}
    value: dict[str, Any] = {"billed_units": counts, "tokens": counts} if counts else {}
    value |= cost_in(usage)
    return value if usage.cache_read is None else {**value, "cached_tokens": usage.cache_read}


def _object(value: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    inner = value.get(name)
    return inner if isinstance(inner, Mapping) else {}


def _either(tokens: Mapping[str, Any], billed: Mapping[str, Any], name: str) -> int | None:
    count = _count(tokens.get(name))
    return _count(billed.get(name)) if count is None else count


def _count(value: Any) -> int | None:
    return known_count(int(value)) if isinstance(value, float) and value.is_integer() else known_count(value)
