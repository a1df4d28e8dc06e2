from __future__ import annotations

import pytest
from google.genai import types

from llmgate.formats.gemini_generate_content.finishes import block_reason, decode_finish, encode_finish, native_extra
from llmgate.spec import FinishReason


@pytest.mark.parametrize(
    ("word", "calls", "reason"),
    [
        ("STOP", False, FinishReason.STOP),
        ("STOP", True, FinishReason.TOOL_CALLS),
        ("MAX_TOKENS", True, FinishReason.LENGTH),
        ("SAFETY", False, FinishReason.CONTENT_FILTER),
        ("SPII", False, FinishReason.CONTENT_FILTER),
        ("MALFORMED_FUNCTION_CALL", False, FinishReason.STOP),
        ("NEVER_HEARD", False, FinishReason.STOP),
        ("FINISH_REASON_UNSPECIFIED", False, None),
        (None, False, None),
        (7, False, None),
    ],
)
def test_reasons_are_read(word, calls, reason):
    assert decode_finish(word, calls=calls) is reason


def test_every_word_of_the_vendors_library_has_a_meaning():
    for word in types.FinishReason:
        reason = decode_finish(word.value, calls=False)
        assert (reason is None) == word.value.endswith("UNSPECIFIED")
        assert encode_finish(reason) in types.FinishReason.__members__


def test_reasons_are_written():
    assert [encode_finish(reason) for reason in FinishReason] == [
        "STOP",
        "STOP",
        "MAX_TOKENS",
        "STOP",
        "SAFETY",
        "OTHER",
    ]
    assert encode_finish(None) == "STOP"
    assert encode_finish(FinishReason.STOP, refused=True) == "SAFETY"


def test_a_word_that_says_more_is_kept():
    assert native_extra("MALFORMED_FUNCTION_CALL") == {"native_finish_reason": "MALFORMED_FUNCTION_CALL"}
    assert native_extra("STOP") == native_extra(None) == {}


def test_a_blocked_prompt_has_a_reason():
    assert block_reason({"promptFeedback": {"blockReason": "SAFETY"}}) == "SAFETY"
    for value in ({}, {"promptFeedback": {}}, {"promptFeedback": 1}):
        assert block_reason(value) is None
