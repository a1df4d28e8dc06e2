"""The openai SDK at a provider's own address and at the gateway's: embeddings, completions, models one by one."""

from __future__ import annotations

import base64
import json
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import openai
import pytest

from end_to_end.loopback import Loopback, loopback, settings_for
from llmgate.testing.upstream import FakeUpstream

VECTOR = [0.5, -0.25, 1.0]
EMBEDDINGS = {
    "object": "list",
    "model": "text-embedding-3-small",
    "data": [
        {"object": "embedding", "index": index, "embedding": base64.b64encode(struct.pack("<3f", *VECTOR)).decode()}
        for index in range(2)
    ],
    "usage": {"prompt_tokens": 4, "total_tokens": 4},
}
COMPLETION = {
    "id": "cmpl-1",
    "object": "text_completion",
    "created": 1,
    "model": "gpt-3.5-turbo-instruct",
    "choices": [{"index": 0, "text": " upon a time", "finish_reason": "stop", "logprobs": None}],
    "usage": {"prompt_tokens": 1, "completion_tokens": 3, "total_tokens": 4},
}


def text_events(*words: str) -> list[dict[str, Any]]:
    base = {key: COMPLETION[key] for key in ("id", "object", "created", "model")}
    events = [{**base, "choices": [{"index": 0, "text": word, "finish_reason": None}]} for word in words]
    return [*events, {**base, "choices": [{"index": 0, "text": "", "finish_reason": "stop"}]}]


USAGE = {**COMPLETION, "choices": []}


@asynccontextmanager
async def gateway(*names: str) -> AsyncIterator[tuple[FakeUpstream, Loopback]]:
    """A gateway whose provider ``openai`` is a fake upstream."""
    async with FakeUpstream() as upstream:
        settings = {"providers": {"openai": {"base-url": upstream.base_url}}}
        async with loopback(settings) as one:
            yield upstream, one


@asynccontextmanager
async def sdk(one: Loopback, path: str) -> AsyncIterator[openai.AsyncOpenAI]:
    async with openai.AsyncOpenAI(
        base_url=f"http://127.0.0.1:{one.port}{path}", api_key="mine", max_retries=0, timeout=20
    ) as client:
        yield client


@pytest.mark.parametrize(("path", "prefix"), [("/openai/v1", ""), ("/openai", ""), ("/v1", "openai/"), ("/ai", "")])
async def test_embeddings(path: str, prefix: str) -> None:
    async with gateway() as (upstream, one), sdk(one, path) as client:
        upstream.answer(json=EMBEDDINGS)
        answer = await client.embeddings.create(model=f"{prefix}text-embedding-3-small", input=["a", "b"])
        assert [item.embedding for item in answer.data] == [VECTOR, VECTOR]
        assert answer.usage.prompt_tokens == 4
        received = upstream.requests[0]
        assert (received.method, received.path) == ("POST", "/v1/embeddings")
        assert received.json()["model"] == "text-embedding-3-small"
        assert received.headers["authorization"] == "Bearer secret-of-openai"
        (record,) = await one.recorded()
    assert (record.operation, record.outcome, record.provider_name) == ("embeddings", "ok", "openai")
    assert record.usage is not None
    assert record.usage.input_tokens == 4


async def test_an_embedding_body_goes_up_untouched_but_for_the_models_name() -> None:
    body = b'{ "model" : "openai/e", "input":["\\u00e9", "b"],\t"dimensions": 8, "x_unknown": 1.50 }'
    async with gateway() as (upstream, one):
        upstream.answer(json=EMBEDDINGS, headers={"openai-version": "2020-10-01"})
        reply = await one.post(body, "/v1/embeddings")
        assert json.loads(reply.body) == EMBEDDINGS
        assert reply.headers["openai-version"] == "2020-10-01"
        assert upstream.requests[0].body == body.replace(b"openai/e", b"e")
        upstream.answer(json=EMBEDDINGS)
        await one.post(body.replace(b"openai/e", b"e"), "/openai/v1/embeddings")
        assert upstream.requests[1].body == body.replace(b"openai/e", b"e")


@pytest.mark.parametrize(("path", "prefix"), [("/openai/v1", ""), ("/v1", "openai/")])
async def test_a_whole_completion(path: str, prefix: str) -> None:
    async with gateway() as (upstream, one), sdk(one, path) as client:
        upstream.answer(json=COMPLETION)
        answer = await client.completions.create(model=f"{prefix}gpt-3.5-turbo-instruct", prompt="Once", max_tokens=5)
        assert answer.choices[0].text == " upon a time"
        assert upstream.requests[0].path == "/v1/completions"
        (record,) = await one.recorded()
    assert (record.operation, record.outcome) == ("text_completion", "ok")
    assert record.finish_reason == "stop"
    assert record.usage is not None
    assert record.usage.output_tokens == 3


