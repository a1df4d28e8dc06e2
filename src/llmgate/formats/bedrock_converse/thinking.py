"""How much a model is to reason: one word in the canonical request, and each maker's own fields here.

Sources: Amazon Bedrock user guide, "Extended thinking", "Adaptive thinking" (Claude); Amazon Nova 2 user guide,
"Extended thinking"; Amazon Bedrock user guide, "OpenAI models". What the format has no field for stands in
``additionalModelRequestFields``, which go to the model as they are.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from llmgate.formats.anthropic_messages.thinking import decode_effort as decode_claude, encode_effort as encode_claude
from llmgate.formats.efforts import EFFORTS, effort_above, effort_below
from llmgate.spec import ModelFacts

from .makers import AMAZON, ANTHROPIC, OPENAI, maker_of

__all__ = ["NOVA_EFFORTS", "REASONING_FIELDS", "decode_effort", "encode_effort", "takes_effort"]

REASONING_FIELDS: Final = frozenset(
    {"thinking", "reasoning_config", "output_config", "reasoningConfig", "reasoning_effort", "reasoning"}
)
"""The members of ``additionalModelRequestFields`` in which makers say how much is to be reasoned."""

NOVA_EFFORTS: Final = ("low", "medium", "high")
_FLAT: Final = ("gpt-oss", "kimi")
"""Models that take ``reasoning_effort`` as OpenAI's chat format writes it; newer ones take it nested."""


def decode_effort(fields: Mapping[str, Any], effort: Any) -> str | None:
    """The canonical effort that a request asks for; None where it asks for none.

    Args:
        fields: ``additionalModelRequestFields``.
        effort: ``outputConfig.effort``.
    """
    nova = fields.get("reasoningConfig")
    if isinstance(nova, Mapping):
        return "none" if nova.get("type") == "disabled" else _word(nova.get("maxReasoningEffort"))
    nested = fields.get("reasoning")
    openai = fields.get("reasoning_effort") or (nested.get("effort") if isinstance(nested, Mapping) else None)
    if openai is not None:
        return _word(openai)
    config = fields.get("output_config")
    config = config if isinstance(config, Mapping) else {}
    return decode_claude(fields.get("thinking", fields.get("reasoning_config")), {"effort": effort, **config})


def encode_effort(effort: str, model: str, facts: ModelFacts, max_tokens: int) -> dict[str, Any]:
    """The members of ``additionalModelRequestFields`` for an effort; none for a model that takes none.

    Args:
        effort: The canonical effort.
        model: The model's id.
        facts: What is known of it.
        max_tokens: The bound of the whole output; a budget of thought must stay below it.
    """
    maker = maker_of(model)
    if maker == ANTHROPIC:
        asked, word = encode_claude(effort, facts, max_tokens)
        value = {} if asked is None else {"thinking": asked}
        return value if word is None else {**value, "output_config": {"effort": word}}
    if maker == AMAZON:
        if effort == "none":
            return {"reasoningConfig": {"type": "disabled"}}
        return {"reasoningConfig": {"type": "enabled", "maxReasoningEffort": effort_below(effort, NOVA_EFFORTS)}}
    if any(name in model for name in _FLAT):
        return {} if effort == "none" else {"reasoning_effort": effort_below(effort, NOVA_EFFORTS)}
    if maker == OPENAI:
        word = effort if facts.efforts is None else effort_above(effort, facts.efforts)
        return {} if word is None else {"reasoning": {"effort": word}}
    return {}


def takes_effort(model: str, facts: ModelFacts) -> bool:
    """Whether it can be said to a model how much it is to reason."""
    maker = maker_of(model)
    if maker == AMAZON:
        return "nova" in model and facts.thinking == "level"
    return maker in (ANTHROPIC, OPENAI) or any(name in model for name in _FLAT)


def _word(value: Any) -> str | None:
    return value if isinstance(value, str) and value in EFFORTS else None
