from __future__ import annotations

import pytest

from llmgate.formats.fields import ShapeError
from llmgate.formats.gemini_generate_content.keys import as_camel, as_float, as_items, as_whole, camel


@pytest.mark.parametrize(
    ("written", "spelled"),
    [("max_output_tokens", "maxOutputTokens"), ("topP", "topP"), ("_x", "_x"), ("a__b", "a__b"), ("top_2k", "top2k")],
)
def test_names_come_in_two_spellings(written, spelled):
    assert camel(written) == spelled


def test_only_an_objects_own_members_are_renamed():
    assert as_camel({"inline_data": {"mime_type": 1}}, "p") == {"inlineData": {"mime_type": 1}}
    same = {"inlineData": 1}
    assert as_camel(same, "p") is same


def test_saying_one_thing_twice_is_refused():
    with pytest.raises(ShapeError, match="top_p"):
        as_camel({"topP": 1, "top_p": 2}, "generationConfig")
    with pytest.raises(ShapeError, match="an object"):
        as_camel([], "generationConfig")


def test_an_object_stands_for_an_array_of_one():
    assert as_items({"text": "a"}, "parts") == [({"text": "a"}, "parts")]
    assert as_items([1, 2], "parts") == [(1, "parts[0]"), (2, "parts[1]")]
    assert as_items(None, "parts") == []
    with pytest.raises(ShapeError):
        as_items("a", "parts")


@pytest.mark.parametrize(("value", "number"), [(40.0, 40), ("40", 40), (40, 40), ("-1", -1)])
def test_whole_numbers_are_read_however_they_are_written(value, number):
    read = as_whole(value, "topK")
    assert read == number
    assert isinstance(read, int)


@pytest.mark.parametrize("value", [True, 1.5, "1.5", "x", None, [], "9" * 40])
def test_other_values_are_no_whole_numbers(value):
    with pytest.raises(ShapeError, match="an integer"):
        as_whole(value, "topK")


def test_numbers_may_be_text():
    assert as_float("0.5", "temperature") == 0.5
    for value in ("nan", "1e9", "", "0x1", True):
        with pytest.raises(ShapeError, match="a number"):
            as_float(value, "temperature")
