"""When a call is given up, and when the process itself was the slow one."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable

import pytest
from llmgate_redis.patience import Patience
from llmgate_redis.store import Redis


async def test_what_takes_too_long_is_given_up() -> None:
    with pytest.raises(TimeoutError):
        async with Patience(0.01):
            await asyncio.Event().wait()


async def test_one_that_has_ended_is_not_given_up_later() -> None:
    async with Patience(0.01):
        pass
    await asyncio.sleep(0.05)


async def test_an_answer_that_came_while_the_loop_was_held_up_is_read(
    open_store: Callable[..., Awaitable[Redis]],
) -> None:
    store = await open_store(timeout=0.2)
    for number in range(5):
        await until_put(store)
        waiting = asyncio.create_task(store.get("k"))
        for _ in range(10):
            await asyncio.sleep(0)  # until it is asked
        time.sleep(0.3)  # noqa: ASYNC251 - as a long computation does
        assert await waiting == b"v", number


async def until_put(store: Redis) -> None:
    """There is a value, and a connection."""
    while True:
        try:
            return await store.put("k", b"v")
        except Exception:  # noqa: BLE001 - a busy machine
            await asyncio.sleep(0.05)
