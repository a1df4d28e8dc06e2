from __future__ import annotations

import pytest

from llmgate.formats.cohere_chat.thinking import decode_thinking, encode_thinking
from llmgate.formats.efforts import EFFORTS


@pytest.mark.parametrize("effort", EFFORTS)
def test_every_effort_comes_back(effort):
    assert decode_thinking(encode_thinking(effort, None)) == effort


@pytest.mark.parametrize(("limit", "budget"), [(None, 4096), (10_000, 4096), (5000, 4000), (1000, 1), (1, 1)])
def test_thought_leaves_room_for_the_answer(limit, budget):
    assert encode_thinking("high", limit) == {"type": "enabled", "token_budget": budget}


@pytest.mark.parametrize(
    ("value", "effort"),
    [
        ({"type": "disabled"}, "none"),
        ({"type": "enabled"}, "high"),
        ({"type": "enabled", "token_budget": 2000}, "medium"),
        ({"type": "enabled", "token_budget": 10**6}, "max"),
        ({"type": "x"}, None),
        (None, None),
        (3, None),
    ],
)
def test_what_a_client_asks(value, effort):
    assert decode_thinking(value) == effort
