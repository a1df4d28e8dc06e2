"""What lies between a connection and its application: in order, bounded, and never in the way of a departure."""

from __future__ import annotations

import asyncio

import pytest

from llmgate.host.mailbox import READ_AHEAD, Mailbox

LEFT = {"type": "http.disconnect"}


def body(data: bytes = b"x", *, more: bool = True) -> dict[str, object]:
    return {"type": "http.request", "body": data, "more_body": more}


async def until_idle() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


async def test_messages_come_in_order():
    box = Mailbox()
    for data in (b"one", b"two"):
        await box.put(body(data))
    assert [(await box.get())["body"] for _ in range(2)] == [b"one", b"two"]


async def test_get_waits_for_what_has_not_come():
    box = Mailbox()
    waiting = asyncio.ensure_future(box.get())
    await until_idle()
    assert not waiting.done()
    await box.put(body(b"late"))
    assert (await waiting)["body"] == b"late"


async def test_take_waits_for_nothing():
    box = Mailbox()
    assert box.take() is None
    await box.put(body(b"there"))
    message = box.take()
    assert message is not None
    assert message["body"] == b"there"
    assert box.take() is None


async def test_a_body_that_nobody_takes_holds_up_the_sender_and_not_the_memory():
    box = Mailbox()
    piece = body(b"x" * (READ_AHEAD // 2 + 1))
    await box.put(piece)
    second = asyncio.ensure_future(box.put(piece))
    await until_idle()
    assert not second.done()
    await box.get()
    await second


@pytest.mark.parametrize("how", ["the client leaves", "the application returns"])
async def test_a_held_up_sender_is_let_go_when_nobody_will_take_anything(how: str):
    box = Mailbox()
    held = asyncio.ensure_future(box.put(body(b"x" * (READ_AHEAD + 1))))
    await until_idle()
    assert not held.done()
    if how == "the client leaves":
        await box.put(dict(LEFT))
    else:
        box.shut()
    await asyncio.wait_for(held, 5)


async def test_a_departure_overtakes_what_was_sent_before_it():
    box = Mailbox()
    await box.put(body(b"x" * 1000))
    await box.put(dict(LEFT))
    assert await box.get() == LEFT
    assert await box.get() == LEFT, "and it stays true"
    await box.put(body())
    assert box.take() == LEFT


async def test_a_departure_wakes_who_waits():
    box = Mailbox()
    waiting = asyncio.ensure_future(box.get())
    await until_idle()
    await box.put(dict(LEFT))
    assert await waiting == LEFT


async def test_a_departure_is_told_once():
    box, told = Mailbox(), []
    box.on_departure(lambda: told.append("left"))
    assert told == []
    await box.put(dict(LEFT))
    await box.put(dict(LEFT))
    assert told == ["left"]


async def test_one_that_has_happened_is_told_at_once():
    box, told = Mailbox(), []
    await box.put(dict(LEFT))
    box.on_departure(lambda: told.append("left"))
    assert told == ["left"]


async def test_nobody_is_told_after_the_application_has_returned():
    box, told = Mailbox(), []
    box.on_departure(lambda: told.append("left"))
    box.shut()
    await box.put(dict(LEFT))
    assert told == []


async def test_a_mailbox_is_found_behind_its_own_receive_and_behind_no_other():
    box = Mailbox()
    assert Mailbox.behind(box.get) is box

    async def receive():
        return await box.get()

    assert Mailbox.behind(receive) is None
    assert Mailbox.behind(box.put) is None
