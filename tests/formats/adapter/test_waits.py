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


@given(st.text(max_size=40), st.text(max_size=10))
def test_whatever_a_header_says_the_wait_makes_sense(one, other):
    wait = wait_asked_for({"retry-after": one, "retry-after-ms": other}, None, NOW)
    assert wait is None or (wait >= 0 and math.isfinite(wait))
