from __future__ import annotations

import pytest

from llmgate.formats.anthropic_messages.models import DEFAULT_MAX_TOKENS, facts_of
from llmgate.formats.openai_chat.models import facts_of as openai_facts, nearest_effort


@pytest.mark.parametrize(
    ("model", "thinking", "sampling"),
    [
        ("claude-haiku-4-5", "budget", True),
        ("claude-sonnet-4-5-20250929", "budget", True),
        ("us.anthropic.claude-sonnet-4-5-20250929-v1:0", "budget", True),
        ("claude-opus-4-6@20260205", "adaptive", True),
        ("claude-opus-4-8", "adaptive", False),
        ("anthropic/claude-opus-4.8", "adaptive", False),
        ("claude-sonnet-5-5", "always", False),
        ("claude-fable-5-2", "always", False),
        ("claude-never-heard-9", "always", False),
        ("kimi-k3", "budget", True),
    ],
)
def test_facts_by_name(model, thinking, sampling):
    facts = facts_of(model)
    assert (facts.thinking, facts.sampling) == (thinking, sampling)
    assert facts.max_output is None or facts.max_output >= DEFAULT_MAX_TOKENS


@pytest.mark.parametrize(
    ("model", "efforts"),
    [
        ("gpt-4o", ()),
        ("openai/gpt-4.1-mini", ()),
        ("o4-mini", ("low", "medium", "high")),
        ("gpt-5", ("minimal", "low", "medium", "high")),
        ("gpt-5-mini", ("minimal", "low", "medium", "high")),
        ("gpt-5.1", ("none", "low", "medium", "high")),
        ("gpt-5.6-sol", ("none", "low", "medium", "high", "xhigh")),
        ("llama-4", None),
    ],
)
def test_efforts_of_openais_models(model, efforts):
    assert openai_facts(model).efforts == efforts


def test_the_nearest_effort():
    assert nearest_effort("max", ("low", "high")) == "high"
    assert nearest_effort("none", ("low", "high")) == "low"
    assert nearest_effort("minimal", ("none", "low")) == "none"
    assert nearest_effort("high", ()) is None
    assert nearest_effort("odd", ("low",)) is None
