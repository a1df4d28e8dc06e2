"""When the breaker lets a call through."""

from __future__ import annotations

import pytest
from llmgate_redis.breaker import Breaker
from llmgate_redis.errors import StateUnavailableError

from llmgate.testing import FakeClock


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def breaker(clock: FakeClock) -> Breaker:
    return Breaker("the state store", "redis at here", clock, failures=3, pause=1, longest=4)


def fail(breaker: Breaker, times: int = 1) -> None:
    for _ in range(times):
        breaker.enter()
        breaker.failed("why")


def test_failures_in_a_row_open_it(breaker: Breaker) -> None:
    fail(breaker, 2)
    breaker.enter()
    breaker.succeeded()
    fail(breaker, 2)
    assert not breaker.is_open
    fail(breaker)
    with pytest.raises(StateUnavailableError, match="the state store has not answered") as refused:
        breaker.enter()
    assert (refused.value.http_status, refused.value.code) == (503, "state_store_unavailable")
    assert refused.value.retry_after == 0, "it is tried at once"


def test_one_call_that_waits_in_vain_opens_it(breaker: Breaker) -> None:
    breaker.failed("why", waited_since=breaker.enter())
    assert breaker.is_open


def test_one_that_is_late_while_others_are_answered_does_not(breaker: Breaker) -> None:
    late = breaker.enter()
    breaker.enter()
    breaker.succeeded()
    breaker.failed("why", waited_since=late)
    assert not breaker.is_open


def test_an_answer_closes_it(breaker: Breaker) -> None:
    fail(breaker, 3)
    breaker.succeeded(trial=True)
    breaker.enter()
    fail(breaker, 2)
    assert not breaker.is_open


async def test_each_trial_that_fails_doubles_the_pause_up_to_a_bound(breaker: Breaker, clock: FakeClock) -> None:
    fail(breaker, 3)
    for pause in (0, 1, 2, 4, 4):
        assert breaker.rest == pause
        with pytest.raises(StateUnavailableError) as refused:
            breaker.enter()
        assert refused.value.retry_after == pause
        await clock.advance(pause)
        breaker.failed("why", trial=True)


def test_what_answers_trials_alone_is_tried_ever_more_seldom(breaker: Breaker) -> None:
    for pause in (0, 1, 2, 4, 4):
        breaker.failed("why", waited_since=breaker.enter())
        assert breaker.rest == pause
        breaker.succeeded(trial=True)
    breaker.enter()
    breaker.succeeded()
    breaker.failed("why", waited_since=breaker.enter())
    assert breaker.rest == 0


def test_calls_from_before_it_opened_do_not_prolong_the_pause(breaker: Breaker) -> None:
    under_way = [breaker.enter() for _ in range(10)]
    for before in under_way:
        breaker.failed("why", waited_since=before)
    assert breaker.rest == 0
