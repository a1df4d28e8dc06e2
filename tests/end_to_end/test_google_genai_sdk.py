"""The real ``google-genai`` SDK against a gateway: relayed to a provider of its format, translated for others."""

from __future__ import annotations

import json
from typing import Any

import anthropic
import httpx2
import openai
import pydantic
import pytest
from google import genai
from google.genai import errors, types
from google.oauth2.credentials import Credentials

from end_to_end.loopback import loopback
from llmgate.testing.upstream import FakeUpstream, chat_events
from llmgate.testing.upstream_gemini import gemini_answer, gemini_error, gemini_events

SIGNATURE = "CisB+/4pZw0abc8="
USAGE = {"promptTokenCount": 9, "candidatesTokenCount": 5, "thoughtsTokenCount": 7, "totalTokenCount": 21}
PNG = b"\x89PNG\xfb\xff\xfe"
MODELS = ["gemini-3-flash-preview", "openai/gpt-4o-mini"]


@pytest.fixture
async def both():
    """A gateway whose provider ``gemini`` speaks generateContent and whose provider ``openai`` speaks chat."""
    async with FakeUpstream() as native, FakeUpstream() as chat:
        settings = {"providers": {"gemini": {"base-url": native.url}, "openai": {"base-url": chat.base_url}}}
        async with loopback(settings) as one:
            yield one, native, chat


def client_of(one, path: str = "", **options: Any) -> Any:
    # With a transport of its own it does not subclass aiohttp's client, which aiohttp discourages with a warning.
    transport = {"transport": httpx2.AsyncHTTPTransport()}
    retries = types.HttpRetryOptions(attempts=1)
    options = {"async_client_args": transport, "timeout": 20_000, "retry_options": retries, **options}
    options["base_url"] = f"http://127.0.0.1:{one.port}{path}"
    return genai.Client(api_key="mine", http_options=types.HttpOptions(**options)).aio


def sent(upstream: FakeUpstream, index: int = -1) -> Any:
    return json.loads(upstream.requests[index].body)


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("path", ["", "/as/gemini"])
async def test_text_whole_and_streamed(both, model, path):
    one, native, _ = both
    async with client_of(one, path) as client:
        whole = await client.models.generate_content(model=model, contents="Hello there, wörld \u2028")
        assert whole.text == "Hello there, wörld \u2028"
        assert whole.candidates[0].finish_reason is types.FinishReason.STOP
        assert whole.usage_metadata.total_token_count > 0
        chunks = [one async for one in await client.models.generate_content_stream(model=model, contents="Hello you")]
        assert "".join(chunk.text or "" for chunk in chunks) == "Hello you"
        assert chunks[-1].candidates[0].finish_reason is types.FinishReason.STOP
        assert chunks[-1].usage_metadata.candidates_token_count == 2
    if model == MODELS[0]:
        first, second = native.requests
        assert first.path == "/v1beta/models/gemini-3-flash-preview:generateContent"
        assert second.path == "/v1beta/models/gemini-3-flash-preview:streamGenerateContent?alt=sse"
        assert first.headers["x-goog-api-key"] == "secret-of-gemini"
        assert "authorization" not in first.headers
    records = await one.recorded(2)
    assert {record.surface for record in records} == {"gemini"}


async def test_v1_is_an_address_too(both):
    one, native, _ = both
    async with client_of(one, api_version="v1") as client:
        assert (await client.models.generate_content(model="gemini/gemini-x", contents="a")).text == "a"
    assert native.requests[0].path == "/v1beta/models/gemini-x:generateContent"


def weather(city: str) -> str:
    """The weather in a city."""
    return f"rain in {city}"


async def test_functions_are_called_by_the_library_itself(both):
    one, native, chat = both
    config = types.GenerateContentConfig(tools=[weather])
    call = {"functionCall": {"name": "weather", "args": {"city": "Oslo"}}, "thoughtSignature": SIGNATURE}
    native.answer(json=gemini_answer(call, usage=USAGE))
    function = {"name": "weather", "arguments": '{"city": "Rome"}'}
    said = {
        "role": "assistant",
        "content": None,
        "tool_calls": [{"id": "c1", "type": "function", "function": function}],
    }
    chat.answer(
        json={"id": "a", "model": "m", "choices": [{"index": 0, "message": said, "finish_reason": "tool_calls"}]}
    )
    async with client_of(one) as client:
        for model in MODELS:
            await client.models.generate_content(model=model, contents="weather?", config=config)
    asked = sent(native)["contents"]
    assert asked[1]["parts"][0]["functionCall"]["args"] == {"city": "Oslo"}
    assert asked[1]["parts"][0]["thoughtSignature"].translate(str.maketrans("-_", "+/")) == SIGNATURE
    assert asked[2]["parts"][0]["functionResponse"]["response"] == {"result": "rain in Oslo"}
    tool = sent(chat, 0)["tools"][0]["function"]
    assert (tool["name"], tool["parameters"]["properties"]["city"]["type"]) == ("weather", "string")
    turns = sent(chat)["messages"]
    assert turns[1]["tool_calls"][0]["id"] == turns[2]["tool_call_id"] == "c1"
    assert turns[2]["content"] == "rain in Rome"


