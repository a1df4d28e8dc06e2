"""What may stand in the place of a model."""

from __future__ import annotations

import pytest

from llmgate.spec.model_chain import ModelChain, read_model_chain


@pytest.mark.parametrize(
    ("text", "models", "without"),
    [
        ("gpt-4o", ("gpt-4o",), set()),
        ("openai/gpt-4o", ("openai/gpt-4o",), set()),
        ("", ("",), set()),
        (" spaced ", (" spaced ",), set()),
        ("wow!", ("wow!",), set()),
        ("a/x,b/y", ("a/x", "b/y"), set()),
        (" a/x , b/y,, ", ("a/x", "b/y"), set()),
        ("a/x,b/y,a/x", ("a/x", "b/y"), set()),
        ("gpt-4o,!azure, ! openai ", ("gpt-4o",), {"azure", "openai"}),
        ("!azure,gpt-4o", ("gpt-4o",), {"azure"}),
        ("gpt-4o,!azure/gpt-4o", ("gpt-4o",), {"azure/gpt-4o"}),
        ("!azure", (), {"azure"}),
        ("!", (), set()),
        (",", (), set()),
    ],
)
def test_commas_part_models_and_marks_leave_providers_out(text: str, models: object, without: set[str]) -> None:
    assert read_model_chain(text) == ModelChain(models, frozenset(without))
