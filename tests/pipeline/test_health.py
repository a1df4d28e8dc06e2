"""Who fails too often, or limits the gateway, is asked last until a trial or time brings it back."""

from __future__ import annotations

import asyncio
import logging
import math
from typing import Any

import attrs
import pytest

from llmgate.config.model import HealthConfig
from llmgate.pipeline import health as module
from llmgate.pipeline.health import Health, is_a_failure
from llmgate.spec import (
    Attempt,
    Deployment,
    GatewayError,
    GatewayTimeoutError,
    InvalidRequestError,
    NoDeploymentError,
    Principal,
    ProviderAuthenticationError,
    ProviderConnectionError,
    ProviderError,
    ProviderProtocolError,
    ProviderRateLimitError,
    ProviderTimeoutError,
    SecretRef,
)
from llmgate.testing.clock import FakeClock
from llmgate.testing.samples import sample_attempt, sample_deployment
from llmgate.testing.transport import json_answer
from scripted import CONFIG, MESSAGES, Bench, OpenBench, completion, failure, streamed

A, B, C = (sample_deployment(f"{name}/m") for name in "abc")
DOWN = ProviderError("down", upstream_status=503, retryable=True)
LIMITED = ProviderRateLimitError("slow down", upstream_status=429, retryable=True)


def attempted(health: Health, one: Deployment, now: float, error: GatewayError | None = None, **fields: Any) -> None:
    """An attempt that took a tenth of a second and ended now."""
    attempt: Attempt = sample_attempt(one, started=now - 0.1, finished=now, error=error, **fields)
    if error is None and not attempt.abandoned:
        attempt.first_content = now
        health.answered(attempt, now)
    health.finished(attempt, now)


def failing(health: Health, one: Deployment, now: float, times: int = 20) -> None:
    for _ in range(times):
        attempted(health, one, now, DOWN)


@pytest.fixture
def health() -> Health:
    return Health(HealthConfig())


def test_nothing_is_judged_below_the_least_number(health: Health) -> None:
    failing(health, A, 1000.0, 19)
    assert health.arranged([A, B], 1000.0) == [A, B]
    failing(health, A, 1000.0, 1)
    assert list(health.arranged([A, B], 1000.0)) == [B, A]


@pytest.mark.parametrize(("errors", "out"), [(10, False), (11, True)])
def test_out_is_who_fails_more_often_than_the_ratio(health: Health, errors: int, out: bool) -> None:
    for _ in range(100 - errors):
        attempted(health, A, 1000.0)
    failing(health, A, 1000.0, errors)
    assert health.leaves_out(A, 1000.0) is out


def test_the_window_slides(health: Health) -> None:
    failing(health, A, 1000.0, 15)
    failing(health, A, 1057.0, 4)
    assert not health.leaves_out(A, 1057.0), "nineteen within the minute"
    failing(health, A, 1062.0, 15)
    assert not health.leaves_out(A, 1062.0), "the first fifteen have left the window"
    failing(health, A, 1063.0, 1)
    assert health.leaves_out(A, 1063.0)


def test_a_long_silence_empties_the_window(health: Health) -> None:
    failing(health, A, 1000.0, 19)
    failing(health, A, 1_000_000.0, 19)
    assert not health.leaves_out(A, 1_000_000.0)


def test_a_ratio_of_one_leaves_nobody_out() -> None:
    health = Health(HealthConfig(ratio=1.0))
    failing(health, A, 1000.0, 500)
    assert not health.leaves_out(A, 1000.0)


def some_failing(health: Health, one: Deployment, now: float, share: float) -> None:
    """Attempts of which a share fails, the failures last."""
    for _ in range(round(100 * (1 - share))):
        attempted(health, one, now)
    failing(health, one, now, round(100 * share))


