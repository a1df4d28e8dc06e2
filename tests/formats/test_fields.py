from __future__ import annotations

import importlib

import pytest

from llmgate.formats.fields import (
    ShapeError,
    as_boolean,
    as_integer,
    as_list,
    as_number,
    as_object,
    as_text,
    known_count,
    merged,
    optional,
    rest,
)


@pytest.mark.parametrize(
    ("read", "good", "bad"),
    [
        (as_text, ["", "a"], [None, 1, True, []]),
        (as_boolean, [True, False], [None, 1, 0, "true"]),
        (as_integer, [0, -1], [None, True, 1.0, "1"]),
        (as_number, [0, 1.5], [None, True, "1"]),
        (as_list, [[]], [None, {}, "a"]),
        (as_object, [{}], [None, [], "a"]),
    ],
)
def test_takes_its_own_type_only(read, good, bad):
    for value in good:
        assert read(value, "field") is value
    for value in bad:
        with pytest.raises(ShapeError, match="field must be") as caught:
            read(value, "field")
        assert caught.value.path == "field"


@pytest.mark.parametrize("count", [0, 1, 10**12])
def test_a_count_is_known(count):
    assert known_count(count) == count


@pytest.mark.parametrize("count", [-1, 10**12 + 1, 2**63, 10**400, 1.0, True, "1", None, [], {}])
def test_what_no_answer_comes_to_is_unknown(count):
    assert known_count(count) is None


def test_optional_names_the_place():
    assert optional({}, "a", as_text) is None
    assert optional({"a": None}, "a", as_text) is None
    assert optional({"a": "b"}, "a", as_text) == "b"
    with pytest.raises(ShapeError, match=r"messages\[1\]\.a must be"):
        optional({"a": 1}, "a", as_text, "messages[1]")


def test_merged_keeps_the_first_where_both_speak():
    assert merged({"a": 1, "b": {"c": 1}}, {"a": 2, "b": {"c": 2, "d": 3}, "e": 4}) == {
        "a": 1,
        "b": {"c": 1, "d": 3},
        "e": 4,
    }
    assert rest({"a": 1, "b": 2}, frozenset({"a"})) == {"b": 2}


COUNTED = {
    "openai_chat": ("prompt_tokens", "completion_tokens"),
    "openai_responses": ("input_tokens", "output_tokens"),
    "anthropic_messages": ("input_tokens", "output_tokens"),
    "bedrock_converse": ("inputTokens", "outputTokens"),
    "gemini_generate_content": ("promptTokenCount", "candidatesTokenCount"),
    "ollama_chat": ("prompt_eval_count", "eval_count"),
}


@pytest.mark.parametrize("name", COUNTED)
def test_every_format_takes_counts_for_what_they_can_be(name):
    read = importlib.import_module(f"llmgate.formats.{name}.usage").decode_usage
    given, made = COUNTED[name]
    assert read({given: 7, made: 5}).input_tokens == 7
    usage = read({given: 2**63, made: 5})
    assert (usage.input_tokens, usage.output_tokens) == (None, 5)
