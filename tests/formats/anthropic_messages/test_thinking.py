from __future__ import annotations

import pytest

from llmgate.catalogue import facts_of
from llmgate.formats.anthropic_messages.thinking import decode_effort, encode_effort


@pytest.mark.parametrize(
    ("thinking", "config", "effort"),
    [
        (None, None, None),
        (None, {"effort": "max"}, "max"),
        (None, {"effort": "future"}, None),
        ({"type": "disabled"}, {"effort": "high"}, "none"),
        ({"type": "adaptive"}, None, "high"),
        ({"type": "adaptive", "display": "omitted"}, {"effort": "low"}, "low"),
        ({"type": "enabled", "budget_tokens": 1024}, None, "low"),
        ({"type": "enabled", "budget_tokens": 2048}, None, "medium"),
        ({"type": "enabled", "budget_tokens": 31999}, None, "high"),
        ({"type": "future"}, {"effort": "low"}, "low"),
        ("on", None, None),
    ],
)
def test_reads(thinking, config, effort):
    assert decode_effort(thinking, config) == effort


ADAPTIVE = {"type": "adaptive", "display": "summarized"}


@pytest.mark.parametrize(
    ("model", "effort", "limit", "written"),
    [
        ("claude-sonnet-4-5", "low", 9000, ({"type": "enabled", "budget_tokens": 1024}, None)),
        ("claude-sonnet-4-5", "max", 9000, ({"type": "enabled", "budget_tokens": 8999}, None)),
        ("claude-sonnet-4-5", "high", 1024, (None, None)),
        ("claude-sonnet-4-5", "none", 9000, ({"type": "disabled"}, None)),
        ("claude-opus-4-6", "xhigh", 9000, (ADAPTIVE, "max")),
        ("claude-opus-5", "minimal", 9000, (ADAPTIVE, "low")),
        ("claude-opus-5", "xhigh", 9000, (ADAPTIVE, "xhigh")),
        ("claude-opus-5-5", "none", 9000, (None, "low")),
    ],
)
def test_writes_what_the_model_takes(model, effort, limit, written):
    assert encode_effort(effort, facts_of(model), limit) == written
