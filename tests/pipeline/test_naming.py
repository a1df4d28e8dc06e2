from __future__ import annotations

from llmgate.pipeline.naming import ModelMapping


def test_an_exact_name_wins_over_a_pattern_and_the_first_pattern_over_the_next() -> None:
    mapping = ModelMapping({"claude-*": ["a/*"], "claude-x": ["b/y"], "c*": ["c/*"]})
    assert list(mapping.candidates("claude-x")) == ["b/y"]
    assert list(mapping.candidates("claude-z")) == ["a/z"]
    assert list(mapping.candidates("cat")) == ["c/at"]
    assert list(mapping.candidates("dog")) == []


def test_a_star_is_replaced_by_what_it_stood_for() -> None:
    mapping = ModelMapping({"team-*-latest": ["p/models/*", "q/fixed", "r/*/*"]})
    assert list(mapping.candidates("team-small-latest")) == ["p/models/small", "q/fixed", "r/small/small"]


def test_characters_of_regular_expressions_mean_themselves() -> None:
    mapping = ModelMapping({"gpt-4.1*": ["p/*"]})
    assert not mapping.candidates("gpt-4x1")
    assert list(mapping.candidates("gpt-4.1")) == ["p/"]


def test_the_model_of_a_provider_is_found_under_the_first_name_that_has_one() -> None:
    mapping = ModelMapping({"m-2024": ["x/1"], "m": ["y/2", "y/3"]})
    assert mapping.find(("m-2024", "m"), "y") == "2"
    assert mapping.find(("m-2024", "m"), "x") == "1"
    assert mapping.find(("m",), "z") is None


def test_an_empty_mapping_knows_nothing() -> None:
    assert not ModelMapping().candidates("m")
    assert not list(ModelMapping().names)
