"""The grammar of ``Helicone-RateLimit-Policy``; what cannot be read is refused, never ignored."""

from __future__ import annotations

import pytest

from llmgate.spec import InvalidRequestError
from llmgate.stages.interceptors.rate_limit.policy import read_policy


@pytest.mark.parametrize(
    ("text", "capacity", "period", "by"),
    [
        ("1000;w=60", 1000, 60, ("api-key",)),
        ("10;w=3600;u=request;s=user", 10, 3600, ("api-key", "user")),
        (" 5 ; W=60 ; S=Organization-Tier ", 5, 60, ("api-key", "property:organization-tier")),
        ("5;s=user;w=60", 5, 60, ("api-key", "user")),
        ("5;w=60;s=global", 5, 60, ("api-key",)),
        ("5;w=31536000;s=Global", 5, 31536000, ("api-key",)),
        ("999999999999;w=31622400", 999999999999, 31622400, ("api-key",)),
    ],
)
def test_a_policy_is_a_limit_of_its_caller(text, capacity, period, by):
    limit = read_policy(text)
    assert (limit.capacity, limit.refill_frequency, limit.by, limit.unit) == (capacity, period, by, "requests")


def test_a_policy_may_count_money():
    limit = read_policy("500;w=86400;u=cents;s=user")
    assert (limit.capacity, limit.unit, limit.by, limit.unknown_price) == (500, "cents", ("api-key", "user"), "deny")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "10",
        "w=60",
        "0;w=60",
        "-1;w=60",
        "10;w=0",
        "10;w=31622401",
        "10;w=999999999",
        "0.5;w=60",
        "10;w=1.5",
        "10;w=60;w=70",
        "10;w=60;x=1",
        "10;w=60;s=",
        "10;w=60;s=a b",
        "10;w=60;",
        "\u0661;w=60",
        "10;w=60;s=" + "a" * 300,
    ],
)
def test_another_text_is_refused(text):
    with pytest.raises(InvalidRequestError, match="is no rate limit: write QUOTA") as caught:
        read_policy(text)
    assert caught.value.code == "invalid_rate_limit_policy"


def test_a_unit_that_is_not_counted_is_refused():
    with pytest.raises(InvalidRequestError, match="the unit 'tokens' is not counted here"):
        read_policy("10;w=60;u=tokens")
