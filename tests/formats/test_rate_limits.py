"""Headers that tell what is left, from one family of vendors to the other."""

from __future__ import annotations

import pytest
from hypothesis import given, strategies as st

from llmgate.formats.rate_limits import (
    Allowance,
    read_rate_limits,
    time_to_refill,
    translated_limits,
    write_rate_limits,
)

NOW = 1_800_000_000.0
OPENAI = {
    "x-ratelimit-limit-requests": "60",
    "x-ratelimit-remaining-requests": "59",
    "x-ratelimit-reset-requests": "1s",
    "x-ratelimit-limit-tokens": "150000",
    "x-ratelimit-remaining-tokens": "149984",
    "x-ratelimit-reset-tokens": "6m0s",
}
ANTHROPIC = {
    "anthropic-ratelimit-requests-limit": "60",
    "anthropic-ratelimit-requests-remaining": "59",
    "anthropic-ratelimit-requests-reset": "2027-01-15T08:00:01Z",
    "anthropic-ratelimit-tokens-limit": "150000",
    "anthropic-ratelimit-tokens-remaining": "149984",
    "anthropic-ratelimit-tokens-reset": "2027-01-15T08:06:00Z",
}


def test_one_family_says_what_the_other_says():
    assert translated_limits(OPENAI, "anthropic", NOW) == ANTHROPIC
    assert translated_limits(ANTHROPIC, "openai", NOW) == OPENAI
    assert translated_limits(OPENAI, "openai", NOW) == OPENAI
    assert translated_limits(OPENAI, None, NOW) == {}


def test_what_openai_has_no_header_for_is_left_out():
    headers = {"anthropic-ratelimit-input-tokens-remaining": "5", "anthropic-ratelimit-output-tokens-limit": "6"}
    assert translated_limits(headers, "openai", NOW) == {}
    assert translated_limits(headers, "anthropic", NOW) == headers


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("6m0s", 360.0),
        ("20ms", 0.02),
        ("1.5s", 1.5),
        ("1h2m3s", 3723.0),
        ("1d", 86400.0),
        ("7", 7.0),
        ("1m30.951s", 90.951),
        ("0s", 0.0),
        ("soon", None),
        ("-1s", None),
        ("", None),
        ("9" * 99 + "s", None),
    ],
)
def test_durations(text, seconds):
    found = read_rate_limits({"x-ratelimit-reset-tokens": text}, NOW).get("tokens", Allowance())
    assert found.reset == (pytest.approx(seconds) if seconds is not None else None)


@pytest.mark.parametrize("text", ["", "yesterday", "2027-13-01T00:00:00Z", "9" * 70, "9999-12-31T23:59:59-23:59"])
def test_a_moment_that_makes_no_sense_is_not_said(text):
    found = read_rate_limits({"anthropic-ratelimit-tokens-reset": text, "anthropic-ratelimit-tokens-limit": "1"}, NOW)
    assert found["tokens"].limit == 1
    assert found["tokens"].reset is None or found["tokens"].reset >= 0


def test_a_moment_that_has_passed_is_now():
    found = read_rate_limits({"anthropic-ratelimit-tokens-reset": "2020-01-01T00:00:00Z"}, NOW)
    assert found["tokens"].reset == 0


@given(st.integers(0, 10**9), st.integers(0, 10**9), st.floats(0, 10**6))
def test_what_is_written_is_read_again(limit, remaining, reset):
    allowances = {"tokens": Allowance(limit, remaining, reset)}
    for family in ("openai", "anthropic"):
        read = read_rate_limits(write_rate_limits(allowances, family, NOW), NOW)["tokens"]
        assert (read.limit, read.remaining) == (limit, remaining)
        assert read.reset == pytest.approx(reset, abs=1.0)


@given(
    st.dictionaries(st.sampled_from([*OPENAI, *ANTHROPIC]), st.text(max_size=80)),
    st.sampled_from(["openai", "anthropic"]),
)
def test_whatever_a_provider_sends_nothing_breaks(headers, family):
    for value in translated_limits(headers, family, NOW).values():
        assert value.isascii()


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"x-ratelimit-remaining-tokens": "1", "x-ratelimit-reset-tokens": "6m0s"}, None),
        ({"x-ratelimit-remaining-tokens": "0"}, None),
        ({"x-ratelimit-remaining-tokens": "0", "x-ratelimit-reset-tokens": "soon"}, None),
        ({"x-ratelimit-remaining-tokens": "0", "x-ratelimit-reset-tokens": "6m0s"}, 360.0),
        (
            {
                "x-ratelimit-remaining-tokens": "0",
                "x-ratelimit-reset-tokens": "2s",
                "x-ratelimit-remaining-requests": "0",
                "x-ratelimit-reset-requests": "9s",
            },
            9.0,
        ),
        (
            {
                "x-ratelimit-remaining-tokens": "0",
                "x-ratelimit-reset-tokens": "2s",
                "x-ratelimit-remaining-requests": "5",
                "x-ratelimit-reset-requests": "9s",
            },
            2.0,
        ),
        (
            {
                "anthropic-ratelimit-input-tokens-remaining": "0",
                "anthropic-ratelimit-input-tokens-reset": "2023-11-14T22:13:50Z",
            },
            30.0,
        ),
    ],
)
def test_when_what_is_used_up_is_there_again(headers: dict[str, str], seconds: float | None) -> None:
    assert time_to_refill(headers, 1_700_000_000.0) == seconds
