"""Unknown is not zero."""

from __future__ import annotations

import pytest

from llmgate.spec import Usage


@pytest.mark.parametrize(
    ("usage", "total"),
    [
        (Usage(), None),
        (Usage(input_tokens=3), None),
        (Usage(output_tokens=3), None),
        (Usage(input_tokens=3, output_tokens=0), 3),
        (Usage(input_tokens=3, output_tokens=4, cache_read=2, reasoning=1), 7),
    ],
)
def test_the_total_is_known_when_both_parts_are(usage, total):
    assert usage.total_tokens == total
