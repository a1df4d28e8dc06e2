"""A request that is over is freed at once: nothing of it, its body least of all, waits for the garbage collector."""

from __future__ import annotations

import gc
import json

import pytest

from host.stand_ins import serving
from llmgate import Pipeline
from llmgate.host.calls import Call
from llmgate.pipeline.frame import ExchangeFrame
from llmgate.spec import GatewayRequest

CHAT = {"model": "echo", "messages": [{"role": "user", "content": "hello wide world"}]}


def requests_in_memory() -> list[object]:
    """Everything of any request, past ones included."""
    return [one for one in gc.get_objects() if isinstance(one, Call | ExchangeFrame | GatewayRequest)]


@pytest.fixture
def left_behind():
    """Tells what of the test's own requests is in memory; the garbage collector is off for the length of the test."""
    gc.collect()
    gc.disable()
    before = requests_in_memory()  # kept by what other tests have kept, a traceback in a log record, say
    known = {id(one) for one in before}
    yield lambda: [type(one).__name__ for one in requests_in_memory() if id(one) not in known]
    gc.enable()


@pytest.mark.parametrize("stream", [False, True])
async def test_a_served_request_is_freed_without_the_garbage_collector(left_behind, stream):
    async with serving(Pipeline.from_config({"providers": {"echo": {}}}, environment={})) as served:
        body = json.dumps({**CHAT, "stream": stream}).encode()
        reply = await served.ask("/v1/chat/completions", body)
        assert reply.status == 200
        assert b"wide" in reply.body
        assert left_behind() == []


async def test_so_is_one_in_process(left_behind):
    async with Pipeline.from_config({"providers": {"echo": {}}}, environment={}) as pipeline:
        await pipeline.complete(**CHAT)
        async with pipeline.stream(**CHAT) as chunks:
            assert "wide" in "".join([chunk.text async for chunk in chunks])
        del chunks
        assert left_behind() == []
