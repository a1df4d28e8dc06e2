from __future__ import annotations

from pathlib import Path

import pytest

from llmgate.spec import ProviderProtocolError, ProviderRateLimitError, ProviderResponse
from llmgate.stages.providers.openai.adapter import OpenAIAdapter
from llmgate.testing.conformance.providers import ProviderConformance


class TestOpenAI(ProviderConformance):
    stage_class = OpenAIAdapter
    golden = Path(__file__).parents[3] / "golden" / "openai"

    def test_a_rate_limit_inside_a_success_is_one(self):
        body = b'{"error": {"message": "slow down", "code": 429, "status": "RESOURCE_EXHAUSTED"}}'
        with pytest.raises(ProviderRateLimitError, match="slow down"):
            self.make_stage().parse_response(self.make_call(), ProviderResponse(200, {}, body))

    def test_a_broken_answer_names_the_provider(self):
        with pytest.raises(ProviderProtocolError, match="'vendor'"):
            self.make_stage().parse_response(self.make_call(), ProviderResponse(200, {}, b"<html>"))
