"""One request to an application: its answer comes as it is read, and ends when nobody wants it."""

from __future__ import annotations

import asyncio

import pytest

from llmgate.sdk.conversation import READ_AHEAD, BrokenOffError, Conversation

START = {"type": "http.response.start", "status": 200, "headers": [(b"x", b"y")]}


def body(data: bytes, *, more: bool = True) -> dict:
    return {"type": "http.response.body", "body": data, "more_body": more}


async def test_an_answer_is_read_as_it_comes():
    gate = asyncio.Event()
    seen = {}

    async def app(scope, receive, send):
        seen.update(scope, message=await receive())
        await send(START)
        await send(body(b"one"))
        await gate.wait()
        await send(body(b"two"))
        await send(body(b"", more=False))

    conversation = Conversation(app, {"type": "http"}, b"asked")
    await conversation.begun(1)
    assert (conversation.head.status, conversation.head.headers) == (200, [(b"x", b"y")])
    assert await conversation.read(1) == b"one"
    gate.set()
    assert await conversation.read(1) == b"two"
    assert await conversation.read(1) == b""
    assert await conversation.read(1) == b""
    assert seen == {"type": "http", "message": {"type": "http.request", "body": b"asked", "more_body": False}}
    await conversation.leave()


async def test_nothing_is_read_ahead_beyond_the_bound():
    sent = 0

    async def app(scope, receive, send):
        nonlocal sent
        await send(START)
        for _ in range(100):
            await send(body(bytes(READ_AHEAD // 4)))
            sent += 1
        await send(body(b"", more=False))

    conversation = Conversation(app, {}, b"")
    await conversation.begun(1)
    for _ in range(50):
        await asyncio.sleep(0)
    assert sent < 5
    total = 0
    while data := await conversation.read(1):
        assert len(data) <= READ_AHEAD
        total += len(data)
    assert total == 25 * READ_AHEAD
    await conversation.leave()


@pytest.mark.parametrize("stuck", ["waiting for the disconnect", "sending", "sending more than is held"])
async def test_leaving_tells_the_application_and_waits_for_its_end(stuck):
    ended = []

    async def app(scope, receive, send):
        await receive()
        await send(START)
        try:
            if stuck == "waiting for the disconnect":
                ended.append(await receive())
            else:
                while True:
                    await send(body(bytes(READ_AHEAD) if "held" in stuck else b"."))
                    await asyncio.sleep(0)
        except OSError as left:
            ended.append(left)

    conversation = Conversation(app, {}, b"")
    await conversation.begun(1)
    await conversation.leave()
    assert len(ended) == 1
    assert conversation.work.done()
    await conversation.leave()


async def test_leaving_at_once_sends_no_body_any_more():
    messages = []

    async def app(scope, receive, send):
        messages.append(await receive())

    conversation = Conversation(app, {}, b"asked")
    await conversation.leave()
    assert messages == [{"type": "http.disconnect"}]


async def test_waiting_ends_with_the_timeout():
    async def app(scope, receive, send):
        await receive()
        if scope["head"]:
            await send(START)
        await receive()

    for head in (False, True):
        conversation = Conversation(app, {"head": head}, b"")
        with pytest.raises(TimeoutError):
            await conversation.begun(0.01)
            await conversation.read(0.01)
        await conversation.leave()


@pytest.mark.parametrize("after", ["nothing", "head", "piece"])
@pytest.mark.parametrize("how", ["return", "raise", "cancelled"])
async def test_an_application_that_ends_too_early_breaks_the_answer_off(after, how):
    async def app(scope, receive, send):
        if after != "nothing":
            await send(START)
        if after == "piece":
            await send(body(b"one"))
        if how == "raise":
            raise ValueError("a fault")
        if how == "cancelled":
            raise asyncio.CancelledError

    conversation = Conversation(app, {}, b"")
    with pytest.raises(BrokenOffError):
        await conversation.begun(1)
        if after == "piece":
            assert await conversation.read(1) == b"one"
        await conversation.read(1)
    await conversation.leave()
