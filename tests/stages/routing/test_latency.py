"""``latency``: quick deployments attract traffic, slow, busy and failing ones lose it, and all come back in time."""

from __future__ import annotations

import random

import attrs
import pytest

from llmgate.spec import (
    GatewayTimeoutError,
    InvalidRequestError,
    ProviderConnectionError,
    ProviderError,
    ProviderRateLimitError,
    RoutingContext,
    SecretNotFoundError,
)
from llmgate.stages.routing import latency
from llmgate.stages.routing.latency import Latency, LatencyConfig
from llmgate.testing.samples import sample_attempt, sample_deployment, sample_view

A, B, C = (sample_deployment(f"{name}/m") for name in "abc")


@pytest.fixture
def stage():
    return Latency(LatencyConfig())


def run(stage, deployment, start, *, first_content=None, end=None, **fields):
    """One attempt from beginning to end; times in seconds from ``start``."""
    attempt = sample_attempt(deployment, started=start)
    stage.started(attempt)
    if first_content is not None:
        attempt.first_content = start + first_content
        stage.first_content(attempt)
    attempt.finished = start + (end if end is not None else first_content)
    for name, value in fields.items():
        setattr(attempt, name, value)
    stage.finished(attempt)


def share(stage, deployments, now, of, draws=400):
    """How often a deployment is ranked first."""
    dice = random.Random(7)
    view = sample_view()
    ranked = (stage.rank(view, deployments, RoutingContext(now=now, random=dice.random)) for _ in range(draws))
    return sum(order[0] is of for order in ranked) / draws


def test_nothing_known_is_shared_evenly(stage):
    assert share(stage, [A, B, C], 0.0, A) == pytest.approx(1 / 3, abs=0.08)


def test_of_two_the_quicker_is_always_first(stage):
    run(stage, A, 0.0, first_content=0.1)
    run(stage, B, 0.0, first_content=0.9)
    assert share(stage, [A, B], 1.0, A) == 1.0
    assert share(stage, [B, A], 1.0, A) == 1.0


def test_of_three_the_slowest_is_never_first_and_comes_last(stage):
    for deployment, seconds in ((A, 0.3), (B, 0.6), (C, 0.9)):
        run(stage, deployment, 0.0, first_content=seconds)
    assert share(stage, [A, B, C], 1.0, C) == 0.0
    assert share(stage, [A, B, C], 1.0, A) == pytest.approx(2 / 3, abs=0.08)
    ranked = stage.rank(sample_view(), [C, B, A], RoutingContext(now=1.0, random=random.Random(1).random))
    assert ranked[-1] is C


def test_a_slower_answer_counts_at_once_and_a_quicker_one_by_and_by(stage):
    run(stage, A, 0.0, first_content=2.0)
    assert stage.score(A, 2.0) == pytest.approx(2.0)
    run(stage, A, 2.0, first_content=0.1)
    assert 1.8 < stage.score(A, 2.1) < 2.0
    run(stage, A, 3.0, first_content=4.0)
    assert stage.score(A, 7.0) == pytest.approx(4.0)


def test_requests_in_flight_multiply(stage):
    for _ in range(3):
        stage.started(sample_attempt(A, started=0.0))
    assert stage.score(A, 0.0) == pytest.approx(0.25 * 4)


def test_what_is_measured_is_the_first_content_and_not_the_length_of_the_answer(stage):
    run(stage, A, 0.0, first_content=0.3, end=60.0)
    run(stage, B, 0.0, first_content=0.6, end=0.7)
    assert stage.score(A, 0.3) == pytest.approx(0.3)
    assert stage.score(B, 0.6) == pytest.approx(0.6)


def test_an_answer_without_a_first_content_is_measured_whole(stage):
    run(stage, A, 0.0, end=0.8)
    assert stage.score(A, 0.8) == pytest.approx(0.8)


