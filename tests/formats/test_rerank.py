from __future__ import annotations

import pytest

from llmgate.formats import get_format


@pytest.mark.parametrize("name", ["rerank"])
def test_what_a_record_needs_of_an_answer(name):
    outcome = get_format(name).observe_answer(
        "application/json", b'{"results": [], "meta": {"billed_units": {"search_units": 2}}}'
    )
    assert outcome.usage is not None
    assert outcome.usage.search_units == 2
