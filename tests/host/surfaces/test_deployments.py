"""Azure's client and openai 0.x's addresses at the gateway, and how they are told from a provider's direct relay."""

from __future__ import annotations

from typing import Any

import openai
import pytest

from end_to_end.loopback import Loopback, loopback
from end_to_end.test_media import AUDIO, IMAGE, form
from end_to_end.test_operations import COMPLETION, EMBEDDINGS
from llmgate.testing.upstream import FakeUpstream

SAID = {"type": "output_text", "text": "hello", "annotations": []}
RESPONSE = {
    "id": "resp_1",
    "object": "response",
    "created_at": 1,
    "status": "completed",
    "model": "gpt-4o",
    "output": [{"type": "message", "id": "msg_1", "role": "assistant", "status": "completed", "content": [SAID]}],
    "parallel_tool_calls": True,
    "tool_choice": "auto",
    "tools": [],
}
HELLO: Any = [{"role": "user", "content": "hello"}]


def settings(upstream: FakeUpstream, *names: str) -> dict[str, Any]:
    return {
        "providers": {name: {"base-url": upstream.base_url} for name in names},
        "routers": {"main": {"load-balance": {"chat": {"strategy": "latency", "providers": [names[0]]}}}},
    }


def azure(one: Loopback, path: str = "") -> openai.AsyncAzureOpenAI:
    return openai.AsyncAzureOpenAI(
        azure_endpoint=f"http://127.0.0.1:{one.port}{path}", api_key="mine", api_version="2024-10-21", max_retries=0
    )


@pytest.mark.parametrize("path", ["", "/router/main"])
@pytest.mark.parametrize("name", ["openai", "azure", "local"])
async def test_azures_client(name: str, path: str) -> None:
    async with FakeUpstream() as upstream, loopback(settings(upstream, name)) as one, azure(one, path) as sdk:
        answer = await sdk.chat.completions.create(model="gpt-4o", messages=HELLO)
        assert answer.choices[0].message.content == "hello"
        stream = await sdk.chat.completions.create(model="gpt-4o", messages=HELLO, stream=True)
        assert "".join([chunk.choices[0].delta.content or "" async for chunk in stream if chunk.choices]) == "hello"
        upstream.answer(json=EMBEDDINGS)
        await sdk.embeddings.create(model="text-embedding-3-small", input=["a", "b"])
        upstream.answer(json=COMPLETION)
        await sdk.completions.create(model="gpt-3.5-turbo-instruct", prompt="x")
        upstream.answer(json={"text": "hello"})
        await sdk.audio.transcriptions.create(model="whisper-1", file=("a.mp3", AUDIO))
        upstream.answer(json=IMAGE)
        await sdk.images.generate(model="gpt-image-1", prompt="x")
    paths = [one.path.removeprefix("/openai") for one in upstream.requests]
    assert paths == [
        "/v1/chat/completions",
        "/v1/chat/completions",
        "/v1/embeddings",
        "/v1/completions",
        "/v1/audio/transcriptions",
        "/v1/images/generations",
    ]
    assert upstream.requests[0].json()["model"] == "gpt-4o"
    assert all("api-version" not in one.path for one in upstream.requests)
    assert not any(b"mine" in one.raw_head for one in upstream.requests)


async def test_the_address_says_which_model_and_not_the_body() -> None:
    async with FakeUpstream() as upstream, loopback(settings(upstream, "local", "other")) as one:
        body = {"messages": HELLO, "model": "elsewhere"}
        reply = await one.post(body, "/openai/deployments/local/org/gpt-4o/chat/completions?api-version=x")
        assert (reply.status, reply.headers["llmgate-model"]) == (200, "org/gpt-4o")
        assert upstream.requests[0].json()["model"] == "org/gpt-4o"
        upstream.answer(json={"text": "hello"}, times=2)
        path = "/openai/deployments/local/whisper/audio/transcriptions"
        for parts in ([("file", AUDIO)], [("file", AUDIO), ("model", b"elsewhere")]):
            data, headers = form(*parts)
            assert (await one.post(data, path, **headers)).status == 200
            assert b'name="model"\r\n\r\nwhisper\r\n' in upstream.requests[-1].body
            assert b"elsewhere" not in upstream.requests[-1].body


@pytest.mark.parametrize("prefix", ["/v1/engines", "/engines"])
async def test_the_engines_of_old_clients(prefix: str) -> None:
    async with FakeUpstream() as upstream, loopback(settings(upstream, "local")) as one:
        upstream.answer(json=EMBEDDINGS)
        reply = await one.post({"input": ["a", "b"]}, f"{prefix}/text-embedding-ada-002/embeddings")
        assert reply.status == 200
        assert upstream.requests[0].json() == {"input": ["a", "b"], "model": "text-embedding-ada-002"}
        upstream.answer(json=COMPLETION)
        assert (await one.post({"prompt": "x"}, f"{prefix}/davinci/completions")).status == 200
        assert (await one.post({"messages": HELLO}, f"{prefix}/gpt-4/chat/completions")).status == 200


async def test_a_base_url_without_a_version() -> None:
    async with (
        FakeUpstream() as upstream,
        loopback(settings(upstream, "openai")) as one,
        openai.AsyncOpenAI(base_url=f"http://127.0.0.1:{one.port}", api_key="x", max_retries=0) as sdk,
    ):
        answer = await sdk.chat.completions.create(model="gpt-4o", messages=HELLO)
        assert answer.choices[0].message.content == "hello"
        assert "openai/gpt-4o" in [model.id async for model in sdk.models.list()]


@pytest.mark.parametrize("named", [True, False])
async def test_openai_is_a_provider_where_one_is_called_so(named: bool) -> None:
    async with FakeUpstream() as upstream, loopback(settings(upstream, "openai" if named else "local")) as one:
        path = "/openai/v1/chat/completions"
        assert (await one.post({"model": "local/gpt-4o", "messages": HELLO}, path)).status == 200
        assert upstream.requests[0].json()["model"] == ("local/gpt-4o" if named else "gpt-4o")
        (record,) = await one.recorded()
    assert record.surface == ("relay" if named else "openai")


@pytest.mark.parametrize("path", ["", "/router/main"])
async def test_azures_client_asks_for_responses_beside_the_deployments(path: str) -> None:
    async with FakeUpstream() as upstream:
        config = settings(upstream, "local")
        config["providers"]["local"]["format"] = "openai-responses"
        async with loopback(config) as one, azure(one, path) as sdk:
            upstream.answer(json=RESPONSE, times=3)
            answer = await sdk.responses.create(model="local/gpt-4o", input="hello")
            assert answer.output_text == "hello"
            assert (await sdk.responses.retrieve("resp_1", extra_query={"provider": "local"})).id == "resp_1"
            assert (await sdk.responses.cancel("resp_1", extra_query={"provider": "local"})).id == "resp_1"
            await sdk.models.list()
    assert [one.path for one in upstream.requests] == [
        "/v1/responses",
        "/v1/responses/resp_1",
        "/v1/responses/resp_1/cancel",
    ]
