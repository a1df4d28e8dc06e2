"""Token counts as this format writes them.

Source: Ollama, api/types.go, ``Metrics``: both counts are left out where they are zero, the first also where the whole
prompt was still in memory. So what is not there is unknown.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from llmgate.formats.fields import known_count
from llmgate.formats.told_costs import cost_in
from llmgate.spec import Usage

__all__ = ["decode_usage", "encode_usage"]


def decode_usage(value: Mapping[str, Any]) -> Usage | None:
    """The counts that an answer carries; None when it carries none."""
    usage = Usage(input_tokens=_count(value, "prompt_eval_count"), output_tokens=_count(value, "eval_count"))
    return None if usage == Usage() else usage


def encode_usage(usage: Usage | None) -> dict[str, Any]:
    """The members of an answer that carry its usage; what is unknown is left out."""
    if usage is None:
        return {}
    counts = {"prompt_eval_count": usage.input_tokens, "eval_count": usage.output_tokens}
    return {name: count for name, count in counts.items() if count is not None} | cost_in(usage)


def _count(value: Mapping[str, Any], name: str) -> int | None:
    return known_count(value.get(name))
