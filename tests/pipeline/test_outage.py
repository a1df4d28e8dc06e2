"""The states of a circuit breaker: closed, open, half-open with one trial; a model agrees, whatever happens."""

from __future__ import annotations

from typing import Any

import attrs
from hypothesis import assume, settings, strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from llmgate.config.model import HealthConfig
from llmgate.pipeline.health import Health
from llmgate.pipeline.outage import Outage
from llmgate.spec import Attempt, GatewayError, NoDeploymentError, ProviderError, ProviderRateLimitError
from llmgate.testing.samples import sample_attempt, sample_deployment


def test_an_outage_is_open_until_its_trial_is_due() -> None:
    outage = Outage(since=0.0, until=60.0, trial=5.0, seen=0.0, why="it fails")
    assert (outage.state(4.9), outage.wait(4.0)) == ("open", 1.0)
    assert (outage.state(5.0), outage.wait(6.0)) == ("half-open", 0.0)


def test_one_trial_at_a_time() -> None:
    outage = Outage(since=0.0, until=60.0, trial=5.0, seen=0.0, why="it fails")
    assert not outage.take_trial(4.9, 10.0)
    assert outage.take_trial(5.0, 10.0)
    assert not outage.take_trial(14.9, 10.0)
    outage.end_trial(4.0, 6.0)
    assert not outage.take_trial(14.9, 10.0), "that was another attempt, which began before"
    assert outage.take_trial(15.0, 10.0), "nothing was heard of it"
    outage.end_trial(15.0, 20.0)
    assert not outage.take_trial(19.9, 10.0)
    assert outage.take_trial(20.0, 10.0)


def test_a_shorter_wish_shortens_nothing() -> None:
    outage = Outage(since=0.0, until=60.0, trial=30.0, seen=0.0, why="it fails")
    outage.extend(1.0, 10.0, 5.0, "it fails again")
    assert (outage.until, outage.trial, outage.seen, outage.why) == (60.0, 30.0, 1.0, "it fails again")


DEPLOYMENTS = [sample_deployment(f"{name}/m") for name in "abc"]
CONFIG = HealthConfig(ratio=0.25, window=10.0, buckets=5, interval=2.0, min_requests=4, max_rest=20.0)
PATIENCE = 125.0
ENDS: dict[str, GatewayError | None] = {
    "ok": None,
    "down": ProviderError("down", upstream_status=503, retryable=True),
    "limited": ProviderRateLimitError("slow down", upstream_status=429, retryable=True, retry_after=3.0),
    "wrong": ProviderError("bad request", upstream_status=400),
    "left": None,
}


@attrs.define
class Model:
    """What anybody would say of a deployment who had kept every event."""

    events: list[tuple[int, bool]] = attrs.field(factory=list)
    failing: bool = False
    dead: bool = False
    last_failure: float = -1e9
    limited_until: float = -1e9
    word: float = -1e9
    """The latest bad news: what began before it proves nothing."""
    trial: Attempt | None = None
    since: list[bool] = attrs.field(factory=list)
    """How what has ended since it was left out has ended."""

    def out(self, now: float) -> bool:
        return now < self.limited_until or (self.failing and (self.dead or now < self.last_failure + CONFIG.window))

    def back(self) -> None:
        self.events, self.since, self.failing, self.dead, self.limited_until = [], [], False, False, -1e9

    def count(self, now: float, failed: bool) -> tuple[int, int]:
        if self.out(now):
            self.since.append(failed)
        slot = int(now * CONFIG.buckets / CONFIG.window)
        self.events.append((slot, failed))
        recent = [bad for at, bad in self.events if at > slot - CONFIG.buckets]
        return len(recent), sum(recent)


