"""What the operator says of models of his own."""

from __future__ import annotations

import pytest

from config.fakes import Loader
from llmgate.spec import DescribedModel

BEGIN = "providers: {mine: {base-url: 'http://x/v1', keyless: true, model-facts: "


def test_what_is_said(loader: Loader) -> None:
    text = "{'a*': {context-window: 8192, vision: false}, b: {max-output: 10, tools: true, structured-output: false}}}}"
    assert loader.text(BEGIN + text).providers["mine"].described == {
        "a*": DescribedModel(context_window=8192, vision=False),
        "b": DescribedModel(max_output=10, tools=True, structured_output=False),
    }


@pytest.mark.parametrize(
    ("written", "problem"),
    [
        ("[a]", "'model-facts' must be a mapping of models"),
        ("{a: 8192}", "'a' must be a mapping such as {context-window: 8192}"),
        ("{a: {context: 1}}", "unknown key 'context' in model-facts.a"),
        ("{a: {context-window: 0}}", "'context-window' must be at least 1, not 0"),
        ("{a: {context-window: large}}", "'context-window' must be"),
        ("{a: {vision: 1}}", "'vision' must be"),
    ],
)
def test_what_makes_no_sense_is_named(loader: Loader, written: str, problem: str) -> None:
    assert problem in loader.one(f"{BEGIN}{written}}}}}")
