from __future__ import annotations

import pytest

from llmgate.formats.openai_chat.models import facts_of, nearest_effort


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
    assert facts_of(model).efforts == efforts


def test_the_nearest_effort():
    assert nearest_effort("max", ("low", "high")) == "high"
    assert nearest_effort("none", ("low", "high")) == "low"
    assert nearest_effort("minimal", ("none", "low")) == "none"
    assert nearest_effort("high", ()) is None
    assert nearest_effort("odd", ("low",)) is None
