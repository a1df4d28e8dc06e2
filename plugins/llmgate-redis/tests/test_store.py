"""The store on a real server, with the server's own clock."""

from __future__ import annotations

import asyncio
import math
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
import redis
from llmgate_redis.errors import StateUnavailableError
from llmgate_redis.store import Redis

from llmgate.spec import GatewayClosedError, PluginError, Rate, SecretNotFoundError, SecretRef

OpenStore = Callable[..., Awaitable[Redis]]

SLOW = Rate(capacity=100, period=1e6)
"""Comes back so slowly that no unit does while a test runs."""


SPENDER = """
import asyncio, sys
from llmgate_redis.config import RedisConfig
from llmgate_redis.store import Redis
from llmgate.spec import Rate, StageContext, SystemClock

async def spend():
    config = RedisConfig(prefix=sys.argv[1], open_timeout=20)
    object.__setattr__(config, "timeout", 20.0)
    store = Redis(config)
    nothing = dict(transport=None, fetch_secret=None, state=None)
    await store.open(StageContext(id="state.shared", clock=SystemClock(), **nothing))
    granted = 0
    for _ in range(5):
        decisions = await asyncio.gather(*(store.acquire("k", Rate(100, 1e6)) for _ in range(10)))
        granted += sum(decision.allowed for decision in decisions)
    await store.aclose()
    return granted

async def both():
    return sum(await asyncio.gather(spend(), spend()))

print(asyncio.run(both()))
"""
"""Asks for a hundred units by two stores, and says how many it was granted."""


async def test_eight_stores_in_four_processes_are_granted_what_one_would_be(prefix: str) -> None:
    command = (sys.executable, "-c", SPENDER, prefix)
    processes = [await asyncio.create_subprocess_exec(*command, stdout=subprocess.PIPE) for _ in range(4)]
    said = [(await process.communicate())[0] for process in processes]
    assert sum(int(one) for one in said) == 100


async def test_tasks_that_hold_many_connections_are_granted_the_capacity_and_what_came_back(
    open_store: OpenStore,
) -> None:
    rate = Rate(capacity=20, period=0.5)
    stores = [await open_store(max_connections=4) for _ in range(3)]
    granted = 0
    started = time.monotonic()
    for _ in range(15):
        decisions = await asyncio.gather(*(store.acquire("k", rate) for store in stores for _ in range(8)))
        granted += sum(decision.allowed for decision in decisions)
    most = rate.capacity + (time.monotonic() - started + 0.01) * rate.capacity / rate.period
    assert 20 <= granted <= math.ceil(most)


async def test_two_stores_see_one_state(open_store: OpenStore) -> None:
    one, two = await open_store(), await open_store()
    assert one.shared
    await one.add("k", 3, once="x")
    assert await two.add("k", 3, once="x") == 3
    first = await one.acquire("k", SLOW, 60, once="x")
    assert await two.acquire("k", SLOW, 60, once="x") == first
    await two.refund("k", SLOW, -60)
    assert not (await one.peek("k", SLOW, 1)).allowed
    assert await one.lease("k", "a", limit=1, ttl=60)
    assert not await two.lease("k", "b", limit=1, ttl=60)
    await two.release("k", "a")
    assert await two.lease("k", "b", limit=1, ttl=60)
    await one.put("k", b"v", ttl=60)
    assert await two.get("k") == b"v"
    async with one.subscribe("c") as heard:
        await two.publish("c", b"m")
        assert await asyncio.wait_for(anext(heard), 5) == b"m"


async def test_another_prefix_is_another_state(open_store: OpenStore, prefix: str) -> None:
    one, other = await open_store(), await open_store(prefix=f"{prefix}other:")
    await one.put("k", b"v")
    assert await other.get("k") is None


async def test_who_waits_as_long_as_told_is_granted(open_store: OpenStore) -> None:
    store = await open_store()
    rate = Rate(capacity=1, period=0.2)
    decision = await store.acquire("k", rate)
    while decision.allowed:
        decision = await store.acquire("k", rate)
    assert 0 < decision.retry_after <= 0.2
    await asyncio.sleep(decision.retry_after)
    assert (await store.acquire("k", rate)).allowed


