"""The callers that a model under one of the operator's own names is kept for."""

from __future__ import annotations

import pytest

from config.fakes import Loader
from llmgate.spec import Audience


def test_models_may_be_kept_for_callers(loader: Loader) -> None:
    text = "models: {smart: [{model: openai/a, for: {team: x}}, openai/b, {model: openai/c}], plain: [openai/d]}"
    config = loader.text(text, OPENAI_API_KEY="x")
    assert config.models == {"smart": ("openai/a", "openai/b", "openai/c"), "plain": ("openai/d",)}
    assert config.model_audiences == {"smart": [Audience((("team", ("x",)),)), None, None]}


@pytest.mark.parametrize(
    ("entry", "problem"),
    [
        ("{model: openai/a, for: x}", "'for' must be a mapping"),
        ("{model: openai/a, weight: 1}", "unknown key 'weight' in models"),
        ("{model: a}", "'a' is no model here"),
    ],
)
def test_what_makes_no_sense_is_named(loader: Loader, entry: str, problem: str) -> None:
    assert problem in loader.one(f"models: {{smart: [{entry}]}}", OPENAI_API_KEY="x")
