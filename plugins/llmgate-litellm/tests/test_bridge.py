"""A gateway with the bridge in it: answers, streams, errors, secrets, departures."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from llmgate import Pipeline
from llmgate.spec import (
    ProviderAuthenticationError,
    ProviderConnectionError,
    ProviderError,
    ProviderProtocolError,
    ProviderRateLimitError,
    ProviderTimeoutError,
)

HELLO = [{"role": "user", "content": "Hello!"}]
KEYS = {"REPLICATE_KEY": "sk-secret", "AWS": "aws-secret"}


@asynccontextmanager
async def gateway(**settings: Any) -> AsyncIterator[Pipeline]:
    provider = {"use": "litellm", "vendor": "replicate", "secret": "env:REPLICATE_KEY", **settings}
    config = {"providers": {"tail": {**provider, "retries": {"max-retries": 0}}}}
    async with Pipeline.from_config(config, environment=KEYS) as pipeline:
        yield pipeline


async def asked(pipeline: Pipeline, model: str, *, stream: bool) -> None:
    """Ask, and read the answer to its end."""
    if not stream:
        await pipeline.complete(model=f"tail/{model}", messages=HELLO)
        return
    async with pipeline.stream(model=f"tail/{model}", messages=HELLO) as events:
        async for _ in events:
            pass


async def test_an_answer(litellm: Any) -> None:
    settings = {"options": {"api_version": "7"}, "secret-options": {"aws_secret_access_key": "env:AWS"}}
    async with gateway(**settings) as pipeline:
        answer = await pipeline.complete(model="tail/meta/llama-4", messages=HELLO, temperature=0.5)
    assert answer.text == "Hällo"
    assert answer.usage is not None
    assert (answer.usage.input_tokens, answer.usage.output_tokens) == (3, 2)
    (call,) = litellm.module.CALLS
    assert call["model"] == "replicate/meta/llama-4"
    assert (call["api_key"], call["aws_secret_access_key"]) == ("sk-secret", "aws-secret")
    assert (call["api_version"], call["temperature"]) == ("7", 0.5)
    assert (call["max_retries"], call["num_retries"], call["no-log"]) == (0, 0, True)
    assert call["timeout"] == 120.0
    assert not {"api_base", "extra_headers"} & call.keys()
    assert not {"sk-secret", "aws-secret"} & set(os.environ.values())


async def test_a_stream(litellm: Any) -> None:
    async with (
        gateway() as pipeline,
        pipeline.stream(model="tail/m", messages=HELLO, stream_options={"include_usage": True}) as stream,
    ):
        chunks = [chunk async for chunk in stream]
    text = "".join(part.text for chunk in chunks for choice in chunk.choices for part in choice.parts)
    assert text == "Hällo"
    usage = next(chunk.usage for chunk in chunks if chunk.usage is not None)
    assert (usage.input_tokens, usage.output_tokens) == (3, 2)
    assert litellm.module.CALLS[0]["stream"] is True
    assert litellm.module.CLOSED[0] == "stream"


async def test_embeddings(litellm: Any) -> None:
    async with gateway() as pipeline:
        answer = await pipeline.embed(model="tail/e", input="x")
    assert list(answer.vectors[0]) == [0.5, -0.5]
    assert litellm.module.CALLS[0]["input"] == "x"


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    ("model", "kind", "words"),
    [
        ("limited", ProviderRateLimitError, "slow down"),
        ("refused", ProviderAuthenticationError, "refuses the credential"),
        ("unsupported", ProviderError, "top_k is not supported"),
        ("late", ProviderTimeoutError, "did not answer in time"),
        ("away", ProviderConnectionError, "cannot be reached"),
        ("bug", ProviderProtocolError, "litellm failed with AttributeError"),
    ],
)
async def test_failures(litellm: Any, model: str, kind: type[ProviderError], words: str, stream: bool) -> None:
    async with gateway(**{"secret-options": {"aws_secret_access_key": "env:AWS"}}) as pipeline:
        with pytest.raises(ProviderError, match=words) as failed:
            await asked(pipeline, model, stream=stream)
    assert type(failed.value) is kind
    assert "secret" not in str(failed.value)
    if kind is ProviderRateLimitError:
        assert failed.value.retry_after == 7.0
    assert len(litellm.module.CALLS) == 1, "nothing is repeated by litellm or for it"


async def test_a_secret_among_the_arguments_that_is_missing_is_named(litellm: Any) -> None:
    async with gateway(**{"secret-options": {"aws_secret_access_key": "env:NOT_THERE"}}) as pipeline:
        with pytest.raises(ProviderAuthenticationError, match="NOT_THERE"):
            await pipeline.complete(model="tail/m", messages=HELLO)
    assert not litellm.module.CALLS


async def test_a_parameter_that_is_not_passed_on_is_named(litellm: Any) -> None:
    async with gateway() as pipeline:
        with pytest.raises(ProviderError, match="api_base is not passed on") as refused:
            await pipeline.complete(model="tail/m", messages=HELLO, extra_body={"api_base": "http://evil.invalid"})
    assert (refused.value.upstream_status, refused.value.param) == (400, "api_base")
    assert not hasattr(litellm.module, "CALLS") or not litellm.module.CALLS


@pytest.mark.parametrize(("model", "words"), [("cut", "is busy"), ("gone", "cannot be reached")])
async def test_a_stream_that_breaks_is_an_error(litellm: Any, model: str, words: str) -> None:
    async with gateway() as pipeline:
        with pytest.raises(ProviderError, match=words) as broken:
            await asked(pipeline, model, stream=True)
    assert "sk-secret" not in str(broken.value)
    assert litellm.module.CLOSED[0] == "stream"


async def test_who_leaves_a_stream_closes_the_vendors(litellm: Any) -> None:
    async with gateway() as pipeline:
        async with pipeline.stream(model="tail/hang", messages=HELLO) as stream:
            async for chunk in stream:
                if any(choice.parts for choice in chunk.choices):
                    break
        assert litellm.module.CLOSED == ["stream"]
    assert litellm.module.CLOSED == ["stream", "clients"]


async def test_who_leaves_a_call_cancels_it(litellm: Any) -> None:
    async with gateway() as pipeline:
        asking = asyncio.create_task(pipeline.complete(model="tail/hang", messages=HELLO))
        await asyncio.wait_for(asyncio.to_thread(litellm.module.HANGING.wait, 5), 6)
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking
    assert litellm.module.CLOSED == ["call", "clients"]


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.usefixtures("litellm")
async def test_the_providers_timeouts_hold(stream: bool) -> None:
    async with gateway(timeouts={"first-byte": "50ms", "idle": "50ms"}) as pipeline:
        with pytest.raises(ProviderTimeoutError, match=r"within 0\.05 seconds|nothing for 0\.05 seconds"):
            await asked(pipeline, "hang", stream=stream)


async def test_an_address_and_headers_of_the_operators(litellm: Any) -> None:
    async with gateway(**{"base-url": "https://eu.replicate.example/v1", "headers": {"x-team": "a"}}) as pipeline:
        await pipeline.complete(model="tail/m", messages=HELLO)
    call = litellm.module.CALLS[0]
    assert call["api_base"] == "https://eu.replicate.example/v1"
    assert call["extra_headers"] == {"x-team": "a"}


async def test_without_a_key_or_a_vendor(litellm: Any) -> None:
    settings = {"use": "litellm", "keyless": True}
    async with Pipeline.from_config({"providers": {"tail": settings}}, environment={}) as pipeline:
        await pipeline.complete(model="tail/ollama/llama", messages=HELLO)
    call = litellm.module.CALLS[0]
    assert call["model"] == "ollama/llama"
    assert "api_key" not in call
