"""The bridge with the real litellm, against a vendor on loopback: ``make litellm``, in an environment of its own.

No connection leaves the machine: the egress trap of ``llmgate.testing`` is on while litellm is imported and called.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from llmgate import Pipeline
from llmgate.spec import ProviderAuthenticationError, ProviderRateLimitError
from llmgate.testing.upstream import FakeUpstream

HELLO = [{"role": "user", "content": "hello wide world"}]
KEY = "sk-of-the-gateway"


@asynccontextmanager
async def gateway() -> AsyncIterator[tuple[Pipeline, FakeUpstream]]:
    async with FakeUpstream() as vendor:
        provider = {
            "use": "litellm",
            "vendor": "openai",
            "secret": "env:KEY",
            "base-url": vendor.base_url,
            "retries": {"max-retries": 0},
        }
        async with Pipeline.from_config({"providers": {"tail": provider}}, environment={"KEY": KEY}) as pipeline:
            yield pipeline, vendor


async def test_an_answer_a_stream_and_the_key_per_call() -> None:
    async with gateway() as (pipeline, vendor):
        answer = await pipeline.complete(model="tail/gpt-4o-mini", messages=HELLO, temperature=0.5)
        assert answer.text
        assert answer.usage is not None
        assert answer.usage.input_tokens
        text, usage = "", None
        async with pipeline.stream(
            model="tail/gpt-4o-mini", messages=HELLO, stream_options={"include_usage": True}
        ) as stream:
            async for chunk in stream:
                text += "".join(part.text for choice in chunk.choices for part in choice.parts)
                usage = chunk.usage or usage
        assert text == answer.text
        assert usage is not None
        assert {request.headers["authorization"] for request in vendor.requests} == {f"Bearer {KEY}"}
    assert KEY not in os.environ.values()


async def test_embeddings() -> None:
    async with gateway() as (pipeline, vendor):
        data = [{"object": "embedding", "index": 0, "embedding": [0.5, -0.5]}]
        usage = {"prompt_tokens": 2, "total_tokens": 2}
        vendor.answer(200, json={"object": "list", "model": "e", "data": data, "usage": usage})
        answer = await pipeline.embed(model="tail/text-embedding-3-small", input="x")
        assert list(answer.vectors[0]) == [0.5, -0.5]
        assert vendor.requests[0].headers["authorization"] == f"Bearer {KEY}"


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(("status", "kind"), [(429, ProviderRateLimitError), (401, ProviderAuthenticationError)])
async def test_errors_have_their_class_and_nothing_is_repeated(
    status: int, kind: type[Exception], stream: bool
) -> None:
    async with gateway() as (pipeline, vendor):
        error = {"error": {"message": f"no, {KEY}", "type": "x", "code": "y"}}
        vendor.answer(status, json=error, headers={"retry-after": "7"})
        with pytest.raises(kind) as failed:
            await asked(pipeline, stream=stream)
        assert KEY not in str(failed.value)
        if isinstance(failed.value, ProviderRateLimitError):
            assert failed.value.retry_after == 7.0
        assert len(vendor.requests) == 1


async def test_who_leaves_closes_the_vendors_connection() -> None:
    async with gateway() as (pipeline, vendor):
        vendor.hang()
        asking = asyncio.create_task(asked(pipeline, stream=True))
        await vendor.received()
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking
        await vendor.closed()


async def test_who_leaves_in_the_middle_of_a_stream_closes_it_too() -> None:
    async with gateway() as (pipeline, vendor):
        head = {"id": "1", "object": "chat.completion.chunk", "created": 1, "model": "gpt-4o-mini"}
        delta = {"role": "assistant", "content": "hello"}
        vendor.stream([{**head, "choices": [{"index": 0, "delta": delta, "finish_reason": None}]}], end="hang")
        async with pipeline.stream(model="tail/gpt-4o-mini", messages=HELLO) as stream:
            async for chunk in stream:
                if any(choice.parts for choice in chunk.choices):
                    break
        await vendor.closed()


async def asked(pipeline: Pipeline, *, stream: bool) -> None:
    if not stream:
        await pipeline.complete(model="tail/gpt-4o-mini", messages=HELLO)
        return
    async with pipeline.stream(model="tail/gpt-4o-mini", messages=HELLO) as events:
        async for _ in events:
            pass