async def test_pictures_thinking_and_structured_answers(both):
    class Answer(pydantic.BaseModel):
        city: str

    one, native, chat = both
    contents = [types.Part.from_bytes(data=PNG, mime_type="image/png"), "which city?"]
    config = types.GenerateContentConfig(
        response_mime_type="application/json",
        response_schema=Answer,
        thinking_config=types.ThinkingConfig(include_thoughts=True, thinking_budget=1024),
        system_instruction="be brief",
    )
    native.answer(json=gemini_answer({"text": "hm", "thought": True}, {"text": '{"city": "Oslo"}'}, usage=USAGE))
    said = {"role": "assistant", "content": '{"city": "Rome"}', "reasoning_content": "hm"}
    chat.answer(json={"id": "a", "model": "m", "choices": [{"index": 0, "message": said, "finish_reason": "stop"}]})
    async with client_of(one) as client:
        for model, city in zip(["gemini-2.5-flash", "openai/gpt-5"], ("Oslo", "Rome"), strict=True):
            response = await client.models.generate_content(model=model, contents=contents, config=config)
            assert response.parsed == Answer(city=city)
            thoughts = [part.text for part in response.candidates[0].content.parts if part.thought]
            assert thoughts == ["hm"]
    body = sent(chat)
    assert body["messages"][0] == {"role": "system", "content": "be brief"}
    assert body["messages"][1]["content"][0]["image_url"]["url"] == "data:image/png;base64,iVBOR/v//g=="
    assert body["response_format"]["json_schema"]["schema"]["properties"]["city"]["type"] == "string"
    assert body["reasoning_effort"] == "low"


async def test_chats_of_several_turns_keep_signatures(both):
    one, native, _ = both
    native.stream(
        gemini_events({"text": "Hi "}, {"text": "you", "thoughtSignature": SIGNATURE}, usage=USAGE), end="eof"
    )
    async with client_of(one) as client:
        chat = client.chats.create(model=MODELS[0])
        assert "".join([chunk.text or "" async for chunk in await chat.send_message_stream("Hello")]) == "Hi you"
        assert (await chat.send_message("and?")).text == "and?"
    parts = [part for content in sent(native)["contents"] for part in content["parts"]]
    (kept,) = [part["thoughtSignature"] for part in parts if "thoughtSignature" in part]
    assert kept.translate(str.maketrans("-_", "+/")) == SIGNATURE


async def test_errors_are_the_librarys(both):
    one, native, chat = both
    wait = {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "7s"}
    theirs = gemini_error(429, "slow down", "RESOURCE_EXHAUSTED", wait)
    native.answer(429, json=theirs)
    chat.answer(400, json={"error": {"message": "no such thing", "type": "invalid_request_error"}})
    async with client_of(one) as client:
        with pytest.raises(errors.ClientError) as relayed:
            await client.models.generate_content(model=MODELS[0], contents="a")
        assert (relayed.value.code, relayed.value.status, relayed.value.details) == (429, "RESOURCE_EXHAUSTED", theirs)
        with pytest.raises(errors.ClientError) as translated:
            await client.models.generate_content(model=MODELS[1], contents="a")
        assert (translated.value.code, translated.value.status) == (400, "INVALID_ARGUMENT")
        with pytest.raises(errors.ClientError) as unknown:
            await client.models.generate_content(model="nobody/knows", contents="a")
        assert (unknown.value.code, unknown.value.status) == (404, "NOT_FOUND")
        native.stream([*gemini_events({"text": "Hel"})[:1], gemini_error(503, "overloaded", "UNAVAILABLE")], end="eof")
        with pytest.raises(errors.ServerError) as late:
            async for _ in await client.models.generate_content_stream(model=MODELS[0], contents="a"):
                pass
        assert (late.value.code, late.value.status) == (503, "UNAVAILABLE")
        native.stream(gemini_events({"text": "Hel"})[:1], end="eof")
        with pytest.raises(errors.APIError, match="ended before"):
            async for _ in await client.models.generate_content_stream(model=MODELS[0], contents="a"):
                pass


