from __future__ import annotations

import pytest

from llmgate.catalogue import facts_of
from llmgate.formats.gemini_generate_content.thinking import by_level, decode_effort, encode_effort, nearest_effort
from llmgate.spec import UNKNOWN_MODEL


@pytest.mark.parametrize(
    ("config", "effort"),
    [
        (None, None),
        ({}, None),
        ({"includeThoughts": True}, None),
        ({"thinkingBudget": -1}, None),
        ({"thinkingBudget": 0}, "none"),
        ({"thinking_budget": 128}, "low"),
        ({"thinkingBudget": 1024}, "low"),
        ({"thinkingBudget": 1025}, "medium"),
        ({"thinkingBudget": 24576}, "high"),
        ({"thinkingLevel": "MINIMAL"}, "minimal"),
        ({"thinking_level": "high"}, "high"),
        ({"thinkingLevel": "THINKING_LEVEL_UNSPECIFIED", "thinkingBudget": True}, None),
    ],
)
def test_both_ways_to_ask_are_read(config, effort):
    assert decode_effort(config) == effort


@pytest.mark.parametrize(
    ("model", "effort", "config"),
    [
        ("gemini-2.5-flash", "none", {"thinkingBudget": 0, "includeThoughts": False}),
        ("gemini-2.5-flash", "high", {"thinkingBudget": 24576, "includeThoughts": True}),
        ("gemini-2.5-flash-lite", "low", {"thinkingBudget": 1024, "includeThoughts": True}),
        ("gemini-2.5-pro", "minimal", {"thinkingBudget": 1024, "includeThoughts": True}),
        ("gemini-2.5-pro", "none", {"thinkingBudget": 128, "includeThoughts": False}),
        ("gemini-3-flash-preview", "minimal", {"thinkingLevel": "minimal", "includeThoughts": True}),
        ("gemini-3.1-pro-preview", "minimal", {"thinkingLevel": "low", "includeThoughts": True}),
        ("gemini-3.8-flash", "max", {"thinkingLevel": "high", "includeThoughts": True}),
        ("gemini-4-argon", "medium", {"thinkingLevel": "medium", "includeThoughts": True}),
        ("anything", "medium", {"thinkingBudget": 8192, "includeThoughts": True}),
    ],
)
def test_each_family_is_asked_in_its_own_way(model, effort, config):
    assert encode_effort(effort, facts_of(model)) == config


def test_the_nearest_effort_is_what_the_model_has():
    pro, flash = facts_of("gemini-2.5-pro"), facts_of("gemini-2.5-flash")
    assert nearest_effort("none", pro) == "minimal"
    assert nearest_effort("none", flash) == "none"
    assert nearest_effort("xhigh", flash) == "high"
    assert nearest_effort("none", facts_of("gemini-3.1-pro-preview")) == "low"
    assert by_level(facts_of("gemini-3-flash-preview"))
    assert not by_level(pro)
    assert not by_level(UNKNOWN_MODEL)
