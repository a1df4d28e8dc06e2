"""Places: who gets one, and whose have come free."""

from __future__ import annotations

import pytest

from llmgate.spec import Place
from llmgate.stages.state.memory.leases import Lease, judge_place


def place(holder="h", limit=2, ttl=10.0):
    return Place("k", holder, limit, ttl)


def test_those_whose_time_is_over_make_room():
    lease = Lease(0.0, {})
    lease.take(place("a"), 0.0)
    lease.take(place("b", ttl=20), 0.0)
    assert not judge_place(lease, place("c"), 5.0).allowed
    assert judge_place(lease, place("c"), 10.0).allowed
    assert lease.expires == 20


def test_a_holder_keeps_its_own_even_where_the_limit_has_shrunk():
    lease = Lease(10.0, {"a": 10.0, "b": 10.0})
    kept = judge_place(lease, place("a", limit=1), 1.0)
    assert (kept.allowed, kept.remaining) == (True, 0)
    assert not judge_place(lease, place("c", limit=1), 1.0).allowed


def test_what_is_left_is_told_with_and_without_taking():
    lease = Lease(10.0, {"a": 10.0})
    assert judge_place(lease, place("b", limit=3), 1.0).remaining == 1
    assert judge_place(lease, place("b", limit=3), 1.0, taken=False).remaining == 2
    refused = judge_place(None, place(limit=0), 1.0)
    assert (refused.allowed, refused.retry_after) == (False, 1.0)


def test_a_place_for_no_time_is_refused():
    with pytest.raises(ValueError, match="positive number of seconds"):
        judge_place(None, place(ttl=0), 1.0)
