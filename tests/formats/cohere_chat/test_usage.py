from __future__ import annotations

import pytest

from formats.cohere_chat.recorded import USAGE
from llmgate.formats.cohere_chat.usage import decode_usage, encode_usage
from llmgate.spec import Usage


@pytest.mark.parametrize(
    ("value", "usage"),
    [
        (USAGE, Usage(231, 41)),
        ({"billed_units": {"input_tokens": 2.0, "output_tokens": 3}}, Usage(2, 3)),
        ({"tokens": {"input_tokens": 2.5, "output_tokens": -1}}, None),
        ({"cached_tokens": 5, "tokens": {"input_tokens": True}}, Usage(cache_read=5)),
        ({}, None),
        (3, None),
    ],
)
def test_counts(value, usage):
    assert decode_usage(value) == usage


def test_what_is_unknown_is_left_out():
    assert encode_usage(Usage(3, None)) == {"billed_units": {"input_tokens": 3}, "tokens": {"input_tokens": 3}}
    assert encode_usage(Usage(cache_read=1)) == {"cached_tokens": 1}
