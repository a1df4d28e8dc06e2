"""Publish and subscribe: the newest wins, nobody waits, everybody is let go in the end."""

from __future__ import annotations

import asyncio

import pytest

from llmgate.stages.state.memory.channels import Channels


async def test_a_full_queue_loses_the_oldest():
    channels = Channels(3)
    async with channels.subscribe("a") as messages:
        for number in range(10):
            channels.publish("a", b"%d" % number)
        assert [await anext(messages) for _ in range(3)] == [b"7", b"8", b"9"]


async def test_who_waits_is_woken():
    channels = Channels(3)
    async with channels.subscribe("a") as messages:
        waiting = asyncio.create_task(anext(messages))
        await asyncio.sleep(0)
        channels.publish("a", b"news")
        assert await asyncio.wait_for(waiting, 5) == b"news"


async def test_closing_lets_a_subscriber_take_what_waits_and_ends_it():
    channels = Channels(3)
    async with channels.subscribe("a") as messages:
        channels.publish("a", b"last")
        channels.close()
        assert [message async for message in messages] == [b"last"]


async def test_nothing_is_kept_of_who_has_gone():
    channels = Channels(3)
    with pytest.raises(asyncio.CancelledError):
        async with channels.subscribe("a"):
            raise asyncio.CancelledError
    assert channels._subscribers == {}
