from __future__ import annotations

import math

import pytest
from hypothesis import given, strategies as st

from llmgate.formats.adapter.waits import wait_asked_for
from llmgate.spec import ErrorDetail

NOW = 1_700_000_000.0  # Tue, 14 Nov 2023 22:13:20 GMT


@pytest.mark.parametrize(
    ("headers", "detail", "expected"),
    [
        ({}, None, None),
        ({}, ErrorDetail("m", retry_after=34.0), 34.0),
        ({"retry-after": "5"}, ErrorDetail("m", retry_after=34.0), 5.0),
        ({"retry-after": "junk"}, ErrorDetail("m", retry_after=34.0), 34.0),
        ({}, ErrorDetail("m", retry_after=math.inf), None),
        ({}, ErrorDetail("m", retry_after=-1.0), 0.0),
        ({"retry-after": " 1.5 "}, None, 1.5),
        ({"retry-after": "1000000000000"}, None, 1e12),
        ({"retry-after-ms": "250"}, None, 0.25),
        ({"retry-after-ms": "junk", "retry-after": "2"}, None, 2.0),
        ({"retry-after": "Tue, 14 Nov 2023 22:13:30 GMT"}, None, 10.0),
        ({"retry-after": "Tuesday, 14-Nov-23 22:13:30 GMT"}, None, 10.0),
        ({"retry-after": "Tue, 14 Nov 2023 22:13:30 -0000"}, None, 10.0),
        ({"retry-after": "Mon, 01 Jan 0001 00:00:00 +2359"}, None, 0.0),
        ({"retry-after": "1_0"}, None, None),
        ({"retry-after": "1e3"}, None, None),
        ({"retry-after": "٣"}, None, None),
        ({"retry-after": "infinity"}, None, None),
    ],
)
def test_every_way_to_say_it(headers, detail, expected):
    assert wait_asked_for(headers, detail, NOW) == expected


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        ("Rate limit reached for gpt-5 in organization org-x on tokens per min. Please try again in 20s. Visit", 20.0),
        ("Please try again in 6m0s.", 360.0),
        ("Please try again in 7m12.5s. Need more tokens?", 432.5),
        ("Please try again in 1h0m3s.", 3603.0),
        ("Please try again in 120ms.", 0.12),
        ("have exceeded call rate limit. Please retry after 26 seconds. Please go here", 26.0),
        ("Rate limit is exceeded. Try again in 50 seconds.", 50.0),
        ("Please retry in 34.074824224s.", 34.074824224),
        ("try again in 2 minutes", 120.0),
        ("try again in 1 hour 30 minutes", 5400.0),
        ("try again in 5 monkeys", None),
        ("try again in a while", None),
        ("it took 20s", None),
        ("try again in 99999999999999999999s", None),
        ("x" * 3000 + "try again in 20s", None),
        ("", None),
    ],
)
def test_the_words_of_a_refusal(message, expected):
    assert wait_asked_for({}, ErrorDetail(message), NOW, 429) == (None if expected is None else pytest.approx(expected))
    assert wait_asked_for({}, ErrorDetail(message), NOW, 400) is None, "it may be the caller's own text"
    assert wait_asked_for({"retry-after": "5"}, ErrorDetail(message), NOW, 429) == 5
    assert wait_asked_for({}, ErrorDetail(message, retry_after=7.0), NOW, 429) == 7


@given(st.text(max_size=40), st.text(max_size=10))
def test_whatever_a_header_says_the_wait_makes_sense(one, other):
    wait = wait_asked_for({"retry-after": one, "retry-after-ms": other}, None, NOW)
    assert wait is None or (wait >= 0 and math.isfinite(wait))
