"""Which requests a limit concerns: by any name of the model, and by each model of a chain."""

from __future__ import annotations

import pytest

from llmgate.stages.interceptors.rate_limit.config import LimitConfig
from llmgate.stages.interceptors.rate_limit.reach import concerns, goes_by_attempt
from llmgate.testing.samples import sample_deployment, sample_request

O3 = LimitConfig(1, 1.0, models=("o3*",))


@pytest.mark.parametrize(
    ("model", "concerned"),
    [("o3", True), ("o3-mini", True), ("openai/o3", True), ("router/a/b/o3", True), ("gpt-4o", False), ("", False)],
)
def test_a_pattern_fits_with_and_without_a_prefix(model, concerned):
    assert concerns(O3, sample_request(model)) is concerned


def test_without_patterns_everything_is_concerned():
    assert concerns(LimitConfig(1, 1.0), sample_request("anything"))


def test_each_model_of_a_chain_is_judged_at_its_attempt():
    chain = sample_request("gpt-4o,o3")
    assert goes_by_attempt(O3, chain)
    assert not goes_by_attempt(O3, sample_request("o3"))
    assert goes_by_attempt(LimitConfig(1, 1.0, by=("model",)), chain)
    assert not goes_by_attempt(LimitConfig(1, 1.0), chain)
    assert concerns(O3, chain, sample_deployment("openai/o3"))
    assert not concerns(O3, chain, sample_deployment("openai/gpt-4o"))


def test_a_provider_is_known_at_an_attempt():
    limit = LimitConfig(1, 1.0, by=("provider",), models=("best",))
    assert goes_by_attempt(limit, sample_request("best"))
    assert concerns(limit, sample_request("best"), sample_deployment("openai/gpt-4o")), "as the caller calls it"
