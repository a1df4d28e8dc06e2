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


@pytest.mark.parametrize(
    ("model", "window", "vision", "tools", "structured"),
    [
        ("gpt-4o-mini", 128_000, None, None, None),
        ("openai/gpt-4.1-mini", 1_047_576, None, None, None),
        ("gpt-4", 8192, False, None, False),
        ("gpt-4-0613", 8192, False, None, False),
        ("gpt-4-turbo-2024-04-09", 128_000, None, None, False),
        ("gpt-3.5-turbo-0125", 16_385, False, None, False),
        ("o1-mini", 128_000, False, False, False),
        ("o3-mini", 200_000, False, None, None),
        ("gpt-5.1", 400_000, None, None, None),
        ("claude-3-5-haiku-20241022", 200_000, None, None, None),
        ("claude-opus-4-1", 200_000, None, None, None),
        ("claude-opus-4-6", 1_000_000, None, None, None),
        ("us.anthropic.claude-sonnet-4-5-20250929-v1:0", 1_000_000, None, None, None),
        ("gemini-2.5-pro", 1_048_576, None, None, None),
        ("deepseek-chat", 131_072, False, None, None),
        ("meta-llama/Llama-3.3-70B-Instruct".lower(), 131_072, False, None, None),
        ("command-r-plus-08-2024", 128_000, False, None, None),
        ("my-own-model", None, None, None, None),
    ],
)
def test_what_models_can_read_and_do(model, window, vision, tools, structured):
    facts = facts_of(model)
    found = (facts.context_window, facts.vision, facts.tools, facts.structured_output)
    assert found == (window, vision, tools, structured)


def test_abilities_are_laid_over_the_facts_of_the_family():
    assert facts_of("o1-mini").efforts == ("low", "medium", "high")
    assert facts_of("deepseek-chat").thinking == UNKNOWN_MODEL.thinking