def test_when_every_one_fails_nobody_is_asked_until_a_trial_is_due(health: Health) -> None:
    failing(health, A, 1000.0)
    failing(health, B, 1002.0)
    with pytest.raises(NoDeploymentError) as refused:
        health.arranged([B, A], 1002.5)
    assert (refused.value.code, refused.value.retry_after) == ("all_deployments_out", 2.5)
    assert list(health.arranged([B, A], 1005.0)) == [A], "the one that may be tried, wherever it stands"
    with pytest.raises(NoDeploymentError, match="in 2 s"):
        health.arranged([A, B], 1005.5)
    assert list(health.arranged([A, C, B], 1005.5)) == [C, A, B]


def test_the_only_one_is_not_stormed_either(health: Health) -> None:
    failing(health, A, 1000.0)
    with pytest.raises(NoDeploymentError):
        health.arranged([A], 1004.0)
    assert list(health.arranged([A], 1005.0)) == [A]
    for later in (1005.0, 1010.0, 1100.0):
        with pytest.raises(NoDeploymentError):
            health.arranged([A], later)
    assert list(health.arranged([A], 1130.1)) == [A], "nothing was heard of the trial for longer than it may take"


def test_a_trial_alone_brings_back_who_failed_most_of_the_time(health: Health) -> None:
    failing(health, A, 1000.0)
    assert list(health.arranged([A], 5000.0)) == [A]
    with pytest.raises(NoDeploymentError):
        health.arranged([A], 5000.0)
    attempted(health, A, 5000.5)
    assert health.arranged([A], 5000.5) == [A]
    assert health.arranged([A], 5000.5) == [A]


def test_who_fails_now_and_then_is_asked_where_there_is_no_other(health: Health) -> None:
    some_failing(health, A, 1000.0, 0.2)
    assert list(health.arranged([A, B], 1001.0)) == [B, A]
    assert health.arranged([A], 1001.0) == [A]
    failing(health, A, 1002.0, 10)
    with pytest.raises(NoDeploymentError):
        health.arranged([A], 1003.0)


def test_who_dies_after_a_good_minute_is_found_out_soon(health: Health) -> None:
    """Half of the window would be half a minute of failures, where there is no other to ask."""
    some_failing(health, A, 1000.0, 0.0)
    some_failing(health, A, 1000.0, 0.0)
    failing(health, A, 1010.0, 30)
    assert health.arranged([A], 1010.0) == [A], "above the tenth"
    failing(health, A, 1011.0, 13)
    with pytest.raises(NoDeploymentError):
        health.arranged([A], 1011.0)


def test_who_limits_the_gateway_is_asked_where_there_is_no_other(health: Health) -> None:
    attempted(health, A, 1000.0, LIMITED)
    failing(health, B, 1000.0)
    assert health.arranged([B, A], 1001.0) == [A]
    attempted(health, A, 1001.0, DOWN)
    assert health.arranged([A], 1001.5) == [A], "one failure is no majority"


@pytest.mark.parametrize(
    ("rule", "limited", "down"), [("refuse-failing", True, False), ("refuse", False, False), ("ask", True, True)]
)
def test_the_operator_decides_what_becomes_of_requests_when_all_are_out(rule: str, limited: bool, down: bool) -> None:
    for error, asked in ((LIMITED, limited), (DOWN, down)):
        health = Health(HealthConfig(when_all_out=rule, min_requests=1))
        attempted(health, A, 1000.0, error)
        if asked:
            assert health.arranged([A], 1001.0) == [A]
        else:
            with pytest.raises(NoDeploymentError):
                health.arranged([A], 1001.0)
        assert health.refuses(A, 1001.0) is not asked


def test_a_limit_ends_with_its_time_whatever_the_rule() -> None:
    health = Health(HealthConfig(when_all_out="refuse"))
    attempted(health, A, 1000.0, LIMITED)
    assert not health.leaves_out(A, 1005.0)


def test_a_trial_that_was_not_made_is_given_to_another(health: Health) -> None:
    failing(health, A, 1000.0)
    assert list(health.arranged([A], 1006.0)) == [A]
    assert health.refuses(A, 1006.0)
    health.spared(sample_attempt(A, started=1006.0), 1006.0)
    assert not health.refuses(A, 1006.0)


