"""Settings, sockets, and the order of a shutdown; with a real process in end_to_end/test_serve.py."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator

import pytest

import servers
from host.stand_ins import CHAT, DONE, STREAM, Reply, StandInPipeline, Stream, event, serving, until
from llmgate.config.model import ServerConfig
from llmgate.host.app import create_app
from llmgate.host.server import bind, serve, settings_of
from llmgate.spec import GatewayClosedError

SERVERS = ("hypercorn", "uvicorn")

POST = b"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"


def request(body: bytes) -> bytes:
    return POST + b"Content-Length: %d\r\n\r\n" % len(body) + body


def test_the_settings_are_the_hosts():
    config = settings_of(ServerConfig(backlog=7, keep_alive_timeout=3, max_requests_per_connection=9))
    assert (config.backlog, config.keep_alive_timeout, config.keep_alive_max_requests) == (7, 3, 9)
    assert config.alpn_protocols == ["http/1.1"]
    assert config.accesslog is None
    assert config.errorlog is None
    assert [name for name, _ in config.response_headers("h11")] == [b"date"]


@pytest.mark.parametrize("address", ["127.0.0.1", "localhost"])
def test_a_free_port_is_taken_and_is_the_same_for_every_address(address):
    sockets = bind(address, 0)
    ports = {bound.getsockname()[1] for bound in sockets}
    for bound in sockets:
        bound.close()
    assert len(ports) == 1
    assert ports != {0}


def test_a_port_in_use_is_an_error_and_leaves_nothing_bound():
    with socket.create_server(("127.0.0.1", 0)) as taken, pytest.raises(OSError):
        bind("127.0.0.1", taken.getsockname()[1])


def steps(*, hang: bool):
    async def start(frame, request) -> Stream:
        async def pieces() -> AsyncIterator[bytes]:
            yield event("one")
            if hang:
                await asyncio.Event().wait()
            await asyncio.sleep(0.3)
            yield event("two")
            yield DONE

        return Stream(pieces())

    return start


async def test_running_streams_end_whole_and_nothing_new_is_taken():
    async with (
        serving(StandInPipeline(stream=steps(hang=False))) as served,
        served.connection() as (reader, writer),
        served.connection() as (idle, _),
    ):
        writer.write(request(STREAM))
        head = await reader.readuntil(b"one")
        served.stop.set()
        assert await asyncio.wait_for(idle.read(-1), 1) == b"", "an idle connection is closed at once"
        with pytest.raises(ConnectionError):
            await served.raw(b"")
        rest = await asyncio.wait_for(reader.read(-1), 5)
        assert Reply.of(head + rest).body == event("one") + event("two") + DONE
        await asyncio.wait_for(served.task, 2)
    assert served.pipeline.frames[0].failure is None


async def test_streams_that_do_not_end_get_an_error_event_and_whole_requests_a_503():
    async def forever(frame, request):
        await asyncio.Event().wait()

    pipeline = StandInPipeline(forever, steps(hang=True), server=ServerConfig(shutdown_timeout=0.2))
    async with (
        serving(pipeline) as served,
        served.connection() as (reader, writer),
        served.connection() as (reader2, writer2),
    ):
        writer.write(request(STREAM))
        head = await reader.readuntil(b"one")
        writer2.write(request(CHAT))
        await until(lambda: len(pipeline.frames) == 2 and pipeline.frames[1].request)
        served.stop.set()
        stream = Reply.of(head + await asyncio.wait_for(reader.read(-1), 5))
        whole = Reply.of(await asyncio.wait_for(reader2.read(-1), 5))
        await asyncio.wait_for(served.task, 5)
    assert b"shutting down" in stream.body
    assert b"[DONE]" not in stream.body
    assert (whole.status, whole.error["code"]) == (503, "gateway_closed")
    assert whole.headers["connection"].startswith("close")
    for frame in pipeline.frames:
        assert isinstance(frame.failure, GatewayClosedError)
        assert not frame.abandoned
        assert frame.left == 1


async def test_a_client_that_does_not_read_does_not_hold_up_the_shutdown():
    async def fire_hose(frame, request) -> Stream:
        async def pieces() -> AsyncIterator[bytes]:
            while True:
                yield event("x" * 60_000)

        return Stream(pieces())

    pipeline = StandInPipeline(stream=fire_hose, server=ServerConfig(shutdown_timeout=0.1))
    async with serving(pipeline) as served, served.connection(limit=1024) as (_, writer):
        writer.write(request(STREAM))
        await until(lambda: pipeline.frames)
        await asyncio.sleep(0.2)
        served.stop.set()
        await asyncio.wait_for(served.task, 8)
    assert pipeline.frames[0].left == 1


async def test_the_pipeline_is_closed_after_the_last_request():
    order = []

    class Watched(StandInPipeline):
        async def __aexit__(self, *failure: object) -> None:
            order.append("closed")
            await super().__aexit__(*failure)

    pipeline = Watched(stream=steps(hang=False))
    async with serving(pipeline) as served, served.connection() as (reader, writer):
        writer.write(request(STREAM))
        await reader.readuntil(b"one")
        served.stop.set()
        await reader.read(-1)
        order.append("answered")
        await served.task
    assert order == ["answered", "closed"]


async def test_processes_that_share_an_address_both_take_of_a_rush():
    """Here two servers in one loop: were one to take all that waits, the other would get nothing."""
    (bound,) = bind("127.0.0.1", 0)
    pipelines = [StandInPipeline(), StandInPipeline()]
    stop = asyncio.Event()
    running = [
        asyncio.create_task(serve(create_app(pipeline, server=servers.chosen()), [bound.dup()], stop=stop, shared=True))
        for pipeline in pipelines
    ]
    await until(lambda: all(pipeline.ready for pipeline in pipelines))

    async def ask() -> bytes:
        reader, writer = await asyncio.open_connection(*bound.getsockname())
        writer.write(request(CHAT).replace(b"Host:", b"Connection: close\r\nHost:"))
        answer = await reader.read()
        writer.close()
        return answer

    answers = await asyncio.gather(*(ask() for _ in range(40)))
    assert all(answer.startswith(b"HTTP/1.1 200") for answer in answers)
    assert all(len(pipeline.frames) > 5 for pipeline in pipelines)
    stop.set()
    await asyncio.gather(*running)
    bound.close()
