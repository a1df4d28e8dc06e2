"""Deadlines of single sends, and signs of life in a silent stream."""

from __future__ import annotations

import asyncio

import pytest

from llmgate.host.errors import ClientLeftError
from llmgate.host.sending import Pulse, Reply


class Sink:
    """An ASGI send that keeps what it gets, and blocks when told to."""

    def __init__(self) -> None:
        self.messages: list[dict] = []
        self.open = asyncio.Event()
        self.open.set()
        self.inside = 0

    async def __call__(self, message: dict) -> None:
        assert not self.inside, "two sends at once"
        self.inside += 1
        try:
            await self.open.wait()
            await asyncio.sleep(0)
            self.messages.append(message)
        finally:
            self.inside -= 1

    @property
    def body(self) -> bytes:
        return b"".join(message.get("body", b"") for message in self.messages)


def reply(sink: Sink, *, patience: float = 5.0, overrun=lambda: None) -> Reply:
    return Reply(sink, patience=patience, overrun=overrun)


def pulse(commit_after: float = 60.0, interval: float = 60.0) -> Pulse:
    return Pulse(commit_after, interval, b": \n\n", b": \n\n", lambda: [(b"x-committed", b"1")])


async def test_a_whole_answer_has_its_length():
    sink = Sink()
    one = reply(sink)
    await one.whole(201, [], b"abc")
    start, body = sink.messages
    assert (start["status"], start["headers"]) == (201, [(b"content-length", b"3")])
    assert (body["body"], body["more_body"]) == (b"abc", False)
    assert (one.status, one.sent, one.finishing) == (201, 3, True)


@pytest.mark.parametrize("streamed", [False, True])
async def test_what_a_stage_says_is_said_once(streamed: bool):
    sink = Sink()
    one = reply(sink)
    one.said = frozenset([b"x-limit"])
    headers = [(b"x-limit", b"ours"), (b"vary", b"a"), (b"vary", b"b"), (b"x-limit", b"theirs")]
    await (one.begin(headers) if streamed else one.whole(200, headers, b""))
    assert sink.messages[0]["headers"][:3] == [(b"x-limit", b"ours"), (b"vary", b"a"), (b"vary", b"b")]
    assert (b"x-limit", b"theirs") not in sink.messages[0]["headers"]
    one.close()


async def test_a_send_that_takes_too_long_is_an_overrun_once():
    sink = Sink()
    overruns = []
    one = reply(sink, patience=0.05, overrun=lambda: overruns.append(1))
    sink.open.clear()
    task = asyncio.create_task(one.whole(200, [], b"abc"))
    await asyncio.sleep(0.3)
    assert overruns == [1]
    task.cancel()
    one.close()


async def test_sends_that_keep_moving_are_no_overrun():
    sink = Sink()
    overruns = []
    one = reply(sink, patience=0.1, overrun=lambda: overruns.append(1))
    one.live(pulse())
    await one.begin([])
    for _ in range(10):
        await one.piece(b"x")
        await asyncio.sleep(0.03)
    await one.end()
    assert not overruns


async def test_a_stream_without_content_is_committed_with_a_sign_of_life_and_keeps_beating():
    sink = Sink()
    one = reply(sink)
    one.live(pulse(commit_after=0.03, interval=0.03))
    await asyncio.sleep(0.2)
    assert sink.messages[0]["headers"] == [(b"x-committed", b"1")]
    assert sink.body.count(b": \n\n") >= 2
    await one.begin([(b"x-late", b"1")])
    await one.end(b"data")
    assert [message["type"] for message in sink.messages].count("http.response.start") == 1
    assert sink.body.endswith(b"data")


async def test_content_before_the_commit_sends_the_real_head():
    sink = Sink()
    one = reply(sink)
    one.live(pulse(commit_after=0.05, interval=60))
    await one.begin([(b"x-real", b"1")])
    await one.piece(b"a")
    await asyncio.sleep(0.12)
    await one.end()
    assert sink.messages[0]["headers"] == [(b"x-real", b"1")]
    assert sink.body == b"a"


async def test_a_sign_of_life_never_mixes_with_content():
    sink = Sink()
    one = reply(sink)
    one.live(pulse(commit_after=0.02, interval=0.02))
    sink.open.clear()
    await asyncio.sleep(0.06)  # the sign is stuck in the server's send
    task = asyncio.create_task(one.piece(b"content"))
    await asyncio.sleep(0.02)
    sink.open.set()
    await task
    await one.end()
    assert sink.messages[0]["type"] == "http.response.start"
    assert sink.body.replace(b": \n\n", b"") == b"content"


async def test_a_talking_stream_has_no_signs_of_life():
    sink = Sink()
    one = reply(sink)
    one.live(pulse(commit_after=0.2, interval=0.2))
    await one.begin([])
    for _ in range(20):
        await one.piece(b"x")
        await asyncio.sleep(0.02)
    await one.end()
    assert sink.body == b"x" * 20


async def test_a_stuck_sign_of_life_is_an_overrun_too():
    sink = Sink()
    overruns = []
    one = reply(sink, patience=0.05, overrun=lambda: overruns.append(1))
    sink.open.clear()
    one.live(pulse(commit_after=0.01, interval=0.01))
    await asyncio.sleep(0.3)
    assert overruns == [1]
    one.close()
    await asyncio.sleep(0)


async def test_nothing_beats_after_the_end():
    sink = Sink()
    one = reply(sink)
    one.live(pulse(commit_after=0.02, interval=0.02))
    await one.begin([])
    await one.end(b"last")
    await asyncio.sleep(0.1)
    assert sink.body == b"last"


async def test_an_answer_that_begins_as_a_sign_of_life_begins_stays_whole():
    """The timer has made its task and the answer comes in the same turn of the loop: one of them sends the head."""
    for _ in range(30):
        sink = Sink()
        one = reply(sink)
        one.live(pulse(commit_after=0.001, interval=60))
        while one._beating is None:
            await asyncio.sleep(0)
        await one.quiet()
        if one.streaming:
            await one.end(b"late")
        else:
            await one.whole(404, [], b"late")
        kinds = [message["type"] for message in sink.messages]
        assert kinds.count("http.response.start") == 1
        assert sink.body.endswith(b"late")


async def test_a_server_that_says_that_the_peer_is_gone_is_understood():
    async def broken(message):
        raise OSError("gone")

    one = Reply(broken, patience=5, overrun=lambda: None)
    with pytest.raises(ClientLeftError):
        await one.whole(200, [], b"x")
    one.close()


async def test_a_stream_may_have_another_status():
    sink = Sink()
    one = reply(sink)
    await one.begin([], 206)
    await one.end(b"part")
    assert (sink.messages[0]["status"], one.status) == (206, 206)
