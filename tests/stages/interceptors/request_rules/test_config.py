"""The rules of ``request-rules`` are off until they are written, and wrong ones are refused."""

from __future__ import annotations

import pytest

from llmgate.stages.interceptors.request_rules.config import RequestRulesConfig


@pytest.mark.parametrize("field", ["max_output_tokens", "max_output_characters", "max_concurrent_attempts"])
@pytest.mark.parametrize("value", [0, -1])
def test_a_bound_is_positive(field, value):
    with pytest.raises(ValueError, match=f"{field.replace('_', '-')} must be above 0, not {value}"):
        RequestRulesConfig(**{field: value})


def test_only_known_words_are_taken():
    with pytest.raises(ValueError, match="over-limit: 'ignore' is not one of lower, refuse"):
        RequestRulesConfig(over_limit="ignore")
