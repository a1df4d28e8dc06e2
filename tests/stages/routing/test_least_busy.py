"""``least-busy``: who has the least to do is first, and nothing is kept of what has ended."""

from __future__ import annotations

import random

import pytest

from llmgate.spec import Attempt, Deployment, NoConfig, ProviderConnectionError, RoutingContext
from llmgate.stages.routing.least_busy import LeastBusy
from llmgate.testing.samples import sample_attempt, sample_deployment, sample_view

A, B, C = GIVEN = [sample_deployment(f"{name}/m") for name in "abc"]


@pytest.fixture
def stage() -> LeastBusy:
    return LeastBusy(NoConfig())


def ranked(stage: LeastBusy, seed: int = 0, given: list[Deployment] = GIVEN) -> list[Deployment]:
    return list(stage.rank(sample_view(), given, RoutingContext(now=0.0, random=random.Random(seed).random)))


def begun(stage: LeastBusy, *deployments: Deployment) -> list[Attempt]:
    attempts = [sample_attempt(one) for one in deployments]
    for attempt in attempts:
        stage.started(attempt)
    return attempts


def test_the_fewest_running_attempts_come_first(stage: LeastBusy) -> None:
    begun(stage, A, A, B)
    assert all(ranked(stage, seed) == [C, B, A] for seed in range(20))


def test_an_attempt_that_ends_counts_no_longer_however_it_ends(stage: LeastBusy) -> None:
    first, second, _ = begun(stage, A, A, B)
    first.error = ProviderConnectionError("gone")
    second.abandoned = True
    stage.finished(first)
    stage.finished(second)
    assert ranked(stage, given=[B, A]) == [A, B]


def test_equally_busy_ones_share_the_traffic(stage: LeastBusy) -> None:
    begun(stage, A, B, C)
    first = [ranked(stage, seed)[0].provider_name for seed in range(900)]
    assert all(250 < first.count(name) < 350 for name in "abc")


def test_a_hundred_at_once_are_spread_evenly(stage: LeastBusy) -> None:
    """Each is dealt out when the others are already running, as dispatch does it."""
    dealt = []
    for seed in range(99):
        (first, *_) = ranked(stage, seed)
        dealt.append(first.provider_name)
        begun(stage, first)
    assert [dealt.count(name) for name in "abc"] == [33, 33, 33]


def test_nothing_is_kept_of_what_has_ended(stage: LeastBusy) -> None:
    for attempt in begun(stage, A, B, A):
        stage.finished(attempt)
    stage.finished(sample_attempt(C))
    assert stage._running == {}
