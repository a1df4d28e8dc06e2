"""Fields that check what they are given."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import attrs
import pytest

from llmgate.config.bounds import bounds_of
from llmgate.spec import bounded, words_of


@attrs.frozen
class Example:
    some_share: float = bounded(0.5, 0, 1)
    wait: float | None = bounded(None, maximum=60, above=0)
    count: int = bounded(1, minimum=1)
    word: str | None = attrs.field(default=None, validator=words_of(("one", "two")))
    words: Sequence[str] | None = attrs.field(default=None, validator=words_of(("one", "two")))


@pytest.mark.parametrize(
    "good",
    [{}, {"some_share": 0}, {"some_share": 1}, {"wait": 60}, {"word": "two"}, {"words": ["one", "two"]}, {"words": []}],
)
def test_what_is_within_is_taken(good: dict[str, Any]) -> None:
    assert Example(**good) == Example(**good)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"some_share": 1.5}, "some-share must be from 0 to 1, not 1.5"),
        ({"some_share": -0.1}, "some-share must be from 0 to 1, not -0.1"),
        ({"some_share": math.nan}, "some-share must be from 0 to 1, not nan"),
        ({"wait": 0.0}, "wait must be more than 0 and at most 60, not 0"),
        ({"wait": math.inf}, "wait must be more than 0 and at most 60, not inf"),
        ({"count": 0}, "count must be at least 1, not 0"),
        ({"word": "three"}, "word: 'three' is not one of one, two"),
        ({"words": ["one", "x" * 99]}, f"words: {'x' * 64!r} is not one of one, two"),
    ],
)
def test_what_is_not_is_named_with_its_field(wrong: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError) as caught:
        Example(**wrong)
    message, field = caught.value.args
    assert message == said
    assert field.name in wrong


def test_the_configurations_reader_knows_the_bounds() -> None:
    assert str(bounds_of(Example, attrs.fields(Example).some_share)) == "0 to 1"
