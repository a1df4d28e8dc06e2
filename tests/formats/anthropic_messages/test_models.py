from __future__ import annotations

import pytest

from llmgate.formats.anthropic_messages.models import DEFAULT_MAX_TOKENS, facts_of


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
