"""Messages through the file: between processes, in order, and only while somebody listens."""

from __future__ import annotations

import asyncio


async def heard(messages, count):
    return [await asyncio.wait_for(anext(messages), 5) for _ in range(count)]


async def test_what_one_process_says_another_hears(open_store):
    one, two = await open_store(), await open_store()
    await one.publish("a", b"too early")
    async with two.subscribe("a") as first, two.subscribe("b") as second, two.subscribe("a") as third:
        for number in range(3):
            await one.publish("a", b"%d" % number)
        await one.publish("b", b"other")
        assert await heard(first, 3) == await heard(third, 3) == [b"0", b"1", b"2"]
        assert await heard(second, 1) == [b"other"]


async def test_one_who_comes_later_hears_what_comes_later(open_store):
    store = await open_store()
    async with store.subscribe("a") as first:
        await store.publish("a", b"1")
        async with store.subscribe("a") as second:
            await store.publish("a", b"2")
            assert await heard(second, 1) == [b"2"]
        assert await heard(first, 2) == [b"1", b"2"]


async def test_messages_do_not_stay(open_store, clock):
    store = await open_store()
    await store.publish("a", b"1")
    clock.advance(100)
    await store.add("anything")
    assert await store._database.run(lambda file: file.execute("SELECT count(*) FROM messages").fetchone()) == (0,)


async def test_nobody_looks_when_nobody_listens(open_store):
    store = await open_store()
    async with store.subscribe("a"):
        assert store._listener._task is not None
    assert store._listener._task is None
    assert store._listener._listening == {}


async def test_closing_ends_subscriptions(open_store):
    store = await open_store()
    async with store.subscribe("a") as messages:
        await store.aclose()
        assert [one async for one in messages] == []
