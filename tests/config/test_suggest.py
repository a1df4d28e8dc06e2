"""Suggestions name the word that was probably meant, or nothing."""

from __future__ import annotations

import pytest

from llmgate.config.suggest import did_you_mean, nearest


@pytest.mark.parametrize(
    ("word", "expected"), [("servr", "server"), ("PORT", "port"), ("base_url", "base-url"), ("zzz", None), ("", None)]
)
def test_nearest(word: str, expected: str | None) -> None:
    assert nearest(word, ["server", "port", "base-url"]) == expected


def test_the_sentence_is_empty_without_a_suggestion() -> None:
    assert did_you_mean("servr", ["server"]) == " (did you mean 'server'?)"
    assert did_you_mean("x", ["server"]) == ""
