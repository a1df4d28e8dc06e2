from __future__ import annotations

import pytest

from llmgate.formats.fields import (
    ShapeError,
    as_boolean,
    as_integer,
    as_list,
    as_number,
    as_object,
    as_text,
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
