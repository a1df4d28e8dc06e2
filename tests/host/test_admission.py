"""Beyond so many requests at once a few wait for a moment, and the others are told to come back."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from host.stand_ins import CHAT, StandInPipeline, plain_answer, serving
from llmgate.config.model import ServerConfig
from llmgate.host import admission as module
from llmgate.host.admission import Admission
from llmgate.spec import OverloadedError


def admission(queued: int = 2, timeout: float = 30.0, served: list[str] | None = None) -> Admission:
    settings = ServerConfig(max_concurrent_requests=1, max_queued_requests=queued, queue_timeout=timeout)
    return Admission(settings, ["one", "two", "three", "four"] if served is None else served)


async def test_first_come_first_served_and_the_crowd_is_refused_at_once() -> None:
    served = ["running", "first", "second", "third"]
    one = admission(served=served)
    one.entered()
    assert one.must_wait
    first, second = asyncio.create_task(one.turn()), asyncio.create_task(one.turn())
    await asyncio.sleep(0)
    with pytest.raises(OverloadedError) as refused:
        await one.turn()
    assert (refused.value.retry_after, refused.value.http_status) == (1.0, 503)
    assert (one.waiting, one.refused) == (2, 1)
    served.remove("third")
    one.left()
    assert one.waiting == 2, "who was refused leaves no place"
    served.remove("running")
    one.left()
    await first
    assert not second.done()
    assert one.tight
    served.remove("first")
    one.left()
    await second
    served.remove("second")
    one.left()
    assert one.waiting == 0


async def test_nobody_waits_longer_than_is_allowed() -> None:
    one = admission(timeout=0.01)
    with pytest.raises(OverloadedError):
        await one.turn()
    assert one.waiting == 0


async def test_fewer_wait_where_some_have_waited_in_vain() -> None:
    one = admission(queued=4, timeout=0.02)
    gone = await asyncio.gather(*(one.turn() for _ in range(4)), return_exceptions=True)
    assert [type(failure) for failure in gone] == [OverloadedError] * 4
    waiting = [asyncio.create_task(one.turn()) for _ in range(4)]
    await asyncio.sleep(0)
    assert one.waiting < 4
    await asyncio.gather(*waiting, return_exceptions=True)


async def test_one_that_is_cancelled_takes_nobodys_place() -> None:
    served = ["running", "first", "second"]
    one = admission(served=served)
    first, second = asyncio.create_task(one.turn()), asyncio.create_task(one.turn())
    await asyncio.sleep(0)
    first.cancel()
    await asyncio.sleep(0)
    assert one.waiting == 1
    served[:] = ["second"]
    one.left()
    await second


async def test_on_the_wire_as_many_are_let_pass_as_there_are_places_for() -> None:
    served: list[str] = ["running"]
    one = admission(served=served, queued=2)
    assert [one.refuse(WHOLE) is None for _ in range(4)] == [True, True, False, False], "before any of them has come in"
    served += ["first", "second"]
    one.entered()
    one.entered()
    assert one.refuse(WHOLE) is not None
    served.remove("first")
    assert one.refuse(WHOLE) is None


async def test_what_was_let_pass_and_never_comes_in_is_forgotten() -> None:
    one = admission(served=["running"], queued=1)
    assert one.refuse(b"POST") is None
    assert one.refuse(WHOLE) is not None
    for _ in range(3 * module.TURNS):
        await asyncio.sleep(0)
    assert one.refuse(WHOLE) is None
    one.entered()
    assert one.refuse(WHOLE) is None, "the one that was let pass has come in"


async def test_a_large_bound_is_not_looked_at_before_it_is_near() -> None:
    served: list[str] = []
    one = Admission(ServerConfig(), served)
    assert not one.tight
    assert Admission(ServerConfig(max_concurrent_requests=64), served).tight, "so many may come at once"


@pytest.mark.parametrize("queued", [0, 3])
async def test_a_full_host_refuses_lets_in_and_stays_alive(queued: int) -> None:
    release = asyncio.Event()

    async def slow(frame: Any, request: Any) -> Any:
        await release.wait()
        return await plain_answer(frame, request)

    pipeline = StandInPipeline(slow)
    settings = ServerConfig(max_concurrent_requests=2, max_queued_requests=queued, queue_timeout=20.0)
    async with serving(pipeline, server=settings) as served:
        desk = served.app.state.desk
        asked = [asyncio.create_task(served.ask("/v1/chat/completions", CHAT)) for _ in range(2 + queued)]
        while len(desk.calls) < 2 + queued:
            await asyncio.sleep(0.005)
        for path, shape in (("/v1/chat/completions", "error"), ("/v1/messages", "type")):
            refused = await served.ask(path, CHAT)
            assert refused.status == 503
            assert refused.headers["retry-after"] == "1"
            assert shape in refused.json
        assert refused.json["error"]["type"] == "overloaded_error", "in the shape of the surface"
        for path in ("/health", "/ready"):
            assert (await served.ask(path)).status == 200
        assert len(pipeline.frames) == 2, "who waits or is refused costs nothing"
        release.set()
        assert [reply.status for reply in await asyncio.gather(*asked)] == [200] * (2 + queued)
        assert not desk.calls
        assert (await served.ask("/v1/chat/completions", CHAT)).status == 200
    assert desk.admission.waiting == 0


WHOLE = b"POST /v1/messages?a=b HTTP/1.1\r\nHost: x\r\nX-Api-Key: k\r\nContent-Length: 4\r\n\r\nbody"


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (WHOLE, b'"type":"overloaded_error"'),
        (WHOLE.replace(b"/v1/messages", b"/v1/chat/completions"), b'"code":"overloaded"'),
        (WHOLE.replace(b"/v1/messages", b"/v1beta/models/m:generateContent"), b'"status":"UNAVAILABLE"'),
        (WHOLE.replace(b"X-Api-Key: k", b"Connection: Keep-Alive"), b"overloaded_error"),
        (WHOLE.replace(b"/v1/messages", b"/x").replace(b"X-Api-Key: k", b"anthropic-version: 1"), b"overloaded_error"),
    ],
)
async def test_a_request_is_refused_unread_in_its_own_words(data: bytes, kind: bytes) -> None:
    one = admission()
    head, _, body = (one.refuse(data) or b"").partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 503 ")
    assert b"\r\nretry-after: 1\r\n" in head
    assert b"\r\ncontent-length: %d" % len(body) in head
    assert kind in body
    assert one.refused == 1


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\r\n\r\n",
        WHOLE[:-1],
        WHOLE + b"x",
        WHOLE[:40],
        WHOLE + WHOLE,
        WHOLE.replace(b"POST", b"GET"),
        WHOLE.replace(b"1.1", b"1.0"),
        WHOLE.replace(b"/v1", b"v1"),
        WHOLE.replace(b"\r\nHost", b"\nHost"),
        WHOLE.replace(b"X-Api-Key: k", b"X: a\n Content-Length: 9"),
        WHOLE.replace(b"X-Api-Key: k", b"X: a\r\n folded"),
        WHOLE.replace(b"X-Api-Key: k", b"Content-Length: 4"),
        WHOLE.replace(b"X-Api-Key: k", b"Content-Length : 4"),
        WHOLE.replace(b"X-Api-Key: k", b"Transfer-Encoding: chunked"),
        WHOLE.replace(b"X-Api-Key: k", b"Expect: 100-continue"),
        WHOLE.replace(b"X-Api-Key: k", b"Upgrade: websocket"),
        WHOLE.replace(b"X-Api-Key: k", b"Connection: close"),
        WHOLE.replace(b"Length: 4", b"Length: +4"),
        WHOLE.replace(b"Length: 4", b"Length: 4, 4"),
        WHOLE.replace(b"Host", b"Ho st"),
    ],
)
async def test_what_could_be_read_in_two_ways_is_read_with_more_care(data: bytes) -> None:
    assert admission().refuse(data) is None


async def test_a_crowd_is_refused_on_the_wire_and_the_connection_lives_on() -> None:
    release = asyncio.Event()

    async def slow(frame: Any, request: Any) -> Any:
        await release.wait()
        return await plain_answer(frame, request)

    settings = ServerConfig(max_concurrent_requests=1, max_queued_requests=1, queue_timeout=20.0)
    async with serving(StandInPipeline(slow), server=settings) as served:
        desk = served.app.state.desk
        asked = [asyncio.create_task(served.ask("/v1/chat/completions", CHAT)) for _ in range(2)]
        while len(desk.calls) < 2:
            await asyncio.sleep(0.005)
        reader, writer = await asyncio.open_connection("127.0.0.1", served.port)
        request = b"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        request += b"Content-Length: %d\r\n\r\n" % len(CHAT) + CHAT
        for _ in range(3):
            writer.write(request)
            head = await reader.readuntil(b"\r\n\r\n")
            assert head.startswith(b"HTTP/1.1 503 ")
            await reader.readexactly(int(head.partition(b"content-length: ")[2].partition(b"\r\n")[0]))
        assert desk.admission.refused == 3
        release.set()
        await asyncio.gather(*asked)
        writer.write(request)
        assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 200 "), "on the same connection"
        writer.close()
