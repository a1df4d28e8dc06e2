from __future__ import annotations

import pytest

from llmgate.formats import get_format


@pytest.mark.parametrize("name", ["openai-images", "openai-image-edits", "openai-image-variations"])
def test_what_a_record_needs_of_an_answer(name):
    outcome = get_format(name).observe_answer("application/json", b'{"data": [{"url": "u"}, {"url": "v"}]}')
    assert outcome.usage is not None
    assert outcome.usage.images == 2
