"""What a server does to the store that is slow, silent, gone, restarted, or that breaks connections."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
import redis
from llmgate_redis.connections import _is_stale
from llmgate_redis.errors import StateUnavailableError
from llmgate_redis.store import Redis

from llmgate.spec import PluginError, Rate
from llmgate.testing import FakeClock

OpenStore = Callable[..., Awaitable[Redis]]

TEN = Rate(capacity=10, period=1e6)

NEVER = 1_000_000
"""Failures until the breaker opens, where a test is not about the breaker."""


async def until(does: Callable[[], Awaitable[Any]]) -> Any:
    """Try again until the server is there."""
    async with asyncio.timeout(20):
        while True:
            try:
                return await does()
            except StateUnavailableError:
                await asyncio.sleep(0.02)


async def test_a_slow_server_costs_its_bound_once_and_then_nothing(open_store: OpenStore, proxy: Any) -> None:
    clock = FakeClock()
    store = await open_store(url=proxy.url, timeout=0.1, clock=clock)
    proxy.held.clear()
    calls = [store.get, store.counter, store.delete, lambda key: store.acquire(key, TEN), store.add]
    began = time.monotonic()
    with pytest.raises(StateUnavailableError, match=r"^the state store state\.shared does not answer in time$"):
        await store.get("k")
    assert time.monotonic() - began >= 0.09
    await until_rest(store, 1)
    connections = proxy.connections
    for call in calls * 20:
        with pytest.raises(StateUnavailableError, match="left alone") as refused:
            await call("k")
        assert refused.value.retry_after == 1
    assert proxy.connections == connections, "nobody waits for a server that does not answer"
    await clock.advance(1)
    await until_rest(store, 2)
    with pytest.raises(StateUnavailableError, match="left alone"):
        await store.get("k")
    proxy.held.set()
    await clock.advance(2)
    await until(lambda: store.put("k", b"v"))
    assert await store.get("k") == b"v"


async def until_rest(store: Redis, seconds: float) -> None:
    """Wait until the trial before has failed."""
    assert store._connections is not None
    async with asyncio.timeout(10):
        while store._connections._breaker.rest != seconds:  # noqa: ASYNC110 - nobody tells
            await asyncio.sleep(0.005)


async def test_a_short_silence_is_over_when_the_server_is_back(open_store: OpenStore, proxy: Any) -> None:
    store = await open_store(url=proxy.url, timeout=0.1, clock=FakeClock())
    proxy.held.clear()
    with pytest.raises(StateUnavailableError):
        await store.get("k")
    proxy.held.set()
    assert await until(lambda: store.add("k")) == 1, "by the first trial, without any time on the clock"


async def test_a_store_is_closed_while_it_tries(open_store: OpenStore, proxy: Any) -> None:
    store = await open_store(url=proxy.url, timeout=0.1)
    proxy.held.clear()
    with pytest.raises(StateUnavailableError):
        await store.get("k")
    await store.aclose()
    assert "llmgate-redis-trials" not in {task.get_name() for task in asyncio.all_tasks()}


async def test_a_crowd_waits_for_a_silent_server_no_longer_than_one(open_store: OpenStore, proxy: Any) -> None:
    store = await open_store(url=proxy.url, timeout=0.3, max_connections=2, breaker_failures=NEVER)
    proxy.held.clear()
    began = time.monotonic()
    answers = await asyncio.gather(*(store.get(str(number)) for number in range(200)), return_exceptions=True)
    assert time.monotonic() - began < 200 / 2 * 0.3, "those who wait for a connection wait within the same time"
    assert {type(answer) for answer in answers} == {StateUnavailableError}


async def test_a_crowd_of_ones_own_is_no_failure_of_the_server(open_store: OpenStore) -> None:
    store = await open_store(timeout=0.05, max_connections=1)
    assert store._connections is not None
    async with store._connections._places:
        answers = await asyncio.gather(*(store.get("k") for _ in range(20)), return_exceptions=True)
        assert {str(answer) for answer in answers} == {
            "the state store state.shared has no connection free: raise max-connections"
        }
    assert not store._connections._breaker.is_open


async def test_a_late_answer_is_nobody_elses(open_store: OpenStore, proxy: Any) -> None:
    store = await open_store(url=proxy.url, timeout=0.1, max_connections=1, breaker_failures=NEVER)
    keys = [str(number) for number in range(5)]
    for key in keys:
        await until(lambda key=key: store.put(key, key.encode()))  # type: ignore[misc]
    for key in keys:
        proxy.held.clear()
        with pytest.raises(StateUnavailableError):
            await store.get(key)
        waiting = asyncio.create_task(store.get(key))
        await asyncio.sleep(0.01)
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)
        proxy.held.set()
        for other in keys:
            assert await until(lambda other=other: store.get(other)) == other.encode()  # type: ignore[misc]


async def test_a_connection_killed_while_idle_is_replaced_unnoticed(
    open_store: OpenStore, server: redis.Redis, prefix: str
) -> None:
    name = prefix.rstrip(":")
    store = await open_store(client_name=name)
    for number in range(1, 6):
        assert await store.add("k") == number
        assert kill(server, name) == 1
        await noticed(store)


async def test_a_connection_killed_in_the_middle(open_store: OpenStore, proxy: Any) -> None:
    """What may be repeated is, once; what may not is not, and is counted once all the same."""
    store = await open_store(url=proxy.url, breaker_failures=NEVER)
    await store.put("k", b"v")
    for call in (
        lambda: store.get("k"),
        lambda: store.acquire("once", TEN, 3, once="x"),
        lambda: store.add("once", 3, once="x"),
        lambda: store.lease("k", "a", limit=1, ttl=60),
    ):
        assert await broken(store, proxy, call)
    assert (await store.peek("once", TEN, 0)).remaining == 7
    assert await store.counter("once") == 3
    for call in (lambda: store.acquire("plain", TEN, 3), lambda: store.add("plain", 3)):
        with pytest.raises(StateUnavailableError):
            await broken(store, proxy, call)
    assert (await store.peek("plain", TEN, 0)).remaining == 7
    assert await store.counter("plain") == 3


async def test_a_server_that_restarts_is_found_again(open_store: OpenStore, proxy: Any) -> None:
    store = await open_store(url=proxy.url, timeout=0.5)
    async with store.subscribe("c") as heard:
        await proxy.stop()
        for _ in range(3):
            with pytest.raises(StateUnavailableError, match=r"^the state store state\.shared cannot be reached$"):
                await store.add("k")
        with pytest.raises(StateUnavailableError, match="left alone"):
            await store.add("k")
        with pytest.raises(StateUnavailableError, match="does not confirm"):
            await enter(store, "d")
        await proxy.start()
        assert await until(lambda: store.add("k")) == 1
        await until(lambda: enter(store, "c"))  # confirmed: the channel is subscribed to again
        await store.publish("c", b"after")
        assert await asyncio.wait_for(anext(heard), 5) == b"after"


async def test_a_silent_server_confirms_no_subscription(open_store: OpenStore, proxy: Any) -> None:
    store = await open_store(url=proxy.url, timeout=0.1, breaker_failures=NEVER)
    async with store.subscribe("c"):
        proxy.held.clear()
        with pytest.raises(StateUnavailableError, match="does not confirm"):
            await enter(store, "d")
        proxy.held.set()
        await until(lambda: enter(store, "d"))


async def test_a_server_that_is_read_only_is_left(open_store: OpenStore, proxy: Any) -> None:
    store = await open_store(url=proxy.url, breaker_failures=NEVER)
    connections = proxy.connections
    proxy.answer = b"-READONLY You can't write against a read only replica.\r\n"
    with pytest.raises(StateUnavailableError, match="takes no changes"):
        await store.add("k")
    proxy.answer = None
    assert await store.add("k") == 1
    assert proxy.connections == connections + 1


@pytest.mark.parametrize("answer", [b"HTTP/1.1 400 Bad Request\r\n\r\n", b"\x00\xff\r\n"], ids=["http", "junk"])
async def test_what_is_no_redis_stops_the_start(open_store: OpenStore, proxy: Any, answer: bytes) -> None:
    proxy.answer = answer
    with pytest.raises(PluginError, match=r"state\.shared: redis at 127\.0\.0\.1:\d+ cannot be used"):
        await open_store(url=proxy.url)


async def test_a_server_that_is_not_there_stops_the_start(open_store: OpenStore, proxy: Any) -> None:
    await proxy.stop()
    with pytest.raises(PluginError, match=r"state\.shared: redis at 127\.0\.0\.1:\d+ cannot be used: .*; start it"):
        await open_store(url=proxy.url)
    await proxy.start()


async def test_a_silent_server_stops_the_start_in_time(open_store: OpenStore, proxy: Any) -> None:
    proxy.held.clear()
    with pytest.raises(PluginError, match="no answer in time"):
        await open_store(url=proxy.url, open_timeout=0.1)


async def enter(store: Redis, channel: str) -> None:
    async with store.subscribe(channel):
        pass


async def broken(store: Redis, proxy: Any, call: Callable[[], Awaitable[Any]]) -> Any:
    """Carry out a call whose answer is kept back, break its connection, and let the next one through."""
    await until(lambda: store.get("there is a connection"))
    proxy.held.clear()
    waiting = asyncio.ensure_future(call())
    await proxy.wait_for_answer()
    proxy.cut()
    proxy.held.set()
    return await waiting


async def noticed(store: Redis) -> None:
    """Wait until the loop has read that the idle connection is over; in the instant before, one call may fail."""
    assert store._connections is not None
    (connection,) = store._connections._idle
    async with asyncio.timeout(10):
        while not await _is_stale(connection):  # noqa: ASYNC110 - nobody tells
            await asyncio.sleep(0.001)


def kill(server: redis.Redis, name: str) -> int:
    """Kill the connections of that name; how many there were."""
    clients: Any = server.client_list()
    mine = [client["id"] for client in clients if client["name"] == name]
    for one in mine:
        server.client_kill_filter(_id=one)
    return len(mine)