@pytest.mark.parametrize("end", [{"abandoned": True}, {"error": ProviderError("bad request", upstream_status=400)}])
def test_a_trial_that_proves_nothing_is_given_to_another(health: Health, end: Any) -> None:
    failing(health, A, 1000.0)
    assert list(health.arranged([A], 1006.0)) == [A]
    attempted(health, A, 1006.5, **end)
    assert list(health.arranged([A], 1006.5)) == [A]


def test_it_comes_back_a_window_after_its_last_failure(health: Health, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "llmgate.health")
    some_failing(health, A, 1000.0, 0.11)
    attempted(health, A, 1030.0, DOWN)
    assert health.leaves_out(A, 1089.9)
    assert not health.leaves_out(A, 1090.0)
    out = "a/m is left out while another can be asked: 10 of its last 99 requests failed"
    assert [one.message for one in caplog.records] == [
        f"{out}, the last one with provider_error",
        "a/m is back: its time has passed",
    ]


def test_one_request_in_an_interval_tries_it(health: Health) -> None:
    failing(health, A, 1000.0)
    assert list(health.arranged([A, B], 1004.9)) == [B, A]
    assert list(health.arranged([B, A], 1005.0)) == [B, A], "not first, no trial"
    assert list(health.arranged([A, B], 1005.0)) == [A, B]
    assert list(health.arranged([A, B], 1005.0)) == [B, A], "the trial is given out"
    assert list(health.arranged([A, B], 1129.9)) == [B, A], "and there is no other while it lasts"
    assert list(health.arranged([A, B], 1130.0)) == [A, B], "longer than which it cannot be silent"


def test_a_trial_that_is_answered_brings_it_back_with_a_clean_slate(health: Health) -> None:
    failing(health, A, 1000.0)
    assert next(iter(health.arranged([A, B], 1005.0))) is A
    attempted(health, A, 1005.5)
    assert health.arranged([A, B], 1005.5) == [A, B]
    failing(health, A, 1006.0, 18)
    assert not health.leaves_out(A, 1006.0), "the old failures are forgotten"


def test_a_trial_that_fails_leaves_it_out_for_longer(health: Health) -> None:
    failing(health, A, 1000.0)
    assert next(iter(health.arranged([A, B], 1030.0))) is A
    attempted(health, A, 1031.0, DOWN)
    assert list(health.arranged([A, B], 1035.9)) == [B, A]
    assert list(health.arranged([B, A, C], 1090.9)) == [B, C, A]
    assert list(health.arranged([B, A, C], 1091.0)) == [B, A, C], "in its place again, for one trial at a time"


def test_an_answer_from_before_proves_nothing(health: Health) -> None:
    early = sample_attempt(A, started=999.0, first_content=1001.0)
    failing(health, A, 1000.0)
    health.answered(early, 1001.0)
    assert health.leaves_out(A, 1001.0)


@pytest.mark.parametrize(
    ("error", "bad"),
    [
        (DOWN, True),
        (ProviderError("overloaded", upstream_status=200, retryable=True), True),
        (ProviderError("slow", upstream_status=408, retryable=True), True),
        (ProviderConnectionError("gone", retryable=True), True),
        (ProviderTimeoutError("silent", retryable=True, lost=True), True),
        (ProviderProtocolError("nonsense"), True),
        (LIMITED, False),
        (ProviderAuthenticationError("key", upstream_status=401, retryable=True), False),
        (ProviderError("no such model", upstream_status=404, retryable=True), False),
        (ProviderError("bad request", upstream_status=400), False),
        (InvalidRequestError("x"), False),
        (GatewayTimeoutError("x"), False),
        (None, False),
    ],
)
def test_only_the_providers_own_trouble_counts(health: Health, error: GatewayError | None, bad: bool) -> None:
    assert is_a_failure(error) is bad
    for _ in range(20):
        attempted(health, A, 1000.0, error)
    assert health.leaves_out(A, 1001.0) is (bad or error is LIMITED)


