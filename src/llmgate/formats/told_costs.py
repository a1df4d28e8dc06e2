"""What an answer cost, told inside it: a member beside the counts, which no vendor has and clients pass over."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from llmgate.codecs.eventstream import decode_message, encode_message
from llmgate.codecs.jsons import JSONError, top
from llmgate.codecs.sse import encode_event, event_data, event_name
from llmgate.spec import Usage, usd

__all__ = ["cost_in", "told_in"]

_PLACES: Final = (("usage", ""), ("usageMetadata", ""), ("response", "usage"), ("delta", "usage"))
"""Where the last counts of a stream stand in its events: a member, or a member of one."""

_CAMEL: Final = frozenset({"promptTokenCount", "totalTokenCount", "inputTokens", "outputTokens"})


def cost_in(usage: Usage, name: str = "cost_usd") -> dict[str, str]:
    """The member of a ``usage`` object that tells what it cost, in USD as text; none where it is not to be told.

    Args:
        usage: The usage.
        name: What the member is called, as the wire format spells names.
    """
    return {} if usage.cost_nano is None else {name: usd(usage.cost_nano)}


def told_in(event: bytes, nano: int) -> bytes | None:
    """An event as it came, with a cost beside its counts; as it came where it has none at their last place.

    Args:
        event: The event: server-sent, a line of JSON, or a message of Amazon's event stream.
        nano: The cost, in nano-USD.

    Returns:
        None where it holds no JSON object.
    """
    try:
        if event.startswith(b"{"):
            return _patched(event.rstrip(b"\r\n"), nano) + b"\n"
        if event.startswith(b"\0"):
            message = decode_message(event)
            return encode_message(message.headers, _patched(message.payload, nano))
        data = event_data(event)
        if data is None:
            return None
        told = _patched(data, nano)
    except (JSONError, ValueError):
        return None
    return event if told is data else encode_event(told, event_name(event))


def _patched(data: bytes, nano: int) -> bytes:
    """The JSON object with a cost in it; the very same bytes where it has no counts."""
    value = top(data)
    if "eval_count" in value.values():
        return value.patched({"cost_usd": usd(nano)})
    for name, inner in _PLACES:
        found = value.get(name)
        if isinstance(found, Mapping) and (not inner or isinstance(found.get(inner), Mapping)):
            return value.patched({name: _with_cost(found, inner, nano)})
    return data


def _with_cost(found: Mapping[str, Any], inner: str, nano: int) -> dict[str, Any]:
    if inner:
        return {**found, inner: _with_cost(found[inner], "", nano)}
    return {**found, "cost_usd" if _CAMEL.isdisjoint(found) else "costUsd": usd(nano)}
