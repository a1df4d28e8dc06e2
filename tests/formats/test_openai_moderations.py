from __future__ import annotations

import pytest

from llmgate.formats import get_format


@pytest.mark.parametrize("name", ["openai-moderations"])
def test_what_a_record_needs_of_an_answer(name):
    outcome = get_format(name).observe_answer("application/json", b'{"results": [{"flagged": false}]}')
    assert outcome.usage is None
