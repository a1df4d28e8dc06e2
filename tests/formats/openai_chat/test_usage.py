from __future__ import annotations

import pytest

from llmgate.formats.openai_chat.usage import decode_usage, encode_usage
from llmgate.spec import Usage


def test_every_part():
    wire = {
        "prompt_tokens": 100,
        "completion_tokens": 50,
        "total_tokens": 150,
        "prompt_tokens_details": {"cached_tokens": 60, "cache_write_tokens": 20, "audio_tokens": 5},
        "completion_tokens_details": {"reasoning_tokens": 30, "audio_tokens": 2},
    }
    usage = Usage(100, 50, cache_read=60, cache_write_5m=20, reasoning=30, audio_input=5, audio_output=2)
    assert decode_usage(wire) == usage
    assert encode_usage(usage) == wire


@pytest.mark.parametrize("wire", [None, {}, [], "x", {"prompt_tokens": None}, {"prompt_tokens": -1, "total_tokens": 3}])
def test_nothing_known_is_none(wire):
    assert decode_usage(wire) is None


def test_unknown_is_not_zero():
    assert decode_usage({"prompt_tokens": 3, "completion_tokens": True}) == Usage(input_tokens=3)
    assert encode_usage(Usage(input_tokens=3)) == {"prompt_tokens": 3}
    assert decode_usage({"prompt_tokens": 0, "prompt_tokens_details": None}) == Usage(input_tokens=0)


@pytest.mark.parametrize("wire", [{"prompt_cache_hit_tokens": 7}, {"cached_tokens": 7}])
def test_vendors_own_words_for_cached(wire):
    assert decode_usage({"prompt_tokens": 9, **wire}) == Usage(input_tokens=9, cache_read=7)


def test_both_cache_writes_are_one():
    assert encode_usage(Usage(cache_write_5m=1, cache_write_1h=2))["prompt_tokens_details"] == {"cache_write_tokens": 3}
