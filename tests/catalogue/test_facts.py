from __future__ import annotations

import datetime as dt

import pytest

from llmgate.catalogue.facts import facts_date, facts_of
from llmgate.spec import UNKNOWN_MODEL


@pytest.mark.parametrize(
    ("model", "thinking", "sampling"),
    [
        ("claude-3-7-sonnet-20250219", "budget", True),
        ("claude-haiku-4-5", "budget", True),
        ("claude-sonnet-4-20250514", "budget", True),
        ("claude-sonnet-4-5-20250929", "budget", True),
        ("claude-opus-4-20250514", "budget", True),
        ("claude-opus-4-1", "budget", True),
        ("us.anthropic.claude-sonnet-4-5-20250929-v1:0", "budget", True),
        ("claude-opus-4-6@20260205", "adaptive", True),
        ("claude-opus-4-7", "adaptive", False),
        ("claude-opus-4-8", "adaptive", False),
        ("claude-opus-5", "adaptive", False),
        ("claude-haiku-5-5", "adaptive", False),
        ("anthropic/claude-opus-4.8", "adaptive", False),
        ("claude-sonnet-5-5", "always", False),
        ("claude-fable-5-2", "always", False),
        ("claude-never-heard-9", "always", False),
        ("gpt-4o", "none", True),
        ("gpt-5-mini", "level", False),
        ("kimi-k3", "budget", True),
        ("cohere/command-a-reasoning-08-2025", "budget", True),
        ("command-a-03-2025", "none", True),
        ("command-r-plus-08-2024", "none", True),
    ],
)
def test_facts_by_name(model, thinking, sampling):
    facts = facts_of(model)
    assert (facts.thinking, facts.sampling) == (thinking, sampling)


@pytest.mark.parametrize(
    ("model", "efforts"),
    [
        ("gpt-4o", ()),
        ("openai/gpt-4.1-mini", ()),
        ("claude-opus-4-5", ("low", "medium", "high")),
        ("o4-mini", ("low", "medium", "high")),
        ("gpt-5", ("minimal", "low", "medium", "high")),
        ("gpt-5-mini", ("minimal", "low", "medium", "high")),
        ("gpt-5-chat-latest", ()),
        ("gpt-5.1", ("none", "low", "medium", "high")),
        ("gpt-5.6-sol", ("none", "low", "medium", "high", "xhigh")),
        ("gpt-6.1-sol", ("low", "medium", "high", "xhigh", "max")),
        ("llama-4", None),
    ],
)
def test_words_for_how_much_a_model_reasons(model, efforts):
    assert facts_of(model).efforts == efforts


def test_nothing_is_known_of_a_name_that_no_family_has():
    assert facts_of("llama-4") is UNKNOWN_MODEL


def test_the_facts_are_dated():
    assert dt.date.fromisoformat(facts_date())
