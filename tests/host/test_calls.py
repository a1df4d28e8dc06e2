"""Stopping work from outside, and the drain; departures over sockets are in surfaces/test_openai.py."""

from __future__ import annotations

import asyncio

import pytest

from host.stand_ins import StandInPipeline
from llmgate.config.model import ServerConfig
from llmgate.host.calls import Call, Desk, Stop
from llmgate.host.errors import ClientLeftError
from llmgate.host.guard import Guard
from llmgate.spec import GatewayClosedError, Operation

SCOPE = {"type": "http", "method": "POST", "path": "/x", "client": ("10.0.0.1", 5)}


async def nothing(message=None):
    await asyncio.Event().wait()


def desk() -> Desk:
    settings = ServerConfig()
    return Desk(StandInPipeline(), settings, Guard(settings, trusting=True))


def call(where: Desk | None = None) -> Call:
    return Call(where or desk(), SCOPE, nothing, nothing)


async def test_work_is_stopped_only_while_it_runs():
    one = call()
    assert not one.stop(Stop.LEFT)
    with one:
        pass
    assert not one.stop(Stop.LEFT)
    assert one.stopped is None


@pytest.mark.parametrize("reason", [Stop.LEFT, Stop.STUCK])
async def test_a_client_that_leaves_is_noted_before_the_work_is_cancelled(reason):
    one = call()
    frame = one.exchange(Operation.CHAT, "openai")
    with pytest.raises(asyncio.CancelledError), one:
        assert one.stop(reason)
        assert frame.abandoned
        assert not one.stop(Stop.SHUTDOWN), "one reason is enough"
        await asyncio.sleep(1)
    assert one.stopped is reason
    asyncio.current_task().uncancel()


async def test_a_shutdown_is_an_error_of_the_gateway_not_a_departure():
    one = call()
    frame = one.exchange(Operation.CHAT, "openai")
    with pytest.raises(GatewayClosedError), one:
        one.stop(Stop.SHUTDOWN)
        await asyncio.sleep(1)
    assert not frame.abandoned
    assert not asyncio.current_task().cancelling()


async def test_the_last_bytes_are_not_cut_by_a_departure():
    one = call()
    with one:
        one.reply.finishing = True
        assert not one.stop(Stop.LEFT)
        assert not one.stop(Stop.SHUTDOWN)
        await asyncio.sleep(0)


async def test_a_departure_within_the_body_counts_as_one():
    one = call()
    frame = one.exchange(Operation.CHAT, "openai")
    with pytest.raises(asyncio.CancelledError), one:
        raise ClientLeftError
    assert frame.abandoned
    assert one.stopped is Stop.LEFT


async def test_the_drain_waits_for_requests_and_no_longer():
    where = desk()
    where.pipeline.ready = True
    assert where.ready
    one = call(where)
    where.enter(one)
    drain = asyncio.create_task(where.drain(30))
    await asyncio.sleep(0.01)
    assert not where.ready
    assert not drain.done()
    where.leave(one)
    assert await asyncio.wait_for(drain, 1) == 0


async def test_the_drain_of_nothing_is_immediate():
    assert await asyncio.wait_for(desk().drain(30), 1) == 0


async def test_a_request_id_is_made_once():
    one = call()
    assert one.request_id == one.request_id
    assert one.client_address == "10.0.0.1"
    one.take_headers({"x-request-id": "theirs"})
    assert one.request_id == "theirs"
