"""The built-in interceptors keep what the kit asks of any: doing nothing, doing everything, and refusing."""

from __future__ import annotations

from llmgate.stages.interceptors.cache import Cache, CacheConfig
from llmgate.stages.interceptors.rate_limit import LimitConfig, RateLimit, RateLimitConfig
from llmgate.stages.interceptors.request_rules import RequestRules, RequestRulesConfig
from llmgate.stages.interceptors.target_domains import TargetDomains, TargetDomainsConfig
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


class TestLimits(InterceptorConformance):
    stage_class = RateLimit


class TestLimitsOfTokens(InterceptorConformance):
    stage_class = RateLimit
    config = RateLimitConfig(
        limits=(LimitConfig(10**9, 60.0, unit="tokens"), LimitConfig(10**6, 1.0, by=("user", "ip"))), policy_header=True
    )


class TestALimitThatIsReached(InterceptorConformance):
    stage_class = RateLimit
    config = RateLimitConfig(limits=(LimitConfig(1, 10**6, by=()),))
    lets_through = False


class TestCache(InterceptorConformance):
    stage_class = Cache


class TestCacheOfSeveralAnswers(InterceptorConformance):
    stage_class = Cache
    config = CacheConfig(directive="max-age=60, stale-while-revalidate=60", buckets=3, shared=True, wait=0)


class TestTargetDomains(InterceptorConformance):
    stage_class = TargetDomains


class TestTargetDomainsThatRefuses(InterceptorConformance):
    stage_class = TargetDomains
    config = TargetDomainsConfig(unapproved="refuse", domains=(".example.com",))
