"""The arithmetic of rates, against an oracle that knows only exact fractions and the words of the promise."""

from __future__ import annotations

import math
from fractions import Fraction

import pytest
from hypothesis import given, strategies as st
from pyrate_limiter import InMemoryBucket, Rate as SlidingRate, RateItem

from llmgate.spec import Rate
from llmgate.stages.state.memory.gcra import Spent, check_rate, decide, reset_after


class Oracle:
    """The virtual scheduling form of the algorithm (ITU-T I.371, annex A) in exact fractions.

    It keeps the theoretical arrival time: the moment at which everything granted so far has come back.
    """

    def __init__(self, rate):
        self.capacity, self.period = Fraction(rate.capacity), Fraction(rate.period)
        self.emission = self.period / self.capacity
        self.arrival = Fraction(0)

    def acquire(self, now, cost):
        base = max(self.arrival, now)
        then = base + cost * self.emission
        allowed = then - now <= self.period
        if allowed:
            self.arrival = then
        wait = math.inf if cost > self.capacity else max(Fraction(0), then - now - self.period)
        return allowed, 0 if allowed else wait

    def refund(self, now, cost):
        self.arrival = max(now, max(self.arrival, now) - cost * self.emission)

    def remaining(self, now):
        return max(0, math.floor((self.period - max(Fraction(0), self.arrival - now)) / self.emission))

    def reset_after(self, now):
        return max(Fraction(0), self.arrival - now)


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["acquire", "refund", "wait"]),
        st.integers(-8, 40),
    ),
    max_size=40,
)


@given(steps=STEPS, capacity=st.integers(1, 32), period=st.sampled_from([1, 2, 7, 60, 3600]))
def test_every_decision_is_the_oracles(steps, capacity, period):
    rate = Rate(capacity=capacity, period=period)
    oracle, spent, now = Oracle(rate), Spent(0.0, 0.0), Fraction(0)
    for what, amount in steps:
        if what == "wait":
            now += Fraction(abs(amount), 8)
            continue
        spent = spent.left_at(float(now), rate)
        if what == "refund":
            oracle.refund(now, amount)
            spent = Spent(max(0.0, spent.units - amount), float(now))
            continue
        decision, spent = decide(spent, rate, abs(amount))
        allowed, wait = oracle.acquire(now, abs(amount))
        assert decision.allowed == allowed
        assert decision.retry_after == pytest.approx(float(wait), rel=1e-6, abs=1e-6)
        assert decision.remaining == oracle.remaining(now)
        assert decision.reset_after == pytest.approx(float(oracle.reset_after(now)), rel=1e-6, abs=1e-6)


@given(
    capacity=st.floats(0.1, 1e6),
    period=st.floats(0.01, 1e5),
    first=st.floats(0, 1),
    second=st.floats(0, 1),
    start=st.floats(0, 1e5),
)
def test_who_waits_as_told_is_granted(capacity, period, first, second, start):
    """``retry_after`` is enough, to the last bit of a float."""
    rate = Rate(capacity=capacity, period=period)
    _, spent = decide(Spent(0.0, start), rate, first * capacity)
    refused, spent = decide(spent, rate, second * capacity)
    later = start + refused.retry_after
    if later > start or refused.allowed:
        granted, _ = decide(spent.left_at(math.nextafter(later, math.inf), rate), rate, second * capacity)
        assert granted.allowed or refused.allowed


@given(st.lists(st.tuples(st.floats(0, 3), st.floats(0, 12)), max_size=60))
def test_no_more_than_capacity_and_refill_is_ever_granted(steps):
    rate, spent, now, granted = Rate(capacity=10, period=5), Spent(0.0, 0.0), 0.0, 0.0
    for wait, cost in steps:
        now += wait
        decision, spent = decide(spent.left_at(now, rate), rate, cost)
        granted += cost * decision.allowed
        assert granted <= 10 + now * 2 + 1e-6


