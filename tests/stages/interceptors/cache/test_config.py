from __future__ import annotations

import pytest

from llmgate.stages.interceptors.cache import CacheConfig


def test_without_a_word_it_is_on_and_keeps_for_a_week() -> None:
    config = CacheConfig()
    assert (config.enabled, config.buckets, config.shared, config.state, config.max_age) == (
        True,
        1,
        False,
        "memory",
        604800,
    )


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"directive": "max-age=x"}, "write for example max-age=3600"),
        ({"directive": "max-age=5, stale-if-error=5"}, "'stale-if-error' means nothing here"),
        ({"buckets": 0}, "between 1 and 20"),
        ({"buckets": 21}, "between 1 and 20"),
        ({"max_age": 0}, "max-age must be above 0"),
        ({"longest_age": -1}, "longest-age must be above 0"),
        ({"max_entry_size": 0}, "max-entry-size must be above 0"),
        ({"wait": -1}, "wait must not be below 0"),
        ({"store_timeout": 0.6}, "at most 500ms"),
        ({"store_pause": -1}, "store-pause must not be below 0"),
    ],
)
def test_what_makes_no_sense_is_refused(fields: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        CacheConfig(**fields)


def test_a_directive_of_a_private_cache_is_taken() -> None:
    assert CacheConfig(directive="private, max-age=5").directive == "private, max-age=5"