@pytest.mark.parametrize(("path", "prefix"), [("/openai/v1", ""), ("/v1", "openai/")])
@pytest.mark.parametrize("usage", [False, True])
async def test_a_streamed_completion(path: str, prefix: str, usage: bool) -> None:
    async with gateway() as (upstream, one), sdk(one, path) as client:
        upstream.stream([*text_events(" upon", " a", " time"), USAGE])
        options: dict[str, Any] = {"stream_options": {"include_usage": True}} if usage else {}
        stream = await client.completions.create(
            model=f"{prefix}gpt-3.5-turbo-instruct", prompt="Once", stream=True, **options
        )
        chunks = [chunk async for chunk in stream]
        assert "".join(chunk.choices[0].text for chunk in chunks if chunk.choices) == " upon a time"
        assert any(chunk.usage for chunk in chunks) is usage
        assert upstream.requests[0].json()["stream_options"] == {"include_usage": True}
        (record,) = await one.recorded()
    assert (record.operation, record.stream, record.outcome) == ("text_completion", True, "ok")
    assert record.usage is not None
    assert record.usage.output_tokens == 3


@pytest.mark.parametrize("path", ["/openai/v1", "/v1"])
async def test_a_completion_that_breaks_off_is_never_shown_as_finished(path: str) -> None:
    async with gateway() as (upstream, one), sdk(one, path) as client:
        upstream.stream(text_events(" upon", " a")[:2], end="cut")
        with pytest.raises(openai.APIError):
            async for _ in await client.completions.create(
                model="openai/gpt-3.5-turbo-instruct", prompt="Once", stream=True
            ):
                pass
        (record,) = await one.recorded()
    assert record.outcome == "incomplete"


@pytest.mark.parametrize("kind", ["embeddings", "completions"])
async def test_a_providers_error_reaches_the_caller_word_for_word(kind: str) -> None:
    theirs = {"message": "bad input", "type": "invalid_request_error", "param": "input", "code": "bad"}
    async with gateway() as (upstream, one), sdk(one, "/openai/v1") as client:
        upstream.answer(400, json={"error": theirs})
        with pytest.raises(openai.BadRequestError) as failure:
            if kind == "embeddings":
                await client.embeddings.create(model="e", input="x")
            else:
                await client.completions.create(model="c", prompt="x")
    assert failure.value.body == theirs


async def test_models_one_by_one_are_the_gateways_own_at_its_own_address() -> None:
    settings = {"providers": {"openai": {"base-url": "http://127.0.0.1:1/v1", "models": ["gpt-x", "vendor/gpt-y"]}}}
    async with loopback(settings) as one, sdk(one, "/v1") as client:
        names = [model.id async for model in client.models.list()]
        assert names == ["openai/gpt-x", "openai/vendor/gpt-y"]
        for name in names:
            found = await client.models.retrieve(name)
            assert (found.id, found.object, found.owned_by) == (name, "model", "openai")
        with pytest.raises(openai.NotFoundError) as missing:
            await client.models.retrieve("openai/none")
        assert missing.value.code == "model_not_found"


async def test_models_are_the_providers_own_at_its_address() -> None:
    async with gateway() as (upstream, one), sdk(one, "/openai/v1") as client:
        assert [model.id async for model in client.models.list()] == list(upstream.models)
        upstream.answer(json={"id": "ft:gpt-4o:me::1", "object": "model", "created": 1, "owned_by": "me"})
        assert (await client.models.retrieve("ft:gpt-4o:me::1")).owned_by == "me"
        assert upstream.requests[1].path == "/v1/models/ft:gpt-4o:me::1"
        with pytest.raises(openai.NotFoundError):
            await client.models.retrieve("gpt-none")


async def test_a_router_serves_them_with_failover() -> None:
    async with FakeUpstream() as first, FakeUpstream() as second, loopback(settings_for(first, second)) as one:
        first.answer(503, json={"error": {"message": "away"}})
        second.answer(json=EMBEDDINGS)
        reply = await one.post({"model": "e", "input": "x"}, "/router/main/v1/embeddings")
        assert reply.status == 200
        assert (reply.headers["helicone-provider"], reply.headers["llmgate-attempts"]) == ("two", "2")
        first.answer(503, json={"error": {"message": "away"}})
        second.stream(text_events(" a"))
        reply = await one.post({"model": "c", "prompt": "x", "stream": True}, "/router/main/completions")
        assert reply.events[-1] == b"data: [DONE]"


async def test_a_provider_that_has_no_embeddings_says_so() -> None:
    settings = {"providers": {"groq": {"base-url": "http://127.0.0.1:1"}}}
    async with loopback(settings) as one:
        reply = await one.post({"model": "groq/e", "input": "x"}, "/v1/embeddings")
    assert (reply.status, reply.error["code"]) == (404, "operation_not_supported")