def test_thirds_add_up():
    """Three of three at one moment: no share is lost to rounding."""
    rate, spent = Rate(capacity=3, period=1), Spent(0.0, 12345.678)
    for left in (2, 1, 0):
        decision, spent = decide(spent, rate, 1)
        assert (decision.allowed, decision.remaining) == (True, left)


def test_time_that_stands_or_jumps_back_gives_nothing_back():
    rate, spent = Rate(capacity=10, period=10), Spent(10.0, 100.0)
    assert spent.left_at(50.0, rate) == spent


def test_a_capacity_of_nought_grants_nothing_and_never_will():
    rate = Rate(capacity=0, period=1)
    decision, spent = decide(Spent(0.0, 0.0), rate, 1)
    assert (decision.allowed, decision.retry_after, decision.remaining) == (False, math.inf, 0)
    assert reset_after(spent, rate) == 0.0
    assert reset_after(Spent(1.0, 0.0), rate) == math.inf


@pytest.mark.parametrize(
    ("rate", "cost"),
    [
        (Rate(capacity=-1, period=1), 1),
        (Rate(capacity=1, period=0), 1),
        (Rate(capacity=math.inf, period=1), 1),
        (Rate(capacity=1, period=math.nan), 1),
        (Rate(capacity=1, period=1), math.nan),
        (Rate(capacity=1, period=1), math.inf),
    ],
)
def test_numbers_that_mean_nothing_are_refused(rate, cost):
    with pytest.raises(ValueError, match=r"a rate needs|a cost must"):
        check_rate(rate, cost)


ARRIVALS = st.lists(st.tuples(st.integers(0, 4000), st.integers(1, 4)), min_size=1, max_size=80)
"""Milliseconds since the one before, and units."""


class Sliding:
    """``pyrate-limiter``: at most so many within any stretch of that length."""

    def __init__(self, limit, period):
        self.bucket = InMemoryBucket([SlidingRate(limit, int(period * 1000))])

    def admits(self, at, units):
        return bool(self.bucket.put(RateItem("x", at, weight=units)))


def ours(rate, arrivals):
    """What we grant of arrivals, in milliseconds."""
    granted, spent, now = [], Spent(0.0, 0.0), 0
    for wait, units in arrivals:
        now += wait
        decision, spent = decide(spent.left_at(now / 1000, rate), rate, units)
        granted.append((now, units, decision.allowed))
    return granted


@given(arrivals=ARRIVALS, capacity=st.integers(4, 20), period=st.sampled_from([1, 7, 10]))
def test_whoever_keeps_a_sliding_window_is_never_refused(arrivals, capacity, period):
    sliding, now, kept, before = Sliding(capacity, period), 0, [], 0
    for wait, units in arrivals:
        now += wait
        if sliding.admits(now, units):
            kept.append((now - before, units))
            before = now
    assert all(allowed for _, _, allowed in ours(Rate(capacity, period), kept))


@given(arrivals=ARRIVALS, capacity=st.integers(4, 20), period=st.sampled_from([1, 7, 10]))
def test_no_window_gets_more_than_the_capacity_and_what_comes_back_within_it(arrivals, capacity, period):
    sliding = Sliding(2 * capacity, period)
    granted = [one for one in ours(Rate(capacity, period), arrivals) if one[2]]
    assert all(sliding.admits(at, units) for at, units, _ in granted)


@given(capacity=st.integers(1, 20), period=st.sampled_from([1, 7, 10]), count=st.integers(1, 60))
def test_a_crowd_after_a_pause_gets_what_a_sliding_window_gives_it(capacity, period, count):
    crowd = [(0, 1)] * count
    arrivals = [*crowd, (period * 1000 + 1, 1), *crowd[1:]]
    sliding, now, theirs = Sliding(capacity, period), 0, []
    for wait, units in arrivals:
        now += wait
        theirs.append(sliding.admits(now, units))
    assert [allowed for _, _, allowed in ours(Rate(capacity, period), arrivals)] == theirs
