from __future__ import annotations

import pytest

from llmgate.formats import get_format


@pytest.mark.parametrize("name", ["openai-transcriptions", "openai-translations"])
def test_what_a_record_needs_of_an_answer(name):
    outcome = get_format(name).observe_answer(
        "application/json", b'{"text": "hello", "usage": {"type": "duration", "seconds": 4}}'
    )
    assert outcome.usage is not None
    assert outcome.usage.audio_seconds == 4
    assert get_format(name).observe_answer("text/vtt", b"WEBVTT").content