async def test_counts_vectors_and_models(both):
    one, native, _ = both
    async with client_of(one) as client:
        counted = await client.models.count_tokens(model="gemini/gemini-x", contents="a few words")
        assert counted.total_tokens > 0
        assert native.requests[0].path == "/v1beta/models/gemini-x:countTokens"
        estimated = await client.models.count_tokens(model=MODELS[1], contents="a few words of English text")
        assert 5 < estimated.total_tokens < 20
        vectors = await client.models.embed_content(model="gemini/gemini-embedding-001", contents=["a", "b"])
        assert [one.values for one in vectors.embeddings] == [[0.25, 0.0], [0.25, 1.0]]
        assert native.requests[1].path == "/v1beta/models/gemini-embedding-001:batchEmbedContents"
        assert {one["model"] for one in sent(native)["requests"]} == {"models/gemini-embedding-001"}
        with pytest.raises(errors.ClientError):
            await client.models.embed_content(model=MODELS[1], contents="a")
        listed = [model.name async for model in await client.models.list()]
        assert "models/gemini/gemini-3-flash-preview" in listed
        assert (await client.models.get(model=listed[0])).name == listed[0]


async def test_a_stream_without_events_is_an_array(both):
    one, native, _ = both
    path = "/v1beta/models/gemini-x:streamGenerateContent"
    asked = {"contents": [{"role": "user", "parts": [{"text": "one two three"}]}]}
    reply = await one.post(asked, path)
    assert reply.headers["content-type"] == "application/json"
    values = json.loads(reply.body)
    texts = [part["text"] for value in values for part in value["candidates"][0]["content"]["parts"]]
    assert "".join(texts) == "one two three"
    assert native.requests[0].path.endswith("?alt=sse")
    native.stream([*gemini_events({"text": "Hel"})[:1], gemini_error(503, "m", "UNAVAILABLE")], end="eof")
    broken = json.loads((await one.post(asked, path)).body)
    assert [min(value) for value in broken] == ["candidates", "error"]
    streamed = await one.post(asked, path + "?alt=sse&key=mine")
    assert streamed.headers["content-type"] == "text/event-stream"
    assert all("key=" not in request.path for request in native.requests)


@pytest.mark.parametrize("place", ["header", "query", "none"])
async def test_keys_come_in_the_header_or_in_the_query(place):
    async with FakeUpstream() as native:
        auth = [{"use": "static-keys", "keys": [{"name": "me", "secret": "env:CALLER_API_KEY"}]}]
        settings = {
            "providers": {"gemini": {"base-url": native.url}, "caller": {"base-url": native.base_url}},
            "auth": auth,
        }
        async with loopback(settings) as one:
            path = "/v1beta/models/gemini-x:generateContent" + ("?key=secret-of-caller" if place == "query" else "")
            headers = {"x_goog_api_key": "secret-of-caller"} if place == "header" else {}
            reply = await one.post({"contents": [{"role": "user", "parts": [{"text": "a"}]}]}, path, **headers)
            if place == "none":
                assert (reply.status, reply.error["status"]) == (401, "UNAUTHENTICATED")
            else:
                assert reply.status == 200
                assert native.requests[0].headers["x-goog-api-key"] == "secret-of-gemini"