@pytest.mark.parametrize(
    "error",
    [
        ProviderConnectionError("refused"),
        ProviderRateLimitError("slow down", upstream_status=429),
        ProviderError("no such model", upstream_status=404),
        SecretNotFoundError("env:X is not set"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_failing_quickly_attracts_no_traffic_and_is_forgiven_in_time(stage, error):
    run(stage, A, 0.0, first_content=1.0)
    run(stage, B, 0.0, end=0.001, error=error)
    assert share(stage, [A, B], 1.0, A) == 1.0
    run(stage, A, 119.0, first_content=1.0)
    assert share(stage, [A, B], 120.0, B) == 1.0, "tried again after a while"
    run(stage, B, 120.0, end=0.001, error=error)
    assert share(stage, [A, B], 120.1, A) == 1.0, "and given up at once when it fails again"


@pytest.mark.parametrize(
    "error",
    [
        ProviderError("bad request", upstream_status=400),
        ProviderError("too large", upstream_status=413),
        InvalidRequestError("no counterpart"),
        GatewayTimeoutError("the deadline has passed"),
    ],
    ids=lambda error: f"{type(error).__name__}-{getattr(error, 'upstream_status', '')}",
)
def test_the_callers_mistake_is_not_the_deployments(stage, error):
    run(stage, A, 0.0, first_content=0.2)
    before = stage.score(A, 0.2)
    run(stage, A, 0.2, end=0.001, error=error)
    assert stage.score(A, 0.201) == pytest.approx(before, rel=0.01)


def test_who_has_not_been_tried_goes_first(stage):
    run(stage, A, 0.0, first_content=0.001)
    run(stage, B, 0.0, first_content=0.001)
    assert share(stage, [A, B, C], 0.1, C) == 1.0


def test_a_caller_who_leaves_early_tells_nothing_and_one_who_waited_long_does(stage):
    run(stage, A, 0.0, end=0.05, abandoned=True)
    assert stage.score(A, 0.05) == pytest.approx(0.25, rel=0.01)
    run(stage, A, 1.0, end=9.0, abandoned=True)
    assert stage.score(A, 10.0) == pytest.approx(9.0)


def test_a_stream_that_breaks_after_its_first_content_counts_as_failed(stage):
    run(stage, A, 0.0, first_content=0.1, end=0.2, error=ProviderConnectionError("cut"))
    assert stage.score(A, 0.2) == pytest.approx(5.0)


def test_the_memory_is_bounded_and_keeps_what_is_in_flight(monkeypatch):
    monkeypatch.setattr(latency, "_MAX_ENTRIES", 10)
    stage = Latency(LatencyConfig())
    busy = sample_deployment("busy/m")
    stage.started(sample_attempt(busy, started=0.0))
    for number in range(100):
        run(stage, sample_deployment(f"p{number}/m"), 1.0, first_content=3.0)
    assert len(stage._scores) <= 10
    assert stage.score(busy, 0.0) == pytest.approx(0.5)


def test_an_end_without_a_beginning_leaves_no_negative_count(stage):
    stage.finished(sample_attempt(A, started=0.0, finished=0.5))
    assert stage.score(A, 0.5) > 0


def test_the_slow_one_of_three_is_avoided_under_load():
    """A short simulation: 0.1 s, 0.1 s and 2 s; the slow one gets a small part of the traffic, but is not forgotten."""
    stage = Latency(LatencyConfig())
    dice = random.Random(5)
    speeds = {"a/m": 0.1, "b/m": 0.1, "c/m": 2.0}
    served = dict.fromkeys(speeds, 0)
    now, view, running = 0.0, sample_view(), []
    for _ in range(3000):
        now += 0.05
        for entry in [one for one in running if one[0] <= now]:
            running.remove(entry)
            stage.finished(attrs.evolve(entry[1], finished=entry[0]))
        chosen = stage.rank(view, [A, B, C], RoutingContext(now=now, random=dice.random))[0]
        served[chosen.id] += 1
        attempt = sample_attempt(chosen, started=now)
        stage.started(attempt)
        running.append((now + speeds[chosen.id], attempt))
    assert 0 < served["c/m"] < 300
    assert served["a/m"] == pytest.approx(served["b/m"], rel=0.2)


@pytest.mark.parametrize("field", ["decay", "default_rtt", "error_penalty"])
@pytest.mark.parametrize("value", [0, -1, float("nan"), float("inf")])
def test_times_are_positive(field, value):
    with pytest.raises(ValueError, match="positive number of seconds"):
        LatencyConfig(**{field: value})