async def test_what_has_ended_leaves_nothing_behind(open_store: OpenStore, server: redis.Redis, prefix: str) -> None:
    store = await open_store(once_ttl=0.05)
    await store.add("k", ttl=0.05, once="x")
    await store.acquire("k", Rate(1, 0.05), once="x")
    await store.lease("k", "a", limit=1, ttl=0.05)
    await store.put("k", b"v", ttl=0.05)
    await store.refund("full", SLOW, 50)
    async with asyncio.timeout(10):
        while list(server.scan_iter(match=f"{prefix}*", count=1000)):  # noqa: ASYNC110 - nobody tells
            await asyncio.sleep(0.02)


async def test_every_key_of_a_rate_has_an_end(open_store: OpenStore, server: redis.Redis, prefix: str) -> None:
    store = await open_store()
    await store.acquire("k", Rate(10, 100), 5, once="x")
    await store.lease("k", "a", limit=1, ttl=100)
    lives = [server.pttl(name) for name in server.scan_iter(match=f"{prefix}*", count=1000)]
    assert len(lives) == 3
    assert all(isinstance(life, int) and life > 0 for life in lives)


async def test_counters_are_exact_to_their_bound_and_refused_beyond(open_store: OpenStore) -> None:
    store = await open_store()
    assert await store.add("k", 2**53 + 1) == 2**53 + 1
    assert await store.add("k", 2**63 - 1 - (2**53 + 1)) == 2**63 - 1
    with pytest.raises(StateUnavailableError) as refused:
        await store.add("k", once="x")
    assert "overflow" in str(refused.value.__cause__)
    assert await store.counter("k") == 2**63 - 1
    assert await store.add("k", -1, once="x") == 2**63 - 2, "what was refused was not counted"


@pytest.mark.parametrize("ttl", [0, -1])
async def test_a_time_that_is_over_keeps_nothing(open_store: OpenStore, ttl: float) -> None:
    store = await open_store()
    await store.put("k", b"old")
    await store.put("k", b"new", ttl=ttl)
    assert await store.get("k") is None
    assert await store.add("k", 5, ttl=ttl) == 5
    assert await store.counter("k") == 0
    with pytest.raises(ValueError, match="positive number of seconds"):
        await store.lease("k", "a", limit=1, ttl=ttl)


async def test_times_without_an_end(open_store: OpenStore) -> None:
    store = await open_store()
    await store.put("k", b"v", ttl=math.inf)
    assert await store.add("k", 5, ttl=math.inf) == 5
    assert await store.lease("k", "a", limit=1, ttl=math.inf)
    assert await store.get("k") == b"v"


async def test_what_somebody_else_wrote_there_never_grants(
    open_store: OpenStore, server: redis.Redis, prefix: str, caplog: pytest.LogCaptureFixture
) -> None:
    store = await open_store()
    for poison in (b"", b"nonsense", b"1", b"nan nan x"):
        server.set(f"{prefix}{{k}}:rate", poison)
        with pytest.raises(StateUnavailableError, match="refuses"):
            await store.acquire("k", SLOW)
    server.delete(f"{prefix}{{k}}:rate")
    server.rpush(f"{prefix}{{k}}:rate", "x")
    for _ in range(5):
        with pytest.raises(StateUnavailableError, match="refuses a command: the log says which"):
            await store.acquire("k", SLOW)
    assert "redis at 127.0.0.1:6379 refuses EVALSHA: WRONGTYPE" in caplog.text
    assert (await store.acquire("another", SLOW)).allowed, "one bad key opens no breaker"


async def test_scripts_that_the_server_has_forgotten_are_brought_again(
    open_store: OpenStore, server: redis.Redis
) -> None:
    store = await open_store()
    for word in ("first", "second"):
        server.script_flush()
        assert (await store.acquire("k", SLOW, 1, once=word)).allowed
        server.script_flush()
        assert await store.add("k", once=word) == (1 if word == "first" else 2)
        server.script_flush()
        assert await store.lease("k", "a", limit=1, ttl=60)
        server.script_flush()
        await store.refund("k", SLOW, 0.5)
    assert (await store.peek("k", SLOW, 0)).remaining == 99


async def test_subscribers_lose_the_oldest(open_store: OpenStore) -> None:
    store = await open_store(subscriber_queue=3)
    async with store.subscribe("c") as slow, store.subscribe("c") as quick:
        for number in range(10):
            await store.publish("c", b"%d" % number)
            await asyncio.wait_for(anext(quick), 5)
        assert [await anext(slow) for _ in range(3)] == [b"7", b"8", b"9"]