def test_who_left_says_nothing(health: Health) -> None:
    failing(health, A, 1000.0, 19)
    attempted(health, A, 1000.0, abandoned=True)
    assert not health.leaves_out(A, 1000.0)


def test_a_relayed_server_error_is_a_failure(health: Health) -> None:
    for _ in range(20):
        attempted(health, A, 1000.0, status=500)
    assert health.leaves_out(A, 1000.0)
    attempted(health, A, 1006.0, status=500)
    assert health.leaves_out(A, 1065.0), "and brings nobody back"


@pytest.mark.parametrize(
    ("fields", "quota_reset", "seconds"),
    [
        ({"retry_after": 30.0}, None, 30.0),
        ({"retry_after": 30.0}, 60.0, 30.0),
        ({}, 12.0, 12.0),
        ({}, None, 5.0),
        ({"retry_after": 86400.0}, None, 300.0),
        ({"code": "insufficient_quota"}, None, 300.0),
        ({"retry_after": math.inf}, None, 300.0),
    ],
)
def test_who_limits_the_gateway_is_left_alone_as_long_as_it_says(
    health: Health, fields: Any, quota_reset: float | None, seconds: float
) -> None:
    error = ProviderRateLimitError("slow down", upstream_status=429, retryable=True, **fields)
    attempted(health, A, 1000.0, error, quota_reset=quota_reset)
    assert list(health.arranged([A, B], 1000.0 + seconds - 0.1)) == [B, A], "no trial before"
    assert health.arranged([A, B], 1000.0 + seconds) == [A, B]


def test_a_503_that_says_how_long_is_left_alone_as_well(health: Health) -> None:
    attempted(health, A, 1000.0, ProviderError("busy", upstream_status=503, retryable=True, retry_after=8.0))
    assert health.leaves_out(A, 1007.9)
    assert not health.leaves_out(A, 1008.0)


def test_an_answer_that_uses_up_a_limit_steers_the_next_request_away(health: Health) -> None:
    attempted(health, A, 1000.0, quota_reset=9.0)
    assert health.leaves_out(A, 1008.9)
    assert not health.leaves_out(A, 1009.0)


def test_a_shorter_wish_does_not_shorten_a_longer_one(health: Health) -> None:
    attempted(health, A, 1000.0, quota_reset=60.0)
    attempted(health, A, 1001.0, ProviderRateLimitError("again", upstream_status=429, retry_after=2.0))
    assert health.leaves_out(A, 1059.0)


def test_no_rest_where_none_is_allowed() -> None:
    health = Health(HealthConfig(max_rest=0.0))
    attempted(health, A, 1000.0, LIMITED)
    assert not health.leaves_out(A, 1000.0)


def test_another_address_or_credential_is_another_deployment(health: Health) -> None:
    failing(health, A, 1000.0)
    for field, value in {"base_url": "https://eu.example/v1", "secret": SecretRef("env", "OTHER")}.items():
        other = attrs.evolve(A, provider=attrs.evolve(A.provider, **{field: value}))
        assert not health.leaves_out(other, 1000.0), field


def test_the_memory_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST", 3)
    health = Health(HealthConfig(min_requests=1))
    many = [sample_deployment(f"one/m{number}") for number in range(5)]
    for one in many:
        failing(health, one, 1000.0, 1)
    assert [health.leaves_out(one, 1000.0) for one in many] == [False, False, True, True, True]


def hosts(b: Bench) -> list[str]:
    return [url.split("/")[2].split(".")[0] for url in b.urls]


async def ask(b: Bench, times: int = 1) -> None:
    for _ in range(times):
        await b.pipeline.complete(router="main", model="m", messages=MESSAGES)


def judged(**health: Any) -> dict[str, Any]:
    return {"discover": {"monitor": {"health": health}}}


FEW: dict[str, Any] = judged(**{"grace-period": {"min-requests": 3}, "probe-interval": 0})


