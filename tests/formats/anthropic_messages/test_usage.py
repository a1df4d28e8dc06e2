"""Counts: all input is one number here, and its parts stand beside what no cache had to do with there."""

from __future__ import annotations

import pytest
from hypothesis import given, strategies as st

from llmgate.formats.anthropic_messages.usage import decode_usage, encode_usage
from llmgate.formats.openai_chat.usage import decode_usage as decode_openai, encode_usage as encode_openai
from llmgate.spec import Usage

counts = st.none() | st.integers(0, 10**6)


@pytest.mark.parametrize(
    ("value", "usage"),
    [
        ({"input_tokens": 5, "output_tokens": 2}, Usage(5, 2)),
        (
            {"input_tokens": 5, "output_tokens": 2, "cache_read_input_tokens": 7, "cache_creation_input_tokens": 11},
            Usage(23, 2, cache_read=7, cache_write_5m=11),
        ),
        (
            {
                "input_tokens": 5,
                "cache_creation_input_tokens": 11,
                "cache_creation": {"ephemeral_5m_input_tokens": 4, "ephemeral_1h_input_tokens": 7},
                "output_tokens_details": {"thinking_tokens": 1},
            },
            Usage(16, None, cache_write_5m=4, cache_write_1h=7, reasoning=1),
        ),
        ({"input_tokens": 1, "cache_read_input_tokens": None, "cache_creation": None}, Usage(1)),
        ({"output_tokens": 3}, Usage(None, 3)),
        ({"input_tokens": True, "output_tokens": -1}, None),
        ({}, None),
        (None, None),
        ("many", None),
    ],
)
def test_reads(value, usage):
    assert decode_usage(value) == usage


@given(st.builds(Usage, *[st.integers(0, 10**6)] * 2, *[counts] * 4))
def test_never_negative_and_totals_are_kept(usage):
    value = encode_usage(usage)
    assert min(one for one in value.values() if isinstance(one, int)) >= 0
    parts = [usage.cache_read, usage.cache_write_5m, usage.cache_write_1h]
    if sum(part or 0 for part in parts) <= usage.input_tokens:
        assert decode_usage(value) == usage


@given(st.builds(Usage, st.integers(100, 1000), st.integers(0, 100), *[st.none() | st.integers(0, 30)] * 2))
def test_through_openais_counts_and_back(usage):
    assert decode_usage(encode_usage(decode_openai(encode_openai(usage)))) == usage


def test_unknown_is_left_out_and_totals_are_always_there():
    assert encode_usage(Usage(3, 4)) == {"input_tokens": 3, "output_tokens": 4}
    assert encode_usage(None) == {"input_tokens": 0, "output_tokens": 0}
    assert encode_usage(Usage(3, 4, cache_read=5))["input_tokens"] == 0
