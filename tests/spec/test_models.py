from __future__ import annotations

from llmgate.spec import UNKNOWN_MODEL, ModelFacts


def test_an_unknown_model_is_taken_to_be_lenient():
    assert ModelFacts() == UNKNOWN_MODEL
    assert UNKNOWN_MODEL.efforts is None
    assert UNKNOWN_MODEL.sampling
    assert UNKNOWN_MODEL.prefill
    assert UNKNOWN_MODEL.forced_tools