async def test_closing_ends_subscriptions_and_calls(open_store: OpenStore) -> None:
    store = await open_store()
    async with store.subscribe("c") as heard:
        await store.publish("c", b"last")
        async with store.subscribe("c"):  # what was published before has come by now
            await store.get("k")
        waiting = asyncio.create_task(anext(heard, None))  # type: ignore[arg-type]
        await asyncio.wait_for(waiting, 5)
        await store.aclose()
        assert [message async for message in heard] == []
    with pytest.raises(GatewayClosedError):
        await store.get("k")
    with pytest.raises(GatewayClosedError):
        store.subscribe("c")


async def test_a_channel_that_was_left_can_be_entered_again(open_store: OpenStore) -> None:
    store = await open_store()
    for number in range(5):
        async with store.subscribe("c") as heard:
            await store.publish("c", b"%d" % number)
            assert await asyncio.wait_for(anext(heard), 5) == b"%d" % number


class TestLogin:
    @pytest.fixture
    def user(self, server: redis.Redis, prefix: str) -> Any:
        """A user who may do what the README says, and no more."""
        name = prefix.rstrip(":").replace(":", "-")
        rights = f"on >right-password ~{prefix}* &{prefix}* +@read +@write +@scripting +@pubsub +@connection +time"
        server.execute_command("ACL", "SETUSER", name, *rights.split())
        yield name
        server.execute_command("ACL", "DELUSER", name)

    async def test_a_user_with_the_rights_of_the_readme(self, open_store: OpenStore, user: str) -> None:
        secrets = {"env:P": "right-password"}
        store = await open_store(username=user, password=SecretRef("env", "P"), secrets=secrets)
        assert await store.add("k", ttl=60, once="x") == 1
        assert (await store.acquire("k", SLOW, once="x")).allowed
        assert await store.lease("k", "a", limit=1, ttl=60)
        async with store.subscribe("c") as heard:
            await store.publish("c", b"m")
            assert await asyncio.wait_for(anext(heard), 5) == b"m"

    async def test_a_whole_address_by_reference(self, open_store: OpenStore, user: str) -> None:
        secrets = {"env:U": f"redis://{user}:right-password@127.0.0.1:6379/0"}
        store = await open_store(url_from=SecretRef("env", "U"), secrets=secrets)
        await store.put("k", b"v")
        assert "right-password" not in f"{store!r} {store.config!r}"

    async def test_a_password_is_fetched_for_each_connection(
        self, open_store: OpenStore, user: str, server: redis.Redis
    ) -> None:
        secrets = {"env:P": "right-password"}
        store = await open_store(
            username=user, password=SecretRef("env", "P"), secrets=secrets, client_name=user, breaker_failures=100
        )
        server.execute_command("ACL", "SETUSER", user, "resetpass", ">new-password")
        server.client_kill_filter(user=user)  # type: ignore[no-untyped-call]
        with pytest.raises(StateUnavailableError, match=r"^the state store state\.shared cannot be reached$"):
            await store.get("k")
        secrets.clear()
        with pytest.raises(StateUnavailableError, match="cannot be reached"):
            await store.get("k")
        secrets["env:P"] = "new-password"
        assert await store.get("k") is None

    async def test_a_wrong_password_stops_the_start(self, open_store: OpenStore, user: str) -> None:
        with pytest.raises(PluginError, match=r"state\.shared: .* check username and password") as refused:
            await open_store(username=user, password=SecretRef("env", "P"), secrets={"env:P": "wrong-password"})
        assert "wrong-password" not in str(refused.value)

    async def test_a_password_that_is_nowhere_stops_the_start(self, open_store: OpenStore) -> None:
        with pytest.raises(SecretNotFoundError, match="env:P"):
            await open_store(password=SecretRef("env", "P"))

    async def test_a_wrong_address_by_reference_is_not_shown(self, open_store: OpenStore) -> None:
        with pytest.raises(PluginError, match="env:U") as refused:
            await open_store(url_from=SecretRef("env", "U"), secrets={"env:U": "redis://:hunter2@h?db=1"})
        assert "hunter2" not in str(refused.value)
