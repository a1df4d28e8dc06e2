from __future__ import annotations

import pytest

from config.fakes import Loader
from llmgate.config.model import ResilienceConfig, RetryBudgetConfig


@pytest.mark.parametrize(
    ("retries", "problem"),
    [
        (
            "{strategy: constant, min-delay: 1s}",
            "c.yaml:1:40: 'min-delay' belongs to strategy: exponential, this one is constant",
        ),
        ("{delay: 1s}", "c.yaml:1:20: 'delay' belongs to strategy: constant, this one is exponential"),
        ("{strategy: linear}", "c.yaml:1:30: 'strategy' must be one of exponential, constant, not 'linear'"),
        ("{max-retries: -1}", "c.yaml:1:20: 'max-retries' must be 0 to 100, not -1"),
        ("{factor: 0.5}", "c.yaml:1:20: 'factor' must be 1 to 1000, not 0.5"),
        ("{min-delay: 9s, max-delay: 1s}", "c.yaml:1:35: 'max-delay' must not be less than 'min-delay'"),
    ],
)
def test_wrong_retries(loader: Loader, retries: str, problem: str) -> None:
    assert loader.problems(f"global: {{retries: {retries}}}")[0] == problem


def test_each_scope_says_what_it_has_to_say(loader: Loader) -> None:
    config = loader.text(
        "global: {retry-budget: {ratio: 0.1, floor: 3, window: 30s}, resend-unknown: false, credential-cool-down: 5m}\n"
        "unified-api: {on-disconnect: drain}\n"
        "routers: {a: {retry-budget: {floor: 0}, resend-unknown: true, on-disconnect: cancel}, b: {}}\n"
    )
    assert config.resilience == ResilienceConfig(RetryBudgetConfig(0.1, 3, 30.0), resend_unknown=False)
    assert config.unified_resilience == ResilienceConfig(on_disconnect="drain")
    assert config.routers["a"].resilience == ResilienceConfig(RetryBudgetConfig(floor=0), True, "cancel")
    assert config.routers["b"].resilience == ResilienceConfig()
    assert config.credential_cool_down == 300


def test_without_a_word_the_defaults_hold(loader: Loader) -> None:
    config = loader.text("routers: {a: {retry-budget: {}}}")
    assert config.routers["a"].resilience.retry_budget == RetryBudgetConfig(0.2, 10, 10.0)
    assert config.resilience == ResilienceConfig()
    assert config.credential_cool_down == 60


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("{retry-budget: {ratio: -0.1}}", "c.yaml:1:25: 'ratio' must be 0 to 100, not -0.1"),
        ("{retry-budget: {window: 0s}}", "c.yaml:1:25: 'window' must be 1 to 3600, not 0"),
        ("{retry-budget: {share: 1}}", "c.yaml:1:25: unknown key 'share' in retry-budget"),
        ("{on-disconnect: ignore}", "c.yaml:1:25: 'on-disconnect' must be one of cancel, drain, not 'ignore'"),
        ("{resend-unknown: maybe}", "c.yaml:1:26: 'resend-unknown' must be true or false, not 'maybe'"),
        ("{credential-cool-down: 2d}", "c.yaml:1:10: 'credential-cool-down' must be 0 to 86400, not 172800"),
    ],
)
def test_what_is_wrong_is_named(loader: Loader, text: str, problem: str) -> None:
    assert loader.problems(f"global: {text}")[0].startswith(problem)


def test_when_a_second_attempt_is_made_beside_the_first(loader: Loader) -> None:
    config = loader.text("global: {hedge-after: 1500ms}\nunified-api: {hedge-after: 2}", OPENAI_API_KEY="x")
    assert (config.resilience.hedge_after, config.unified_resilience.hedge_after) == (1.5, 2.0)
    assert "'hedge-after' must be more than 0" in loader.one("global: {hedge-after: 0s}", OPENAI_API_KEY="x")
