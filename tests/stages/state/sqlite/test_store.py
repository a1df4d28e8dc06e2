"""``sqlite``: what it keeps over a restart, over a crash, and between processes."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import textwrap

import pytest

from llmgate.spec import GatewayClosedError, Place, Rate, Units
from llmgate.stages.state.sqlite import StateFileError

TEN = Rate(10, 1e6)


async def test_what_is_kept_is_there_after_a_restart(open_store):
    one = await open_store()
    await one.put("v", b"value", ttl=60)
    await one.acquire("r", TEN, 7)
    await one.add("c", 3, once="x")
    await one.lease("l", "h", limit=1, ttl=60)
    await one.aclose()
    two = await open_store()
    assert await two.get("v") == b"value"
    assert (await two.peek("r", TEN, 0)).remaining == 3
    assert await two.add("c", 3, once="x") == 3
    assert not await two.lease("l", "other", limit=1, ttl=60)


async def test_two_stores_grant_together_what_one_would(open_store):
    stores = [await open_store(timeout=0.5) for _ in range(3)]

    async def ask(number):
        claims = (Units("r", Rate(50, 1e6)), Place("p", f"h{number}", 40, 60))
        return all(one.allowed for one in await stores[number % 3].claim(claims))

    granted = [await asyncio.gather(*(ask(start + one) for one in range(10))) for start in range(0, 100, 10)]
    assert sum(map(sum, granted)) == 40
    assert (await stores[0].peek("r", Rate(50, 1e6), 0)).remaining == 10


WORKER = """
    import asyncio, sys
    from pathlib import Path
    from llmgate.spec import Rate, StageContext, SystemClock
    from llmgate.stages.state.sqlite import Sqlite, SqliteConfig, StateFileError

    async def main():
        store = Sqlite(SqliteConfig(path=Path(sys.argv[1]), timeout=0.5))
        await store.open(StageContext(id="s", clock=SystemClock(), transport=None, fetch_secret=None, state=None))
        granted = 0
        for number in range(100):
            while True:
                try:
                    decision = await store.acquire("k", Rate(150, 1e9), once=f"{sys.argv[2]}.{number}")
                    break
                except StateFileError:
                    pass
            granted += decision.allowed
            print(granted, flush=True)
        if sys.argv[2] == "dies":
            import os, signal
            os.kill(os.getpid(), signal.SIGKILL)
        await store.aclose()

    asyncio.run(main())
"""


async def test_processes_grant_exactly_the_capacity_and_one_that_is_killed_harms_nothing(open_store, tmp_path):
    path = tmp_path / "state.db"
    await (await open_store()).aclose()
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", textwrap.dedent(WORKER), str(path), name], stdout=subprocess.PIPE, text=True
        )
        for name in ("a", "b", "dies")
    ]
    outputs = [process.communicate(timeout=60)[0] for process in processes]
    assert [process.returncode for process in processes] == [0, 0, -9]
    assert sum(int(output.split()[-1]) for output in outputs) == 150
    again = await open_store()
    assert not (await again.acquire("k", Rate(150, 1e9), once="new")).allowed


async def test_a_claim_that_does_not_fit_takes_nothing(open_store):
    store = await open_store(max_entries=2)
    await store.acquire("a", TEN, 1)
    with pytest.raises(StateFileError, match="raise max-entries") as refused:
        await store.claim((Units("b", TEN), Units("c", TEN)))
    assert refused.value.code == "state_store_full"
    assert (await store.peek("b", TEN, 0)).remaining == 10
    assert (await store.acquire("b", TEN)).allowed


async def test_a_value_that_is_looked_at_stays_longer(open_store, clock):
    store = await open_store(max_size=40)
    for key in "ab":
        await store.put(key, b"x" * 15)
        clock.advance(61)
    assert await store.get("a")
    await store.put("c", b"x" * 15)
    assert await store.get("c")
    found = [await store.get(key) is not None for key in "abc"]
    assert found in ([True, False, True], [False, False, True])


async def test_a_closed_store_says_so(open_store):
    store = await open_store()
    await store.aclose()
    await store.aclose()
    for call in (store.get("a"), store.put("a", b""), store.publish("a", b"")):
        with pytest.raises(GatewayClosedError):
            await call
    with pytest.raises(GatewayClosedError):
        store.subscribe("a")


@pytest.mark.parametrize("method", ["acquire", "peek"])
async def test_numbers_that_mean_nothing_are_refused(open_store, method):
    store = await open_store()
    with pytest.raises(ValueError, match="use refund"):
        await getattr(store, method)("a", TEN, -1)
    with pytest.raises(ValueError, match="positive number of seconds"):
        await store.lease("a", "h", limit=1, ttl=0)


async def test_who_stops_waiting_leaves_the_file_whole(open_store):
    store = await open_store()
    for turns in range(8):
        task = asyncio.create_task(store.claim((Units("k", Rate(1000, 1e9)),), once=f"x{turns}"))
        for _ in range(turns):
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait({task})
    for turns in range(8):
        await store.claim((Units("k", Rate(1000, 1e9)),), once=f"x{turns}")
    assert (await store.peek("k", Rate(1000, 1e9), 0)).remaining == 992
