"""A request's messages: in order, bounded, and a departure is known at once."""

from __future__ import annotations

import asyncio

import pytest

from llmgate.host.mailbox import READ_AHEAD, Mailbox

HEAD = {"type": "http.request", "body": b"ab", "more_body": True}
LAST = {"type": "http.request", "body": b"", "more_body": False}
GONE = {"type": "http.disconnect"}


async def test_messages_come_in_order_and_what_is_there_needs_no_wait():
    mailbox = Mailbox()
    assert mailbox.take() is None
    await mailbox.put(HEAD)
    await mailbox.put(LAST)
    assert mailbox.take() is HEAD
    assert await mailbox.get() is LAST
    waiting = asyncio.ensure_future(mailbox.get())
    await asyncio.sleep(0)
    await mailbox.put(HEAD)
    assert await waiting is HEAD


async def test_a_departure_comes_before_what_lies_unread():
    mailbox = Mailbox()
    await mailbox.put(HEAD)
    await mailbox.put(GONE)
    assert mailbox.take() == GONE
    assert await mailbox.get() == GONE


async def test_a_full_box_makes_the_connection_wait_until_the_application_takes():
    mailbox = Mailbox()
    full = asyncio.ensure_future(mailbox.put({**HEAD, "body": bytes(READ_AHEAD + 1)}))
    await asyncio.sleep(0)
    assert not full.done()
    mailbox.take()
    await full


async def test_who_asks_is_told_once_of_a_departure_without_taking_anything():
    told = []
    mailbox = Mailbox()
    mailbox.on_departure(lambda: told.append("left"))
    await mailbox.put(HEAD)
    assert told == []
    await mailbox.put(GONE)
    await mailbox.put(GONE)
    assert told == ["left"]
    mailbox.on_departure(lambda: told.append("late"))
    assert told == ["left", "late"]


async def test_nobody_is_told_after_the_application_has_returned():
    told = []
    mailbox = Mailbox()
    mailbox.on_departure(lambda: told.append("left"))
    mailbox.shut()
    await mailbox.put(GONE)
    assert told == []


async def test_it_is_found_behind_its_own_get_and_behind_nothing_else():
    mailbox = Mailbox()

    async def wrapped():
        return await mailbox.get()

    assert Mailbox.behind(mailbox.get) is mailbox
    assert Mailbox.behind(mailbox.put) is None
    assert Mailbox.behind(wrapped) is None


async def test_a_websockets_end_comes_behind_its_messages_and_waits_for_no_room():
    mailbox = Mailbox()
    message = {"type": "websocket.receive", "bytes": bytes(READ_AHEAD)}
    full = asyncio.ensure_future(mailbox.put(message))
    await asyncio.sleep(0)
    assert not full.done()
    end = {"type": "websocket.disconnect", "code": 1000}
    await mailbox.put(end)
    assert (mailbox.take(), mailbox.take()) == (message, end)
    await full


@pytest.mark.parametrize(("code", "expected"), [(1006, 1), (1000, 0)])
async def test_a_websocket_that_breaks_is_noticed_at_once_and_one_that_is_closed_in_its_turn(code, expected):
    noticed = []
    mailbox = Mailbox()
    mailbox.on_departure(lambda: noticed.append(code))
    await mailbox.put({"type": "websocket.disconnect", "code": code})
    assert len(noticed) == expected


async def test_tiny_messages_of_a_websocket_fill_the_box_too():
    mailbox = Mailbox()
    tiny = {"type": "websocket.receive", "text": "x"}

    async def fill():
        for _ in range(READ_AHEAD):
            await mailbox.put(tiny)

    filling = asyncio.ensure_future(fill())
    await asyncio.sleep(0)
    taken = 0
    while mailbox.take() is not None:
        taken += 1
    assert taken < READ_AHEAD / 256
    filling.cancel()