async def test_openais_and_anthropics_clients_reach_the_native_api():
    """Signatures travel with tool calls through clients that know nothing of them."""
    async with FakeUpstream() as native:
        row = {"base-url": f"{native.url}/v1beta", "format": "gemini-generate-content"}
        async with loopback({"providers": {"copy": row}}) as one:
            call = {"functionCall": {"name": "f", "args": {"a": 1}, "id": "fc1"}, "thoughtSignature": SIGNATURE}
            url, model = f"http://127.0.0.1:{one.port}", "copy/gemini-3-flash-preview"
            function = {"name": "f", "parameters": {"type": "object", "properties": {}}}
            async with openai.AsyncOpenAI(base_url=f"{url}/v1", api_key="k", max_retries=0) as client:
                for streamed in (False, True):
                    native.stream(gemini_events(call, usage=USAGE), end="eof") if streamed else native.answer(
                        json=gemini_answer(call, usage=USAGE)
                    )
                    tools: Any = [{"type": "function", "function": function}]
                    turns: list[Any] = [{"role": "user", "content": "q"}]
                    if streamed:
                        async with client.chat.completions.stream(model=model, messages=turns, tools=tools) as stream:
                            message = (await stream.get_final_completion()).choices[0].message
                    else:
                        message = (
                            (await client.chat.completions.create(model=model, messages=turns, tools=tools))
                            .choices[0]
                            .message
                        )
                    turns += [
                        message.model_dump(exclude_none=True),
                        {"role": "tool", "tool_call_id": message.tool_calls[0].id, "content": "ok"},
                    ]
                    again = await client.chat.completions.create(model=model, messages=turns, tools=tools)
                    assert again.choices[0].message.content == "q"
                    assert sent(native)["contents"][1]["parts"][0] == call
            async with anthropic.AsyncAnthropic(base_url=url, api_key="k", max_retries=0) as claude:
                native.stream(gemini_events(call, usage=USAGE), end="eof")
                asked: list[Any] = [{"role": "user", "content": "q"}]
                schema: Any = [{"name": "f", "input_schema": {"type": "object"}}]
                async with claude.messages.stream(model=model, max_tokens=64, messages=asked, tools=schema) as stream:
                    said = await stream.get_final_message()
                result = {"type": "tool_result", "tool_use_id": said.content[0].id, "content": "ok"}
                asked += [said.to_param(), {"role": "user", "content": [result]}]
                await claude.messages.create(model=model, max_tokens=64, messages=asked, tools=schema)
                assert sent(native)["contents"][1]["parts"][0] == call
            assert native.requests[0].path == "/v1beta/models/gemini-3-flash-preview:generateContent"
            assert native.requests[0].headers["x-goog-api-key"] == "secret-of-copy"


async def test_clients_of_chat_are_relayed_to_the_compatible_endpoint_and_clients_of_messages_translated(both):
    one, native, _ = both
    turns = [{"role": "user", "content": "hi"}]
    native.stream(chat_events("hi"))
    assert (
        await one.post({"model": "gemini-x", "messages": turns, "stream": True}, "/v1/chat/completions")
    ).status == 200
    assert native.requests[0].path == "/v1beta/openai/chat/completions"
    assert native.requests[0].headers["authorization"] == "Bearer secret-of-gemini"
    asked = {"model": "gemini-x", "max_tokens": 9, "messages": turns}
    assert (await one.post(asked, "/v1/messages")).status == 200
    assert native.requests[1].path == "/v1beta/models/gemini-x:generateContent"


async def test_vertex_addresses():
    async with FakeUpstream() as gemini, FakeUpstream() as claude:
        settings = {"providers": {"gemini": {"base-url": gemini.url}, "anthropic": {"base-url": claude.base_url}}}
        async with loopback(settings) as one:
            place = "/v1/projects/p/locations/global/publishers"
            asked = {"contents": [{"role": "user", "parts": [{"text": "a"}]}]}
            options = types.HttpOptions(
                base_url=f"http://127.0.0.1:{one.port}",
                async_client_args={"transport": httpx2.AsyncHTTPTransport()},
            )
            credentials = Credentials(token="k")
            async with genai.Client(
                vertexai=True, project="p", location="global", credentials=credentials, http_options=options
            ).aio as google:
                assert (await google.models.generate_content(model="gemini-x", contents="a")).text == "a"
                stream = await google.models.generate_content_stream(model="gemini-x", contents="a b")
                assert "".join([chunk.text or "" async for chunk in stream]) == "a b"
            answer = {"id": "m", "type": "message", "role": "assistant", "model": "c", "stop_reason": "end_turn"}
            answer |= {"content": [{"type": "text", "text": "Hi"}], "usage": {"input_tokens": 1, "output_tokens": 1}}
            claude.answer(json=answer)
            url = f"http://127.0.0.1:{one.port}/v1"
            async with anthropic.AsyncAnthropicVertex(
                base_url=url, access_token="k", project_id="p", region="global", max_retries=0
            ) as client:
                turns: Any = [{"role": "user", "content": "a"}]
                said = await client.messages.create(model="claude-sonnet-5", max_tokens=9, messages=turns)
            assert said.content[0].text == "Hi"
            body = sent(claude)
            assert (body["model"], "anthropic_version" in body) == ("claude-sonnet-5", False)
            assert claude.requests[0].path == "/v1/messages"
            unknown = await one.post(asked, f"{place}/google/models/gemini-x:predict")
            assert (unknown.status, unknown.error["status"]) == (404, "NOT_FOUND")


