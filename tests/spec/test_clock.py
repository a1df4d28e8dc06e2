"""The real clock moves forward, sleeps, and repeats its dice for a seed."""

from __future__ import annotations

import time

from llmgate.spec import SystemClock


def test_now_is_the_time_of_day_and_monotonic_never_goes_back():
    clock = SystemClock()
    before = time.time()
    assert before <= clock.now() <= time.time()
    first = clock.monotonic()
    assert clock.monotonic() >= first


def test_the_same_seed_gives_the_same_numbers():
    one, two = SystemClock(seed=7), SystemClock(seed=7)
    numbers = [one.random() for _ in range(5)]
    assert numbers == [two.random() for _ in range(5)]
    assert all(0 <= number < 1 for number in numbers)
    assert len(set(numbers)) == 5


async def test_sleep_waits():
    clock = SystemClock()
    start = clock.monotonic()
    await clock.sleep(0.01)
    assert clock.monotonic() - start >= 0.009
