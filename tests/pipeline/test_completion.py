from __future__ import annotations

from typing import Any

import pytest

from llmgate.spec import FinishReason, ProviderError, Usage
from llmgate.testing.transport import json_answer, stream_answer
from scripted import MESSAGES, OpenBench, completion, delta, streamed


async def test_a_completion_has_its_text_its_usage_and_the_account_of_its_exchange(bench: OpenBench) -> None:
    async with bench(completion("hello you")) as b:
        answer = await b.pipeline.complete(model="alpha/m", messages=MESSAGES)
        assert answer.text == "hello you"
        assert answer.usage == Usage(3, 2)
        assert answer.finish_reason is FinishReason.STOP
        assert (answer.id, answer.model) == ("chatcmpl-1", "model-1")
        assert answer.raw["choices"][0]["message"]["content"] == "hello you"
        assert answer.tool_calls == ()
        assert answer.reasoning == ""
        assert answer.exchange.attempts[0].deployment == "alpha/m"
        assert "hello you" not in repr(answer)


async def test_tool_calls_are_read_out(bench: OpenBench) -> None:
    message = {
        "role": "assistant",
        "content": None,
        "tool_calls": [{"id": "c1", "type": "function", "function": {"name": "f", "arguments": '{"a":1}'}}],
    }
    choices = [{"index": 0, "message": message, "finish_reason": "tool_calls"}]
    async with bench(completion(choices=choices)) as b:
        answer = await b.pipeline.complete(model="alpha/m", messages=MESSAGES)
        (call,) = answer.tool_calls
        assert (call.id, call.name, call.arguments) == ("c1", "f", '{"a":1}')
        assert answer.finish_reason is FinishReason.TOOL_CALLS


async def test_a_stream_gathers_text_and_usage_while_it_is_read(bench: OpenBench) -> None:
    async with bench(streamed("one ", "two")) as b:
        async with b.pipeline.stream(model="alpha/m", messages=MESSAGES) as chunks:
            texts = [chunk.text async for chunk in chunks]
        assert [text for text in texts if text] == ["one ", "two"]
        assert chunks.text == "one two"
        assert chunks.usage == Usage(3, 2)
        assert chunks.finish_reason is FinishReason.STOP
        assert chunks.exchange.outcome == "ok"
        assert b.transport.streams[0].finished


async def test_a_stream_that_cannot_be_opened_raises_on_entering(bench: OpenBench) -> None:
    async with bench(stream_answer(delta("x"), status=500)) as b:
        with pytest.raises(ProviderError):
            async with b.pipeline.stream(model="alpha/m", messages=MESSAGES):
                pytest.fail("entered a stream that failed")
        (record,) = await b.records()
        assert record.outcome == "error"


async def test_leaving_the_block_early_cancels_the_answer(bench: OpenBench) -> None:
    async with bench(streamed("one", "two")) as b:
        async with b.pipeline.stream(model="alpha/m", messages=MESSAGES) as chunks:
            async for _ in chunks:
                break
        assert b.transport.streams[0].closed
        assert not b.transport.streams[0].finished
        assert chunks.exchange.outcome == "cancelled"


async def test_reading_a_stream_that_was_not_opened_says_what_to_write(bench: OpenBench) -> None:
    async with bench() as b:
        stream = b.pipeline.stream(model="alpha/m", messages=MESSAGES)
        with pytest.raises(RuntimeError, match="async with"):
            await anext(stream)
        with pytest.raises(RuntimeError, match="async with"):
            _ = stream.exchange


@pytest.mark.parametrize("embedding", [[0.5, -2.0], "AAAAPwAAAMA="], ids=["as numbers", "as base64 of 32-bit floats"])
async def test_embeddings_come_as_vectors_in_the_order_of_the_inputs(bench: OpenBench, embedding: Any) -> None:
    data = [{"index": 1, "embedding": embedding}, {"index": 0, "embedding": [1.0]}]
    body = {"object": "list", "model": "e-1", "data": data, "usage": {"prompt_tokens": 4, "total_tokens": 4}}
    async with bench(json_answer(body), routers={}) as b:
        answer = await b.pipeline.embed(model="alpha/e", input=["x", "y"])
        assert [list(vector) for vector in answer.vectors] == [[1.0], [0.5, -2.0]]
        assert (answer.model, answer.usage) == ("e-1", Usage(input_tokens=4))
        assert b.urls == ["https://alpha.test/v1/embeddings"]
        assert b.bodies == [{"model": "e", "input": ["x", "y"]}]
        (record,) = await b.records()
        assert (record.operation, record.outcome) == ("embeddings", "ok")