def claude_events(*blocks: tuple[dict[str, Any], list[dict[str, Any]]], stop: str) -> list[bytes]:
    def event(kind: str, **fields: Any) -> bytes:
        return f"event: {kind}\ndata: {json.dumps({'type': kind, **fields})}\n\n".encode()

    head = {
        "id": "m",
        "type": "message",
        "role": "assistant",
        "model": "c",
        "content": [],
        "usage": {"input_tokens": 3},
    }
    events = [event("message_start", message=head)]
    for index, (block, deltas) in enumerate(blocks):
        events.append(event("content_block_start", index=index, content_block=block))
        events += [event("content_block_delta", index=index, delta=delta) for delta in deltas]
        events.append(event("content_block_stop", index=index))
    return [
        *events,
        event("message_delta", delta={"stop_reason": stop}, usage={"output_tokens": 5}),
        event("message_stop"),
    ]


@pytest.mark.parametrize("streamed", [False, True])
async def test_claude_keeps_its_signed_thoughts_through_googles_library(streamed):
    thinking = {"type": "thinking", "thinking": "", "signature": ""}
    pieces = [{"type": "thinking_delta", "thinking": text} for text in ("It ", "rains.")]
    proof = {"type": "signature_delta", "signature": "ErUB+/sig=="}
    call = {"type": "tool_use", "id": "toolu_1", "name": "weather", "input": {}}
    arguments = [{"type": "input_json_delta", "partial_json": text} for text in ('{"city":', '"Oslo"}')]
    whole = {**thinking, "thinking": "It rains.", "signature": "ErUB+/sig=="}
    used = {**call, "input": {"city": "Oslo"}}
    config = types.GenerateContentConfig(
        tools=[weather],
        thinking_config=types.ThinkingConfig(thinking_budget=2000, include_thoughts=True),
        max_output_tokens=4096,
    )
    async with (
        FakeUpstream() as claude,
        loopback({"providers": {"anthropic": {"base-url": claude.base_url}}}) as one,
    ):
        message = {"id": "m", "type": "message", "role": "assistant", "model": "c", "stop_reason": "tool_use"}
        message |= {"content": [whole, used], "usage": {"input_tokens": 3, "output_tokens": 5}}
        done = {**message, "stop_reason": "end_turn", "content": [{"type": "text", "text": "Take a coat."}]}
        text = ({"type": "text", "text": ""}, [{"type": "text_delta", "text": "Take a coat."}])
        if streamed:
            claude.stream(claude_events((thinking, [*pieces, proof]), (call, arguments), stop="tool_use"), end="eof")
            claude.stream(claude_events(text, stop="end_turn"), end="eof")
        else:
            claude.answer(json=message)
            claude.answer(json=done)
        async with client_of(one) as client:
            chat = client.chats.create(model="claude-sonnet-4-5", config=config)
            if streamed:
                stream = await chat.send_message_stream("weather?")
                said = [part async for chunk in stream for part in chunk.candidates[0].content.parts or ()]
                assert said[-2].text == "Take a coat." or said[-1].text == "Take a coat."
            else:
                assert (await chat.send_message("weather?")).text == "Take a coat."
        body = sent(claude)
        assert body["thinking"]["type"] == "enabled"
        assert body["messages"][1]["content"] == [whole, used]
        assert body["messages"][2]["content"][0]["tool_use_id"] == "toolu_1"
        assert body["messages"][2]["content"][0]["content"] == "rain in Oslo"


async def test_an_operators_own_compatible_server_stays_one():
    """Beside an address that is not the vendor's there is nothing; and who names a format gets it."""
    async with FakeUpstream() as upstream:
        asked = {"max_tokens": 9, "messages": [{"role": "user", "content": "hi"}], "model": "gemini/gemini-x"}
        for settings, path in (
            ({"base-url": upstream.base_url}, "/v1/chat/completions"),
            ({"base-url": upstream.url, "format": "openai-chat"}, "/v1beta/openai/chat/completions"),
            ({"base-url": f"{upstream.url}/proxy"}, "/proxy/v1beta/models/gemini-x:generateContent"),
        ):
            async with loopback({"providers": {"gemini": settings}}) as one:
                assert (await one.post(asked, "/v1/messages")).status == 200
            assert upstream.requests[-1].path == path
