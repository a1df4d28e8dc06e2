"""The OpenAI and Anthropic SDKs repeat by themselves: behind the gateway their repeats do not multiply its own."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager

import anthropic
import openai
import pytest

from end_to_end.loopback import MESSAGES, loopback
from llmgate.testing.upstream import FakeUpstream

REPEATS = {"retries": {"strategy": "constant", "delay": "1ms", "max-retries": 2}}
LEFT = {"monitor": {"health": {"ratio": 1}}}


async def ask_openai(port: int, **options):
    url = f"http://127.0.0.1:{port}/v1"
    async with openai.AsyncOpenAI(base_url=url, api_key="mine", **options) as client:
        return await client.chat.completions.create(model="one/m", messages=MESSAGES)


async def ask_anthropic(port: int, **options):
    async with anthropic.AsyncAnthropic(base_url=f"http://127.0.0.1:{port}", api_key="mine", **options) as client:
        return await client.messages.create(model="one/m", max_tokens=9, messages=MESSAGES)


async def stream_openai(port: int, **options):
    url = f"http://127.0.0.1:{port}/v1"
    async with openai.AsyncOpenAI(base_url=url, api_key="mine", **options) as client:
        return await client.chat.completions.create(model="one/m", messages=MESSAGES, stream=True)


async def stream_anthropic(port: int, **options):
    async with anthropic.AsyncAnthropic(base_url=f"http://127.0.0.1:{port}", api_key="mine", **options) as client:
        return await client.messages.create(model="one/m", max_tokens=9, messages=MESSAGES, stream=True)


ASKERS = [ask_openai, ask_anthropic, stream_openai, stream_anthropic]
FAILURES = (openai.APIStatusError, anthropic.APIStatusError)


@asynccontextmanager
async def gateway_before(upstream: FakeUpstream):
    settings = {"providers": {"one": {"base-url": upstream.base_url}}, "global": REPEATS, "discover": LEFT}
    async with loopback(settings) as one:
        yield one


@pytest.mark.parametrize("ask", ASKERS)
@pytest.mark.parametrize("fault", ["status-500", "status-503", "status-529", "status-408", "status-409", "rst", "fin"])
async def test_a_dead_provider_gets_our_three_calls_and_not_nine(ask, fault):
    async with FakeUpstream() as upstream:
        upstream.fault(fault, times=50)
        async with gateway_before(upstream) as one:
            with pytest.raises(FAILURES):
                await ask(one.port, timeout=20)
        assert len(upstream.requests) == 3


@pytest.mark.parametrize("ask", ASKERS)
@pytest.mark.parametrize(
    ("status", "said"),
    [(429, {"retry-after-ms": "2"}), (503, {"retry-after-ms": "2"}), (500, {"x-should-retry": "true"})],
    ids=["limited", "overloaded", "told-to"],
)
async def test_nor_where_the_provider_asks_for_repeats(ask, status, said):
    async with FakeUpstream() as upstream:
        for _ in range(20):
            upstream.answer(status, json={"error": {"message": "once more"}}, headers=said)
        async with gateway_before(upstream) as one:
            with pytest.raises(FAILURES) as caught:
                await ask(one.port, timeout=20)
        assert caught.value.response.headers["x-should-retry"] == "false"
        assert len(upstream.requests) == 3


@pytest.mark.parametrize("ask", ASKERS)
async def test_a_limit_that_outlasts_everybodys_patience_is_told_at_once(ask):
    async with FakeUpstream() as upstream:
        for _ in range(20):
            upstream.answer(429, json={"error": {"message": "slow down"}}, headers={"retry-after": "300"})
        async with gateway_before(upstream) as one:
            with pytest.raises(FAILURES) as caught:
                await ask(one.port, timeout=20)
        assert caught.value.response.headers["retry-after"] == "300"
        assert len(upstream.requests) == 1


@pytest.mark.parametrize("ask", ASKERS)
async def test_a_silent_provider_costs_one_call_and_the_library_hears_of_it_in_time(ask):
    async with FakeUpstream() as upstream:
        for _ in range(20):
            upstream.hang()
        async with gateway_before(upstream) as one:
            began = asyncio.get_running_loop().time()
            with pytest.raises(FAILURES) as caught:
                await ask(one.port, timeout=2)
            took = asyncio.get_running_loop().time() - began
            (record,) = await one.recorded()
        assert caught.value.status_code == 504
        assert caught.value.response.headers["x-should-retry"] == "false"
        assert took < 2.1
        assert (len(upstream.requests), record.error_code) == (1, "deadline_exceeded")


@pytest.mark.parametrize("stream", [False, True])
async def test_a_caller_without_a_library_says_how_long_it_waits(stream):
    async with FakeUpstream() as upstream:
        upstream.hang()
        async with gateway_before(upstream) as one:
            body = {"model": "one/m", "messages": MESSAGES, "stream": stream}
            began = asyncio.get_running_loop().time()
            reply = await one.post(body, "/v1/chat/completions", llmgate_timeout="500ms")
            took = asyncio.get_running_loop().time() - began
            refused = await one.post(body, "/v1/chat/completions", llmgate_timeout="soon")
        assert (reply.status, reply.error["code"]) == (504, "deadline_exceeded")
        assert 0.4 < took < 1.5
        assert (refused.status, refused.error["code"]) == (400, "invalid_timeout")
        assert all("llmgate-timeout" not in request.headers for request in upstream.requests)
