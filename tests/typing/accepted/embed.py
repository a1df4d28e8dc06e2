"""The public API as an application writes it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, assert_type

import llmgate
from llmgate import BlockingPipeline, Completion, Credentials, Pipeline, Principal, ToolCall, Usage
from llmgate.spec import FinishReason, GatewayChunk, Record

QUESTION = [{"role": "user", "content": "Hello!"}]


async def ask(pipeline: Pipeline) -> str:
    answer = await pipeline.complete(model="echo", messages=QUESTION, temperature=0.5, timeout=30, max_retries=0)
    assert_type(answer, Completion)
    assert_type(answer.text, str)
    assert_type(answer.usage, Usage | None)
    assert_type(answer.finish_reason, FinishReason | None)
    assert_type(answer.tool_calls, Sequence[ToolCall])
    assert_type(answer.raw, dict[str, Any])
    assert_type(answer.exchange, Record)
    return answer.text


async def watch(pipeline: Pipeline) -> Usage | None:
    async with pipeline.stream(model="echo", messages=QUESTION, router="main") as chunks:
        async for chunk in chunks:
            assert_type(chunk, GatewayChunk)
            print(chunk.text)
    async with pipeline.stream_response(model="echo", input="Hello!") as events:
        async for event in events:
            assert_type(event, dict[str, Any])
    return chunks.usage


async def on_behalf(pipeline: Pipeline) -> None:
    await pipeline.complete(model="echo", messages=QUESTION, principal=Principal(id="alice"))
    await pipeline.complete(model="echo", messages=QUESTION, credentials=Credentials.of("sk-lg-1"))
    for entry in await pipeline.models(api_key="sk-lg-1"):
        assert_type(entry.id, str)


async def by_value(pipeline: Pipeline) -> None:
    message = llmgate.Message(llmgate.Role.USER, [llmgate.Text("Hello!")])
    await pipeline.complete(llmgate.ChatRequest("echo", [message]), metadata={"team": "x"})


async def from_anything() -> None:
    async with Pipeline.from_config() as one, Pipeline.from_config("llmgate.yaml") as two:
        assert_type(one, Pipeline)
        assert_type(two, Pipeline)
    async with Pipeline.from_config({"providers": {"echo": {}}}, environment={}, plugins=[]) as three:
        await ask(three)


def synchronous() -> str:
    with BlockingPipeline.from_config({"providers": {"echo": {}}}) as pipeline:
        with pipeline.stream(model="echo", messages=QUESTION) as chunks:
            for chunk in chunks:
                assert_type(chunk, GatewayChunk)
        return pipeline.complete(model="echo", messages=QUESTION).text


def handle(error: llmgate.GatewayError) -> int:
    match error:
        case llmgate.ProviderError():
            assert_type(error.upstream_status, int | None)
        case llmgate.ConfigError():
            assert_type(error.problems, tuple[str, ...])
    return error.http_status
