"""The alarm keeps the promises of ``asyncio.timeout``: it wakes, it is told apart from a cancellation, it goes off."""

from __future__ import annotations

import asyncio

import pytest

from llmgate.wire.alarm import Alarm


async def test_what_takes_too_long_is_a_timeout_and_the_task_goes_on():
    with pytest.raises(TimeoutError), Alarm(0.01):
        await asyncio.Event().wait()
    assert asyncio.current_task().cancelling() == 0
    await asyncio.sleep(0)


@pytest.mark.parametrize("seconds", [5, float("1e9"), None])
async def test_what_is_in_time_is_let_through_and_nothing_rings_later(seconds):
    with Alarm(seconds):
        await asyncio.sleep(0)
    assert not [handle for handle in asyncio.get_running_loop()._scheduled if not handle.cancelled()]


@pytest.mark.parametrize("seconds", [0, -1])
async def test_a_time_that_is_over_already_lets_what_need_not_wait_through(seconds):
    with Alarm(seconds):
        pass
    with pytest.raises(TimeoutError), Alarm(seconds):
        await asyncio.Event().wait()


async def test_a_failure_of_the_block_is_not_replaced():
    with pytest.raises(KeyError), Alarm(5):
        raise KeyError


async def test_a_cancellation_from_outside_stays_one_even_when_the_alarm_rings_too():
    async def work():
        with Alarm(0.01):
            try:
                await asyncio.Event().wait()
            finally:
                asyncio.current_task().cancel()
                await asyncio.sleep(0)

    task = asyncio.create_task(work())
    with pytest.raises(asyncio.CancelledError):
        await task
    assert task.cancelled()


async def test_the_inner_of_two_alarms_is_the_one_that_rings():
    rang = []
    with Alarm(5):
        try:
            with Alarm(0.01):
                await asyncio.Event().wait()
        except TimeoutError:
            rang.append("inner")
        await asyncio.sleep(0)
    assert rang == ["inner"]


async def test_an_outer_alarm_passes_through_the_inner_one():
    with pytest.raises(TimeoutError), Alarm(0.01), Alarm(5):
        await asyncio.Event().wait()
    assert asyncio.current_task().cancelling() == 0
