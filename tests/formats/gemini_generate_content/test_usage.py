from __future__ import annotations

import pytest

from llmgate.formats.gemini_generate_content.usage import decode_usage, encode_usage
from llmgate.spec import Usage


@pytest.mark.parametrize(
    ("value", "usage"),
    [
        (
            {"promptTokenCount": 10, "candidatesTokenCount": 5, "thoughtsTokenCount": 7, "totalTokenCount": 22},
            Usage(10, 12, reasoning=7),
        ),
        (  # the total shows that the thoughts are inside
            {"promptTokenCount": 10, "candidatesTokenCount": 12, "thoughtsTokenCount": 7, "totalTokenCount": 22},
            Usage(10, 12, reasoning=7),
        ),
        (
            {"promptTokenCount": 10, "toolUsePromptTokenCount": 90, "candidatesTokenCount": 5, "totalTokenCount": 105},
            Usage(100, 5),
        ),
        ({"promptTokenCount": 10, "cachedContentTokenCount": 8, "totalTokenCount": 10}, Usage(10, 0, cache_read=8)),
        ({"promptTokenCount": 10}, Usage(10)),
        ({"prompt_token_count": 3, "candidates_token_count": 4}, Usage(3, 4)),
        (
            {
                "promptTokenCount": 9,
                "candidatesTokenCount": 1,
                "promptTokensDetails": [{"modality": "TEXT", "tokenCount": 1}, {"modality": "AUDIO", "tokenCount": 8}],
            },
            Usage(9, 1, audio_input=8),
        ),
    ],
)
def test_counts_are_read(value, usage):
    assert decode_usage(value) == usage


@pytest.mark.parametrize("value", [None, {}, [], "x", {"promptTokenCount": -1}, {"promptTokenCount": True}, {"x": 1}])
def test_what_is_no_count_is_unknown(value):
    assert decode_usage(value) is None


def test_counts_are_written_so_that_they_add_up():
    value = encode_usage(Usage(10, 12, cache_read=4, reasoning=7, audio_output=2))
    assert value == {
        "promptTokenCount": 10,
        "candidatesTokenCount": 5,
        "totalTokenCount": 22,
        "cachedContentTokenCount": 4,
        "thoughtsTokenCount": 7,
        "candidatesTokensDetails": [{"modality": "AUDIO", "tokenCount": 2}],
    }
    assert encode_usage(Usage(3)) == {"promptTokenCount": 3}
    assert encode_usage(Usage(3, 1, reasoning=5))["candidatesTokenCount"] == 0
