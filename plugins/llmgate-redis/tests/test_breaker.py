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
        breaker.failed("why", trial=breaker.enter())


def test_failures_in_a_row_open_it(breaker: Breaker) -> None:
    fail(breaker, 2)
    breaker.succeeded(trial=breaker.enter())
    fail(breaker, 2)
    assert not breaker.is_open
    fail(breaker)
    with pytest.raises(StateUnavailableError, match="the state store has not answered") as refused:
        breaker.enter()
    assert (refused.value.http_status, refused.value.code) == (503, "state_store_unavailable")
    assert refused.value.retry_after == 1


async def test_one_at_a_time_tries_again_and_success_closes_it(breaker: Breaker, clock: FakeClock) -> None:
    fail(breaker, 3)
    await clock.advance(1)
    assert breaker.enter() is True
    with pytest.raises(StateUnavailableError):
        breaker.enter()
    breaker.succeeded(trial=True)
    assert [breaker.enter() for _ in range(3)] == [False] * 3


async def test_each_trial_that_fails_doubles_the_pause_up_to_a_bound(breaker: Breaker, clock: FakeClock) -> None:
    fail(breaker, 3)
    for pause in (1, 2, 4, 4):
        with pytest.raises(StateUnavailableError) as refused:
            breaker.enter()
        assert refused.value.retry_after == pause
        await clock.advance(pause)
        fail(breaker)


async def test_a_trial_that_its_caller_gave_up_makes_room_for_another(breaker: Breaker, clock: FakeClock) -> None:
    fail(breaker, 3)
    await clock.advance(1)
    breaker.left(trial=breaker.enter())
    assert breaker.enter() is True


async def test_calls_from_before_it_opened_do_not_prolong_the_pause(breaker: Breaker, clock: FakeClock) -> None:
    under_way = [breaker.enter() for _ in range(10)]
    for trial in under_way:
        breaker.failed("why", trial=trial)
    await clock.advance(1)
    assert breaker.enter() is True
