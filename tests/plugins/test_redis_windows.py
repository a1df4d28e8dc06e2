"""Windows of the calendar over Redis, counted by processes whose clocks disagree: each grants its capacity once."""

from __future__ import annotations

import asyncio
import os
import socket
import uuid
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any, NoReturn

import pytest
import redis
from llmgate_redis.config import RedisConfig
from llmgate_redis.store import Redis

from llmgate.spec import Secret, SecretRef, StageContext, SystemClock
from llmgate.stages.interceptors.rate_limit.account import Charge, Counted
from llmgate.stages.interceptors.rate_limit.config import LimitConfig, RateLimitConfig
from llmgate.stages.interceptors.rate_limit.counting import Counting
from llmgate.stages.state.memory import Memory, MemoryConfig
from llmgate.testing.clock import FakeClock
from llmgate.testing.transport import ScriptedTransport

HOST, PORT = "127.0.0.1", 6379
MIDNIGHT = 1_714_521_600.0  # 2024-05-01, UTC
LIMIT = 30
PATIENCE = 30.0
"""Seconds that the server may take, where an operator may say half a second: these tests are about other times."""


@pytest.fixture
def prefix() -> Iterator[str]:
    own = f"llmgate-test:{os.getpid()}:{uuid.uuid4().hex}:"
    try:
        socket.create_connection((HOST, PORT), timeout=2).close()
    except OSError:
        pytest.skip(f"no Redis or Valkey answers at {HOST}:{PORT}: start one to run these tests")
    yield own
    forget(own)


def forget(prefix: str) -> None:
    with redis.Redis(host=HOST, port=PORT) as client:
        for name in client.scan_iter(match=f"{prefix}*", count=1000):
            client.delete(name)


def counted(prefix: str) -> list[float]:
    """What the server has counted, in each window."""
    with redis.Redis(host=HOST, port=PORT) as client:
        found: list[Any] = [client.get(name) for name in client.scan_iter(match=f"{prefix}*:rate", count=1000)]
    return sorted(float(one.split()[0]) for one in found)


class Process:
    """What one process counts with."""

    def __init__(self, store: Redis, clock: FakeClock) -> None:
        config = RateLimitConfig(state="shared")
        object.__setattr__(config, "timeout", PATIENCE)
        self.clock = clock
        self.counting = Counting(store, Memory(MemoryConfig()), clock, config, "limits")
        self._limit = Counted("a", "a", LimitConfig(LIMIT, window="day"), LIMIT, shared=True)

    async def ask(self) -> Charge:
        charge = Charge(self.counting, self._limit, self._limit.claim("k", 1, "", self.clock))
        assert await self.counting.decide([charge], uuid.uuid4().hex)
        return charge


@pytest.fixture
async def open_process(prefix: str, tmp_path: Path) -> AsyncIterator[Any]:
    async with AsyncExitStack() as stack:

        async def open_one(now: float) -> Process:
            async def fetch(_: SecretRef) -> Secret:
                raise AssertionError("there is no password")

            def no_state(_: str) -> NoReturn:
                raise AssertionError("a state store needs no other")

            config = RedisConfig(prefix=prefix)
            object.__setattr__(config, "timeout", PATIENCE)
            store = Redis(config)
            stack.push_async_callback(store.aclose)
            context = StageContext(
                id="state.shared",
                clock=SystemClock(),
                transport=ScriptedTransport(),
                fetch_secret=fetch,
                state=no_state,
                directory=tmp_path,
            )
            await store.open(context)
            process = Process(store, FakeClock(now=now))
            stack.push_async_callback(process.counting.aclose)
            return process

        yield open_one


async def crowd(*processes: Process, count: int = 100) -> int:
    """How many of a hundred at once, over all the processes, are let through."""
    charges = await asyncio.gather(*(processes[number % len(processes)].ask() for number in range(count)))
    return sum(one.decision is not None and one.decision.allowed for one in charges)


async def test_around_midnight_each_day_grants_its_capacity_whatever_clocks_say(open_process: Any, prefix: str) -> None:
    processes = [await open_process(MIDNIGHT + skew) for skew in (-2, -0.001, 0.0, 2)]
    assert await crowd(*processes) == 2 * LIMIT
    assert counted(prefix) == [LIMIT, LIMIT]
    for one in processes:
        one.clock.advance(2)
    assert await crowd(*processes) == 0, "all of them are in the new day, which is used up"


async def test_a_clock_ahead_ends_no_window_for_those_behind(open_process: Any, prefix: str) -> None:
    behind, ahead = await open_process(MIDNIGHT - 4), await open_process(MIDNIGHT - 0.05)
    assert await crowd(ahead, count=LIMIT) == LIMIT
    await asyncio.sleep(0.5)  # of the server's own time: what ended with the day of the one ahead is gone by now
    assert counted(prefix) == [LIMIT]
    assert await crowd(behind) == 0


async def test_callers_are_told_when_the_window_ends_and_not_when_it_is_forgotten(open_process: Any) -> None:
    process = await open_process(MIDNIGHT - 4)
    await crowd(process, count=LIMIT)
    refused = (await process.ask()).decision
    assert (refused.allowed, refused.retry_after, refused.reset_after) == (False, 4, 4)


async def test_a_server_that_was_emptied_counts_from_nothing_once(open_process: Any, prefix: str) -> None:
    processes = [await open_process(MIDNIGHT) for _ in range(4)]
    for _ in range(3):
        assert await crowd(*processes) == LIMIT
        assert counted(prefix) == [LIMIT]
        forget(prefix)


async def test_what_is_given_back_by_many_at_once_is_given_back_exactly(open_process: Any, prefix: str) -> None:
    processes = [await open_process(MIDNIGHT + skew) for skew in (-2, 2)]
    charges = [await one.ask() for one in processes for _ in range(20)]
    await asyncio.gather(*(one.counting.give_back([(one, 0.5)]) for one in charges))
    assert counted(prefix) == [10, 10]
