"""The built-in interceptor keeps what the kit asks of any: without a rule, with every rule, and refusing."""

from __future__ import annotations

from llmgate.stages.interceptors.request_rules import RequestRules, RequestRulesConfig
from llmgate.testing.conformance import InterceptorConformance


class TestWithoutRules(InterceptorConformance):
    stage_class = RequestRules


class TestWithEveryRule(InterceptorConformance):
    stage_class = RequestRules
    config = RequestRulesConfig(
        models=("gpt-*",),
        upstream_models=("openai/*",),
        max_output_tokens=100,
        max_output_characters=1000,
        max_concurrent_attempts=60,
        count_output=True,
        metadata={"team": "blue"},
    )


class TestRefusing(InterceptorConformance):
    stage_class = RequestRules
    config = RequestRulesConfig(models=("nothing-*",))
    lets_through = False
