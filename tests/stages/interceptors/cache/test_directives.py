from __future__ import annotations

import contextlib
import math

import pytest
from hypothesis import given, strategies as st

from llmgate.stages.interceptors.cache.directives import Directives, read_directives


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", Directives()),
        ("max-age=60", Directives(max_age=60)),
        ("s-maxage=60", Directives(shared_age=60)),
        ("max-age=1, s-maxage=2", Directives(max_age=1, shared_age=2)),
        ('MAX-AGE = "60" ,, no-cache', Directives(max_age=60, no_cache=True)),
        ("max-stale", Directives(max_stale=math.inf)),
        ("max-stale=5, min-fresh=6", Directives(max_stale=5, min_fresh=6)),
        ("no-store, only-if-cached", Directives(no_store=True, only_if_cached=True)),
        ("stale-while-revalidate=7, private, x=1", Directives(revalidate=7)),
        ("max-age=1, max-age=9", Directives(max_age=1)),
        ("max-age=99999999999999999999", Directives(max_age=2**31)),
    ],
)
def test_what_is_understood(text: str, expected: Directives) -> None:
    assert read_directives(text) == expected


def test_the_shared_age_is_not_mistaken_for_the_other_and_wins() -> None:
    assert read_directives("s-maxage=5").max_age is None
    assert read_directives("max-age=1, s-maxage=5").age == 5


@pytest.mark.parametrize(
    "text", ["max-age", "max-age=x", "max-age=-1", "max-age=1.5", "min-fresh=", "max age=1", "=", "a b"]
)
def test_what_cannot_be_read_is_named(text: str) -> None:
    with pytest.raises(ValueError, match=r"whole number|no directive"):
        read_directives(text)


@given(st.text(max_size=60))
def test_any_text_is_read_or_refused(text: str) -> None:
    with contextlib.suppress(ValueError):
        assert isinstance(read_directives(text), Directives)