async def test_a_router_asks_the_other_one_until_a_trial_succeeds(bench: OpenBench) -> None:
    answers = [failure(500), completion()] * 3 + [completion()] * 2 + [failure(500), completion()] + [completion()] * 3
    async with bench(*answers, **FEW) as b:
        await ask(b, 5)
        assert hosts(b) == ["alpha", "beta"] * 3 + ["beta"] * 2
        await b.clock.advance(5)
        await ask(b)
        assert hosts(b)[8:] == ["alpha", "beta"], "the trial fails, the caller does not notice"
        await ask(b)
        await b.clock.advance(5)
        await ask(b, 2)
        assert hosts(b)[10:] == ["beta", "alpha", "alpha"]


async def test_a_429_is_not_asked_for_again_before_its_time(bench: OpenBench) -> None:
    answers = [failure(429, **{"retry-after": "30"}), *[completion()] * 4]
    async with bench(*answers) as b:
        await ask(b, 2)
        await b.clock.advance(29)
        await ask(b)
        await b.clock.advance(1.5)
        await ask(b)
        assert hosts(b) == ["alpha", "beta", "beta", "beta", "alpha"]


MESSAGE: dict[str, Any] = {
    "id": "c",
    "object": "chat.completion",
    "created": 1,
    "model": "m",
    "choices": [{"index": 0, "message": {"role": "assistant", "content": "hi"}, "finish_reason": "stop"}],
}


async def test_a_used_up_quota_steers_away_before_the_429(bench: OpenBench) -> None:
    head = {"x-ratelimit-remaining-requests": "0", "x-ratelimit-reset-requests": "12s"}
    async with bench(json_answer(MESSAGE, headers=head), *[completion()] * 2) as b:
        await ask(b, 2)
        await b.clock.advance(12.5)
        await ask(b)
        assert hosts(b) == ["alpha", "beta", "alpha"]


async def test_a_stream_that_breaks_after_its_first_content_counts(bench: OpenBench) -> None:
    broken = [streamed("a", cut=True) for _ in range(3)]
    async with bench(*broken, completion(), **FEW) as b:
        for _ in range(3):
            with pytest.raises(ProviderError):
                async with b.pipeline.stream(router="main", model="m", messages=MESSAGES) as chunks:
                    async for _chunk in chunks:
                        pass
        await ask(b)
        assert hosts(b) == ["alpha"] * 3 + ["beta"]


async def test_who_is_left_out_is_the_last_resort_and_paid_for(bench: OpenBench) -> None:
    answers = [failure(500), completion()] * 3 + [failure(500), completion("after all")] + [failure(503, "end")]
    budget = {"global": {"retry-budget": {"floor": 1, "ratio": 0}}}
    rule = judged(**FEW["discover"]["monitor"]["health"], **{"when-all-out": "ask"})
    async with bench(*answers, **rule, **budget) as b:
        await ask(b, 3)
        await b.clock.advance(1)
        answer = await b.pipeline.complete(router="main", model="m", messages=MESSAGES)
        assert answer.text == "after all"
        assert hosts(b)[6:] == ["beta", "alpha"]


async def test_what_is_known_is_kept_over_reloads_while_it_is_judged_alike(bench: OpenBench) -> None:
    async with bench(**FEW) as b:
        before = b.pipeline.snapshot.health
        await b.pipeline.reload({**CONFIG, **FEW})
        assert b.pipeline.snapshot.health is before
        await b.pipeline.reload({**CONFIG, **judged(ratio=0.5)})
        assert b.pipeline.snapshot.health is not before
        assert b.pipeline.snapshot.health.config.ratio == 0.5


async def test_a_dead_one_is_the_last_resort_only_for_its_trial(bench: OpenBench) -> None:
    answers = [failure(500), completion()] * 3 + [failure(503, "end")] * 2 + [failure(500), failure(503, "end")]
    async with bench(*answers, **FEW) as b:
        await ask(b, 3)
        with pytest.raises(ProviderError, match="end"):
            await ask(b)
        assert hosts(b)[6:] == ["beta"]
        await b.clock.advance(5)
        with pytest.raises(ProviderError):
            await b.pipeline.complete(router="main", model="m", messages=MESSAGES)
        assert len(hosts(b)) == 9


