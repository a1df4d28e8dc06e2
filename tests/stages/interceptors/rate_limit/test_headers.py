"""What answers say of limits, in the words of each format."""

from __future__ import annotations

import pytest

from llmgate.spec import RateDecision
from llmgate.stages.interceptors.rate_limit.account import Charge, Counted
from llmgate.stages.interceptors.rate_limit.config import LimitConfig
from llmgate.stages.interceptors.rate_limit.headers import HeaderPlan, PlannedHeaders, limit_headers
from llmgate.testing.clock import FakeClock

NOW = 1_700_000_000.0


def charge(name, capacity, left, *, unit="requests", retry_after=0.0, reset=12.5):
    period = None if unit == "concurrent" else 60.0
    limit = Counted(name, name, LimitConfig(capacity, period, unit=unit), capacity)
    decision = RateDecision(not retry_after, left, retry_after, reset)
    return Charge(None, limit, limit.claim(name, 1, "h", FakeClock(now=NOW)), decision)


def test_the_headers_of_openai_and_the_standard_ones():
    assert limit_headers([charge("a", 10, 7)], "openai-chat", NOW, None) == {
        "x-ratelimit-limit-requests": "10",
        "x-ratelimit-remaining-requests": "7",
        "x-ratelimit-reset-requests": "12.5s",
        "x-ratelimit-limit": "10",
        "x-ratelimit-remaining": "7",
        "ratelimit-policy": '"a";q=10;w=60',
        "ratelimit": '"a";r=7;t=13',
    }


def test_the_headers_of_anthropic():
    headers = limit_headers([charge("a", 10, 7), charge("t", 900, 5, unit="tokens")], "anthropic-messages", NOW, None)
    assert headers["anthropic-ratelimit-requests-remaining"] == "7"
    assert headers["anthropic-ratelimit-tokens-limit"] == "900"
    assert headers["anthropic-ratelimit-requests-reset"] == "2023-11-14T22:13:33Z"
    assert headers["x-ratelimit-limit"] == "10", "requests, where they are counted"


def test_a_format_without_such_headers_gets_the_others():
    for wire_format in ("gemini-generate-content", "no-format"):
        headers = limit_headers([charge("a", 10, 7)], wire_format, NOW, None)
        assert set(headers) == {"x-ratelimit-limit", "x-ratelimit-remaining", "ratelimit", "ratelimit-policy"}


def test_of_several_limits_the_tightest_is_told():
    several = [charge("a", 100, 50), charge("b", 10, 3), charge("c", 1000, 20)]
    headers = limit_headers(several, "openai-chat", NOW, None)
    assert (headers["x-ratelimit-limit-requests"], headers["x-ratelimit-remaining-requests"]) == ("10", "3")
    assert headers["ratelimit"] == '"a";r=50;t=13, "b";r=3;t=13, "c";r=20;t=13'


def test_a_refusal_is_told_first_and_says_when():
    headers = limit_headers(
        [charge("a", 1, 0), charge("b", 900, 40, unit="requests", retry_after=2.2)], "openai-chat", NOW, None
    )
    assert (headers["x-ratelimit-limit"], headers["x-ratelimit-after"]) == ("900", "3")


def test_the_callers_own_policy_is_echoed():
    headers = limit_headers([charge("a", 1, 0), charge("policy", 9, 4)], "openai-chat", NOW, "9;w=60")
    assert {name: text for name, text in headers.items() if name.startswith("helicone")} == {
        "helicone-ratelimit-limit": "9",
        "helicone-ratelimit-remaining": "4",
        "helicone-ratelimit-reset": "13",
        "helicone-ratelimit-policy": "9;w=60",
    }


def test_requests_at_once_have_a_unit_of_their_own_and_no_vendors_header():
    headers = limit_headers([charge("a", 10, 7, unit="concurrent")], "anthropic-messages", NOW, None)
    assert headers == {
        "x-ratelimit-limit": "10",
        "x-ratelimit-remaining": "7",
        "ratelimit-policy": '"a";q=10;qu="concurrent-requests"',
        "ratelimit": '"a";r=7;t=13',
    }


@pytest.mark.parametrize("wire_format", ["openai-chat", "anthropic-messages", "gemini-generate-content", "no-format"])
@pytest.mark.parametrize("left", [0, 7])
@pytest.mark.parametrize("reset", [0.0, 0.0201, 12.5, 86400.0])
def test_what_is_planned_says_the_same(wire_format, left, reset):
    def one(name, unit, **fields):
        config = LimitConfig(100, unit=unit, **fields)
        limit = Counted(name, name, config, 100)
        claim = limit.claim(name, 1, "h", clock)
        return Charge(None, limit, claim, RateDecision(True, left, 0.0, reset))

    clock = FakeClock(now=NOW)
    requests, tokens = one("a", "requests", refill_frequency=60.0), one("t", "tokens", refill_frequency=3600.0)
    at_once, monthly = one("c", "concurrent"), one("m", "input-tokens", window="month")
    for charges in ([requests], [tokens, requests], [at_once, requests, monthly], [requests, tokens, at_once, monthly]):
        plan = HeaderPlan([charge.limit for charge in charges], wire_format)
        assert plan.fits
        told = PlannedHeaders(plan, [charge.decision for charge in charges], NOW if plan.tells_time else 0.0)
        assert told == limit_headers(charges, wire_format, NOW, None)
        assert len(told) == len(dict(told))
    assert not HeaderPlan([requests.limit, requests.limit], wire_format).fits, "the tighter one is told"
    assert not HeaderPlan([tokens.limit], wire_format).fits
