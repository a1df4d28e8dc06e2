from __future__ import annotations

import pytest

from llmgate.formats.ollama_chat.usage import decode_usage, encode_usage
from llmgate.spec import Usage


@pytest.mark.parametrize(
    ("value", "usage"),
    [
        ({"prompt_eval_count": 3, "eval_count": 4}, Usage(3, 4)),
        ({"eval_count": 4}, Usage(None, 4)),
        ({"prompt_eval_count": -1, "eval_count": True}, None),
        ({}, None),
    ],
)
def test_counts(value, usage):
    assert decode_usage(value) == usage


def test_what_is_unknown_is_left_out():
    assert encode_usage(Usage(3, None, reasoning=2)) == {"prompt_eval_count": 3}
    assert encode_usage(None) == {}