class Breaker(RuleBasedStateMachine):
    """Requests come, run side by side, and end in any way; the model follows."""

    def __init__(self) -> None:
        super().__init__()
        self.health = Health(CONFIG)
        self.now = 1000.0
        self.models = {one.id: Model() for one in DEPLOYMENTS}
        self.running: list[Attempt] = []

    @rule(seconds=st.sampled_from([0.1, 0.5, 2.0, 3.0, 11.0]))
    def time_passes(self, seconds: float) -> None:
        assume(not self.running or self.now + seconds < min(one.started for one in self.running) + PATIENCE)
        self.now += seconds
        for model in self.models.values():
            if not model.out(self.now) and (model.failing or model.limited_until > 0):
                model.back()

    @rule(order=st.permutations(DEPLOYMENTS), least=st.integers(1, 3))
    def a_request_comes(self, order: list[Any], least: int) -> None:
        ranked = order[:least]
        try:
            arranged = list(self.health.arranged(ranked, self.now))
        except NoDeploymentError as refused:
            self._check_refusal(ranked, refused.retry_after or 0.0)
            return
        assert len(set(arranged)) == len(arranged), "nobody comes twice"
        assert set(arranged) <= set(ranked)
        well = [one for one in ranked if not self.models[one.id].out(self.now)]
        assert set(well) <= set(arranged), "who is well is never lost"
        first, model = arranged[0], self.models[arranged[0].id]
        if well and model.out(self.now):
            assert model.failing or model.limited_until <= self.now, "who limits the gateway gets no trial"
            assert first is ranked[0] or self.now >= model.last_failure + CONFIG.window
        if model.dead:
            assert model.trial is None, "one trial at a time"
        attempt = sample_attempt(first, started=self.now)
        if model.out(self.now) and model.dead:
            model.trial = attempt
        self.running.append(attempt)

    def _check_refusal(self, ranked: list[Any], retry_after: float) -> None:
        assert retry_after > 0
        assert all(self.models[one.id].dead for one in ranked), "refused although one of them is not dead"
        for one in ranked:
            model = self.models[one.id]
            waits = self.now < max(model.word + CONFIG.interval, model.limited_until)
            assert waits or model.trial is not None, "refused although one of them could be tried"

    @precondition(lambda self: self.running)
    @rule(index=st.integers(0, 30), end=st.sampled_from([*ENDS, "down", "down", "ok"]))
    def a_request_ends(self, index: int, end: str) -> None:
        self.now += 0.01
        attempt = self.running.pop(index % len(self.running))
        model = self.models[attempt.deployment.id]
        was_out = model.out(self.now)
        if not was_out and (model.failing or model.limited_until > 0):
            model.back()
        if model.trial is attempt:
            model.trial = None
        attempt.finished, attempt.error, attempt.abandoned = self.now, ENDS[end], end == "left"
        if end == "ok":
            attempt.first_content = self.now
            self.health.answered(attempt, self.now)
            if was_out and attempt.started > model.word:
                model.back()
                model.trial = None
        self.health.finished(attempt, self.now)
        if end in ("ok", "wrong"):
            model.count(self.now, failed=False)
        elif end == "down":
            self._failed(model, attempt)
        elif end == "limited":
            model.limited_until = max(model.limited_until, self.now + 3.0)
            model.word = self.now

    def _failed(self, model: Model, attempt: Attempt) -> None:
        requests, errors = model.count(self.now, failed=True)
        judged = requests >= CONFIG.min_requests
        opens = judged and errors > CONFIG.ratio * requests
        if opens or (model.out(self.now) and attempt.started > model.word):
            model.failing = True
            model.last_failure = model.word = self.now
            if judged:
                model.dead = errors > CONFIG.refuse_ratio * requests
            if len(model.since) >= CONFIG.min_requests:
                model.dead = model.dead or sum(model.since) > CONFIG.refuse_ratio * len(model.since)

    @invariant()
    def all_are_out_that_should_be(self) -> None:
        for one in DEPLOYMENTS:
            assert self.health.leaves_out(one, self.now) == self.models[one.id].out(self.now), one.id


TestBreaker = Breaker.TestCase
TestBreaker.settings = settings(max_examples=120, stateful_step_count=60, deadline=None)
