from __future__ import annotations

import pytest

from llmgate.formats.efforts import EFFORTS
from llmgate.formats.ollama_chat.thinking import decode_think, encode_think


@pytest.mark.parametrize(
    ("effort", "think"),
    list(zip(EFFORTS, (False, "low", "low", "medium", "high", "max", "max"), strict=True)),
)
def test_every_effort_has_a_word(effort, think):
    assert encode_think(effort) == think


@pytest.mark.parametrize(
    ("think", "effort"), [(True, "medium"), (False, "none"), ("high", "high"), ("much", None), (None, None), (3, None)]
)
def test_what_a_client_asks(think, effort):
    assert decode_think(think) == effort