async def test_a_dead_only_one_is_refused_at_once_and_found_to_be_back(bench: OpenBench) -> None:
    answers = [failure(500)] * 3 + [failure(500), completion()]
    async with bench(*answers, **FEW) as b:
        for _ in range(3):
            with pytest.raises(ProviderError):
                await b.pipeline.complete(model="alpha/m", messages=MESSAGES)
        for _ in range(5):
            with pytest.raises(NoDeploymentError) as refused:
                await b.pipeline.complete(model="alpha/m", messages=MESSAGES)
            assert refused.value.retry_after == 5.0
        await b.clock.advance(5)
        with pytest.raises(ProviderError):
            await b.pipeline.complete(model="alpha/m", messages=MESSAGES)
        with pytest.raises(NoDeploymentError):
            await b.pipeline.complete(model="alpha/m", messages=MESSAGES)
        await b.clock.advance(5)
        assert (await b.pipeline.complete(model="alpha/m", messages=MESSAGES)).text == "hi"
        assert len(b.urls) == 5
        assert [record.error_code for record in await b.records()][3:8] == ["all_deployments_out"] * 5


async def test_a_repeat_is_not_made_at_one_that_has_just_been_found_dead(bench: OpenBench) -> None:
    retries = {"global": {"retries": {"strategy": "constant", "delay": "1s", "max-retries": 9}}}
    async with bench(*[failure(500)] * 20, **FEW, **retries) as b:
        asking = asyncio.ensure_future(b.pipeline.complete(model="alpha/m", messages=MESSAGES))
        for _ in range(4):
            await b.clock.advance(1)
        with pytest.raises(ProviderError):
            await asking
        assert len(b.urls) == 3


async def test_a_checkup_says_why_who_is_out_and_until_when(bench: OpenBench) -> None:
    answers = [failure(500), completion()] * 3 + [completion()]
    async with bench(*answers, **FEW) as b:
        await ask(b, 4)
        await b.clock.advance(2)
        alpha, beta = await b.pipeline.health()
        assert (alpha.id, alpha.state, alpha.dead, alpha.requests, alpha.errors) == ("alpha/m", "open", True, 3, 3)
        assert alpha.reason == "3 of its last 3 requests failed, the last one with provider_error"
        assert alpha.out_since == pytest.approx(b.clock.now() - 2)
        assert alpha.trial_at == pytest.approx(b.clock.now() + 3)
        assert (alpha.answers, alpha.first_content, alpha.error_rate) == (0, None, 1.0)
        assert (beta.state, beta.requests, beta.errors, beta.answers, beta.reason) == ("closed", 4, 0, 4, None)
        assert beta.total is not None
        assert alpha.instance != beta.instance
        await b.clock.advance(3)
        assert (await b.pipeline.health())[0].state == "half-open"
        await b.clock.advance(100)
        alpha, _ = await b.pipeline.health()
        assert (alpha.requests, alpha.errors, alpha.error_rate, alpha.dead) == (0, 0, None, True)


async def test_a_caller_sees_the_health_of_what_it_may_ask(bench: OpenBench) -> None:
    async with bench(failure(500), completion()) as b:
        await ask(b)
        seen = await b.pipeline.health(principal=Principal(id="one", models=["beta/*"]))
        assert [one.id for one in seen] == ["beta/m"]


def test_how_long_a_deployment_takes_is_known(health: Health) -> None:
    for taken in range(1, 101):
        attempt: Attempt = sample_attempt(A, started=1000.0, first_content=1000.0 + taken / 10)
        health.finished(attempt, 1000.0 + taken)
    clock = FakeClock(monotonic=1100.0)
    (checkup,) = health.checkups(clock)
    assert checkup.answers == 100
    assert checkup.first_content is not None
    assert checkup.total is not None
    assert attrs.astuple(checkup.total) == (50.0, 95.0, 99.0)
    assert attrs.astuple(checkup.first_content) == pytest.approx((5.0, 9.5, 9.9))
