"""The entries of a balance beside what they name: tags, and the callers that they are kept for."""

from __future__ import annotations

import pytest

from config.fakes import Loader
from llmgate.spec import Audience

BEGIN = "routers: {r: {load-balance: {chat: {strategy: priority, providers: "


def test_tags_and_callers(loader: Loader) -> None:
    text = "[openai, {provider: openai, tags: [a, 'region:eu'], for: {team: [x, y], id: z}}]}}}}"
    plain, kept = loader.text(BEGIN + text, OPENAI_API_KEY="x").routers["r"].balances["chat"].members
    assert (plain.tags, plain.audience) == (frozenset(), None)
    assert kept.tags == {"a", "region:eu"}
    assert kept.audience == Audience((("team", ("x", "y")), ("id", ("z",))))


@pytest.mark.parametrize(
    ("entry", "problem"),
    [
        ("{provider: openai, tags: [a b]}", "'a b' is no tag: letters, digits"),
        ("{provider: openai, tags: x}", "'tags' must be a list"),
        ("{provider: openai, for: research}", "'for' must be a mapping such as {team: research}"),
        ("{provider: openai, for: {}}", "'for' must be a mapping such as {team: research}"),
        ("{provider: openai, for: {team: []}}", "'team' is empty: name at least one"),
        ("{provider: openai, four: {team: x}}", "unknown key 'four' in providers"),
        ("openai, {provider: openai, tags: [x]}", "'openai' is listed twice"),
        ("openai, " * 1000 + "openai", "'providers' names 1001: name 1000 at most"),
    ],
)
def test_what_makes_no_sense_is_named(loader: Loader, entry: str, problem: str) -> None:
    assert problem in loader.one(f"{BEGIN}[{entry}]}}}}}}}}", OPENAI_API_KEY="x")
