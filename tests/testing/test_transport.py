"""``ScriptedTransport``: answers in order, remembers the questions, and complains when the script is over."""

from __future__ import annotations

import asyncio
import json

import pytest

from llmgate.spec import ProviderConnectionError, ProviderRequest, ProviderResponse
from llmgate.testing.transport import ScriptedTransport, json_answer, stream_answer

REQUEST = ProviderRequest(method="POST", url="https://provider.invalid/v1/chat", headers={})


async def test_answers_come_in_order_and_requests_are_kept():
    transport = ScriptedTransport([json_answer({"n": 1}), json_answer({"n": 2}, status=429)])
    answers = [await transport.send(REQUEST) for _ in range(2)]
    assert [(answer.status, json.loads(answer.body)["n"]) for answer in answers] == [(200, 1), (429, 2)]
    assert transport.requests == [REQUEST, REQUEST]
    assert transport.left == 0


async def test_an_exception_is_raised():
    transport = ScriptedTransport([ProviderConnectionError("refused")] * 2)
    for method in (transport.send, transport.open_stream):
        with pytest.raises(ProviderConnectionError, match="refused"):
            await method(REQUEST)


async def test_a_callable_answers_by_the_request():
    transport = ScriptedTransport([lambda request: json_answer({"url": request.url})])
    assert json.loads((await transport.send(REQUEST)).body) == {"url": REQUEST.url}


async def test_a_stream_comes_in_its_pieces_and_breaks_where_it_is_told():
    transport = ScriptedTransport([stream_answer(b"a", b"b", ProviderConnectionError("cut"), b"never")])
    stream = await transport.open_stream(REQUEST)
    pieces = []
    with pytest.raises(ProviderConnectionError, match="cut"):
        async for piece in stream:
            pieces += [piece]
    assert pieces == [b"a", b"b"]
    assert not stream.finished


async def test_a_stream_waits_for_an_event():
    gate = asyncio.Event()
    stream = await ScriptedTransport([stream_answer(gate, b"late")]).open_stream(REQUEST)
    reading = asyncio.create_task(stream.read())
    await asyncio.sleep(0)
    assert not reading.done()
    gate.set()
    assert await asyncio.wait_for(reading, 5) == b"late"


async def test_a_closed_stream_gives_nothing_more_and_says_that_it_was_closed():
    transport = ScriptedTransport([stream_answer(b"a", b"b")])
    stream = await transport.open_stream(REQUEST)
    assert await anext(aiter(stream)) == b"a"
    await stream.aclose()
    assert await stream.read() == b""
    assert (transport.streams, stream.closed, stream.finished) == ([stream], True, False)


async def test_either_kind_of_answer_serves_either_method():
    transport = ScriptedTransport([stream_answer(b"a", b"b"), json_answer({})])
    assert (await transport.send(REQUEST)).body == b"ab"
    stream = await transport.open_stream(REQUEST)
    assert (stream.headers["content-type"], await stream.read()) == ("application/json", b"{}")


async def test_a_script_that_is_over_fails_the_test():
    transport = ScriptedTransport()
    with pytest.raises(AssertionError, match=r"no answer for request 1, POST https://provider\.invalid"):
        await transport.send(REQUEST)
    transport.add(ProviderResponse(status=204, headers={}, body=b""))
    assert (await transport.send(REQUEST)).status == 204


async def test_what_is_no_answer_is_refused():
    with pytest.raises(TypeError, match="int is no answer"):
        await ScriptedTransport([lambda _: 7]).send(REQUEST)


async def test_it_says_that_it_was_closed():
    transport = ScriptedTransport()
    await transport.aclose()
    assert transport.closed
