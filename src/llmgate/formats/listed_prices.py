"""What providers say in the lists of their models that these cost.

Sources: OpenRouter API reference, "List models" (``pricing``: USD for a token or a unit, as text); Together API
reference, "List all models" (``pricing``: USD for a million tokens); DeepInfra, ``/v1/openai/models``
(``metadata.pricing``: USD for a million tokens). Other vendors tell none. A price of 0 is taken as said only where a
model is called free.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal, InvalidOperation
from typing import Any, Final

from llmgate.spec import Rates

__all__ = ["listed_rates"]

_PICO: Final = 10**12
_MILLION: Final = 10**6
_MOST: Final = Decimal(1000)
"""USD for a token or a unit; more is a mistake."""
_BY_THE_TOKEN: Final[Mapping[str, str]] = {
    "prompt": "input",
    "completion": "output",
    "input_cache_read": "cache_read",
    "input_cache_write": "cache_write",
    "internal_reasoning": "reasoning",
    "audio": "audio_input",
    "web_search": "web_search",
    "request": "request",
}
_BY_THE_MILLION: Final[Mapping[str, str]] = {
    "input": "input",
    "output": "output",
    "cached_input": "cache_read",
    "input_tokens": "input",
    "output_tokens": "output",
    "cache_read_tokens": "cache_read",
}


def listed_rates(entry: Mapping[str, Any]) -> Rates | None:
    """What a model costs by the entry of its provider's list; None where that does not say.

    Args:
        entry: The entry.
    """
    pricing = entry.get("pricing")
    if isinstance(pricing, dict) and "prompt" in pricing and "completion" in pricing:
        return _rates(pricing, _BY_THE_TOKEN, 1, free=str(entry.get("id", "")).endswith(":free"))
    if isinstance(pricing, dict) and "hourly" in pricing:
        return _rates(pricing, _BY_THE_MILLION, _MILLION)
    metadata = entry.get("metadata")
    pricing = metadata.get("pricing") if isinstance(metadata, dict) else None
    if isinstance(pricing, dict) and "input_tokens" in pricing:
        return _rates(pricing, _BY_THE_MILLION, _MILLION)
    return None


def _rates(pricing: Mapping[str, Any], names: Mapping[str, str], unit: int, *, free: bool = False) -> Rates | None:
    found: dict[str, int] = {}
    for name, rate in names.items():
        value = pricing.get(name)
        if value is None:
            continue
        pico = _pico(value, unit)
        if pico is None:
            return None  # such as -1, for what depends on which model is taken
        if pico or rate in ("input", "output"):
            found[rate] = pico
    if "input" not in found or not (free or any(found.values())):
        return None
    return Rates(**found)


def _pico(value: object, unit: int) -> int | None:
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return None
    try:
        usd = Decimal(str(value)) / unit
    except InvalidOperation:
        return None
    return int((usd * _PICO).to_integral_value()) if usd.is_finite() and 0 <= usd <= _MOST else None
