"""``additionalModelRequestFields``: what goes to the model itself, in the words of its maker.

Source: Amazon Bedrock user guide, "Inference request parameters and response fields for foundation models".
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import attrs

from llmgate.formats.fields import rest
from llmgate.spec import ChatRequest, ModelFacts

from .makers import AMAZON, maker_of
from .thinking import REASONING_FIELDS, decode_effort, encode_effort

__all__ = ["Additional", "decode_additional", "encode_additional"]

_DEFAULT_MAX_TOKENS: Final = 32_000
_SINGLE: Final = "disable_parallel_tool_use"


@attrs.frozen
class Additional:
    """What the fields say.

    Args:
        effort: How much is to be reasoned.
        thinking: Claude's own field for it, which says more than an effort.
        top_k: Sampling from the k likeliest.
        parallel: Whether several tools may be called at once.
        rest: What has no canonical counterpart.
    """

    effort: str | None
    thinking: Mapping[str, Any] | None
    top_k: int | None
    parallel: bool | None
    rest: Mapping[str, Any]


def decode_additional(fields: Mapping[str, Any], effort: Any) -> Additional:
    """What the fields say.

    Args:
        fields: The fields.
        effort: ``outputConfig.effort``, which says the same as some of them.
    """
    kept = dict(fields)
    asked = decode_effort(fields, effort)
    thinking = fields.get("thinking")
    if asked is not None:
        kept = rest(kept, REASONING_FIELDS)
        config = fields.get("output_config")
        more = rest(config, frozenset({"effort"})) if isinstance(config, Mapping) else {}
        kept |= {"output_config": more} if more else {}
    top_k, parallel = None, None
    if _is_count(kept.get("top_k")):
        top_k = kept.pop("top_k")
    match kept.get("inferenceConfig"):
        case {"topK": int(count), **nested} if top_k is None and _is_count(count):
            top_k = count
            kept = rest(kept, frozenset({"inferenceConfig"})) | ({"inferenceConfig": dict(nested)} if nested else {})
        case _:
            pass
    match kept.get("tool_choice"):
        case {"type": "auto", "disable_parallel_tool_use": bool(single), **others} if not others:
            parallel = not single
            del kept["tool_choice"]
        case _:
            pass
    said = thinking if asked is not None and isinstance(thinking, Mapping) else None
    return Additional(asked, said, top_k, parallel, kept)


def encode_additional(request: ChatRequest, facts: ModelFacts, *, own: bool) -> tuple[dict[str, Any], str | None]:
    """The fields, and ``outputConfig.effort`` where an effort has no place among them.

    Args:
        request: What is asked.
        facts: What is known of the model.
        own: Whether the request came in this format, so that its model is known to take what it says.
    """
    value: dict[str, Any] = {}
    if request.top_k is not None:
        nova = maker_of(request.model) == AMAZON
        value |= {"inferenceConfig": {"topK": request.top_k}} if nova else {"top_k": request.top_k}
    if request.parallel_tool_calls is not None:
        value["tool_choice"] = {"type": "auto", _SINGLE: not request.parallel_tool_calls}
    effort = request.reasoning_effort
    kept = _kept_thinking(request.extra.get("thinking"), effort)
    if kept is not None:
        return {**value, **kept}, None
    if effort is None:
        return value, None
    asked = encode_effort(effort, request.model, facts, request.max_output_tokens or _DEFAULT_MAX_TOKENS)
    return {**value, **asked}, effort if own and not asked else None


def _kept_thinking(thinking: Any, effort: str | None) -> dict[str, Any] | None:
    """``thinking`` as it came while it still says the same, with the effort where that says more; None for anew."""
    if not isinstance(thinking, Mapping):
        return None
    plain: dict[str, Any] = {"thinking": dict(thinking)}
    for value in (plain, {**plain, "output_config": {"effort": effort}}):
        if decode_effort(value, None) == effort:
            return value
    return None


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)
