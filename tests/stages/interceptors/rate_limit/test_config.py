"""What ``rate-limit`` can be told, and what it comes to."""

from __future__ import annotations

import pytest

from llmgate.stages.interceptors.rate_limit.config import LimitConfig, PerApiKeyConfig, RateLimitConfig


def test_without_a_limit_each_key_has_what_the_dialect_says():
    (limit,) = RateLimitConfig().all_limits()
    assert (limit.capacity, limit.refill_frequency, limit.by, limit.unit) == (500, 1.0, ("api-key",), "requests")


def test_the_limit_of_the_keys_stands_before_the_others():
    other = LimitConfig(7, 60.0, by=())
    config = RateLimitConfig(per_api_key=PerApiKeyConfig(3, 2.0), limits=[other])
    assert config.all_limits() == (LimitConfig(3, 2.0), other)
    assert RateLimitConfig(limits=[other]).all_limits() == (other,)
    assert RateLimitConfig(policy_header=True).all_limits() == ()


@pytest.mark.parametrize("by", ["key", "property:", "header:a b", "attribute:" + "x" * 65, "IP"])
def test_what_nothing_can_be_counted_by_is_refused(by):
    with pytest.raises(ValueError, match="is nothing to count by"):
        LimitConfig(1, 1.0, by=[by])


@pytest.mark.parametrize("name", ["Upper", "a b", "-a", 'a"', "x" * 65])
def test_a_name_can_stand_in_a_header(name):
    with pytest.raises(ValueError, match="name: "):
        LimitConfig(1, 1.0, name=name)


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"refill_frequency": 1.0, "window": "day"},
        {"unit": "concurrent", "refill_frequency": 1.0},
        {"unit": "concurrent", "window": "day"},
    ],
)
def test_a_limit_has_one_time_and_places_have_none(fields):
    with pytest.raises(ValueError, match="refill-frequency"):
        LimitConfig(1, **fields)


def test_a_time_zone_that_nobody_knows_is_refused():
    with pytest.raises(ValueError, match="time-zone: 'Mars/Base' is not known here"):
        LimitConfig(1, window="day", time_zone="Mars/Base")
    assert LimitConfig(1, window="day", time_zone="Europe/Berlin").time_zone == "Europe/Berlin"
