"""``FakeClock``: time moves when the test says so, and those who sleep wake in order."""

from __future__ import annotations

import asyncio

import pytest

from llmgate.testing.clock import FakeClock


def test_time_stands_still():
    clock = FakeClock(now=5.0, monotonic=7.0)
    assert (clock.now(), clock.now(), clock.monotonic()) == (5.0, 5.0, 7.0)


def test_both_times_move_together_and_the_wall_clock_alone_when_it_is_corrected():
    clock = FakeClock(now=5.0, monotonic=7.0)
    clock.advance(2.5)
    assert (clock.now(), clock.monotonic()) == (7.5, 9.5)
    clock.shift_wall(-100)
    assert (clock.now(), clock.monotonic()) == (-92.5, 9.5)


def test_time_does_not_go_back():
    with pytest.raises(ValueError, match="shift_wall"):
        FakeClock().advance(-1)


def test_chance_comes_from_the_seed():
    assert [FakeClock(seed=3).random() for _ in range(3)] == [FakeClock(seed=3).random()] * 3
    assert FakeClock(seed=3).random() != FakeClock(seed=4).random()
    clock = FakeClock()
    numbers = [clock.random() for _ in range(100)]
    assert all(0 <= number < 1 for number in numbers)
    assert len(set(numbers)) == 100


async def test_who_sleeps_wakes_when_the_time_has_come_the_earliest_first():
    clock, woken = FakeClock(), []

    async def sleeper(seconds):
        await clock.sleep(seconds)
        woken.append(seconds)

    tasks = [asyncio.create_task(sleeper(seconds)) for seconds in (3, 1, 2, 5)]
    await asyncio.sleep(0)
    assert clock.sleeping == 4
    await clock.advance(0.9)
    assert woken == []
    await clock.advance(2.1)
    assert (woken, clock.sleeping) == ([1, 2, 3], 1)
    await clock.advance(2)
    await asyncio.gather(*tasks)
    assert woken == [1, 2, 3, 5]


async def test_moving_the_time_need_not_be_awaited():
    clock = FakeClock()
    task = asyncio.create_task(clock.sleep(1))
    await asyncio.sleep(0)
    clock.advance(1)
    await asyncio.wait_for(task, 5)


async def test_a_cancelled_sleeper_is_forgotten():
    clock = FakeClock()
    task = asyncio.create_task(clock.sleep(1))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert clock.sleeping == 0
    await clock.advance(2)


@pytest.mark.parametrize("seconds", [0, -1])
async def test_no_time_at_all_only_lets_others_run(seconds):
    await asyncio.wait_for(FakeClock().sleep(seconds), 5)
