"""A store that is down is tried by one request at a time, and the log says so once."""

from __future__ import annotations

import pytest

from llmgate.spec import GatewayError
from llmgate.stages.interceptors.rate_limit.outage import Outage
from llmgate.testing.clock import FakeClock


@pytest.fixture
def clock():
    return FakeClock()


@pytest.fixture
def outage(clock):
    return Outage(clock, 2.0)


def test_a_store_that_works_is_asked_by_everybody(outage):
    assert [outage.admits() for _ in range(3)] == [True] * 3
    assert not outage.worked()


def test_one_that_is_down_is_tried_by_one_request_a_pause(outage, clock):
    assert outage.failed(ConnectionError())
    assert not outage.admits()
    clock.advance(2)
    assert [outage.admits() for _ in range(3)] == [True, False, False]
    assert not outage.failed(TimeoutError()), "the log has said so"
    assert not outage.admits()
    clock.advance(2)
    assert outage.admits()
    assert outage.worked()
    assert [outage.admits() for _ in range(3)] == [True] * 3
    assert outage.failed(ConnectionError()), "another outage is news"


def test_who_leaves_while_trying_makes_room_for_another(outage, clock):
    outage.failed(ConnectionError())
    clock.advance(2)
    assert outage.admits()
    outage.abandoned()
    assert outage.admits()


def test_one_that_refuses_some_stays_in_use_and_the_log_quiet(outage, clock):
    assert outage.failed(GatewayError("full"))
    assert outage.admits()
    for _ in range(5):
        assert not outage.failed(GatewayError("full"))
        assert not outage.worked()
        assert not outage.failed(GatewayError("full"))
    outage.worked()
    clock.advance(60)
    assert outage.failed(GatewayError("full"))


def test_one_that_was_down_and_refuses_answers_again(outage, clock):
    outage.failed(ConnectionError())
    clock.advance(2)
    assert outage.admits()
    assert not outage.failed(GatewayError("full"))
    assert [outage.admits() for _ in range(2)] == [True, True]


def test_many_that_fail_at_once_are_one_line(outage):
    assert [outage.failed(TimeoutError()) for _ in range(5)] == [True] + [False] * 4
