"""The real ``anthropic`` SDK against ``llmgate serve``: relayed to a provider of its format, translated for another."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import anthropic
import attrs
import openai
import pytest

from end_to_end.gateways import gateway
from end_to_end.loopback import loopback
from llmgate.formats.tool_names import shortened
from llmgate.spec import Aspect, ChatRequest, Interceptor, Text, ToolDefinition, hookimpl
from llmgate.testing.upstream import FakeUpstream, chat_events

MESSAGES = [{"role": "user", "content": "Hello there, gateway"}]
TOOLS = [
    {
        "name": "weather",
        "description": "The weather in a city",
        "input_schema": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
        "cache_control": {"type": "ephemeral"},
    }
]
ANSWER = {
    "id": "msg_1",
    "type": "message",
    "role": "assistant",
    "model": "claude-sonnet-5",
    "content": [{"type": "text", "text": "Hello"}],
    "stop_reason": "end_turn",
    "stop_sequence": None,
    "usage": {"input_tokens": 9, "output_tokens": 1, "future_count": 1},
    "future": {"kept": True},
}


def event(kind: str, **fields: object) -> bytes:
    return f"event: {kind}\ndata: {json.dumps({'type': kind, **fields})}\n\n".encode()


def message_events(*blocks: tuple[dict, list[dict]], stop: str = "end_turn") -> list[bytes]:
    head = {**ANSWER, "content": [], "stop_reason": None, "usage": {"input_tokens": 9, "output_tokens": 1}}
    events = [event("message_start", message=head), event("ping")]
    for index, (block, deltas) in enumerate(blocks):
        events.append(event("content_block_start", index=index, content_block=block))
        events += [event("content_block_delta", index=index, delta=delta) for delta in deltas]
        events.append(event("content_block_stop", index=index))
    end = {"stop_reason": stop, "stop_sequence": None}
    return [*events, event("message_delta", delta=end, usage={"output_tokens": 7}), event("message_stop")]


TEXT = ({"type": "text", "text": ""}, [{"type": "text_delta", "text": text} for text in ("Hel", "lo ", "wörld \u2028")])
THOUGHT = (
    {"type": "thinking", "thinking": "", "signature": ""},
    [{"type": "thinking_delta", "thinking": "Hm."}, {"type": "signature_delta", "signature": "c2ln=="}],
)
CALL = (
    {"type": "tool_use", "id": "toolu_1", "name": "weather", "input": {}},
    [{"type": "input_json_delta", "partial_json": text} for text in ("", '{"city": ', '"Oslo"}')],
)


@pytest.fixture
async def both():
    """A gateway whose provider ``anthropic`` speaks messages and whose provider ``openai`` speaks chat."""
    async with FakeUpstream() as native, FakeUpstream() as chat:
        settings = {"providers": {"anthropic": {"base-url": native.base_url}, "openai": {"base-url": chat.base_url}}}
        async with loopback(settings) as one:
            yield one, native, chat


def client_of(one, path: str = "", **options) -> anthropic.AsyncAnthropic:
    return anthropic.AsyncAnthropic(
        base_url=f"http://127.0.0.1:{one.port}{path}", api_key="mine", max_retries=0, timeout=20, **options
    )


@pytest.mark.parametrize("path", ["", "/ai", "/as/anthropic"])
async def test_a_whole_answer_is_relayed_as_it_is(both, path):
    one, native, _ = both
    native.answer(200, json=ANSWER, headers={"anthropic-ratelimit-requests-remaining": "9", "request-id": "req_theirs"})
    async with client_of(one, path) as client:
        raw = await client.messages.with_raw_response.create(
            model="claude-sonnet-5",
            max_tokens=64,
            messages=MESSAGES,
            extra_headers={
                "anthropic-version": "2026-10-21",
                "anthropic-beta": "new-2027",
                "anthropic-future": "1",
                "anthropic-workspace-id": "theirs",
            },
            extra_body={"future_field": [1]},
            extra_query={"beta": "true"},
        )
    assert json.loads(await raw.text()) == ANSWER
    assert raw.headers["anthropic-ratelimit-requests-remaining"] == "9"
    assert raw.headers["request-id"] == raw.headers["x-request-id"] != "req_theirs"
    assert "llmgate-dropped-params" not in raw.headers
    received = native.requests[0]
    assert received.path == "/v1/messages"
    assert received.headers["x-api-key"] == "secret-of-anthropic"
    assert "authorization" not in received.headers
    assert received.headers["anthropic-version"] == "2026-10-21"
    assert (received.headers["anthropic-beta"], received.headers["anthropic-future"]) == ("new-2027", "1")
    assert "anthropic-workspace-id" not in received.headers
    assert json.loads(received.body)["future_field"] == [1]


async def test_a_stream_is_relayed_byte_for_byte(both):
    one, native, _ = both
    events = message_events(THOUGHT, TEXT, CALL, stop="tool_use")
    native.stream(events, end="eof")
    async with (
        client_of(one) as client,
        client.messages.with_streaming_response.create(
            model="claude-sonnet-5", max_tokens=64, messages=MESSAGES, stream=True
        ) as raw,
    ):
        assert b"".join([piece async for piece in raw.iter_bytes()]) == b"".join(events)


@pytest.mark.parametrize("model", ["claude-sonnet-5", "openai/gpt-4o-mini"])
async def test_the_stream_helper(both, model):
    one, native, _ = both
    native.stream(message_events(TEXT), end="eof")
    said = "Hello wörld \u2028"
    async with (
        client_of(one) as client,
        client.messages.stream(model=model, max_tokens=64, messages=[{"role": "user", "content": said}]) as stream,
    ):
        text = "".join([piece async for piece in stream.text_stream])
        message = await stream.get_final_message()
    assert text == message.content[0].text == said
    assert message.stop_reason == "end_turn"
    assert message.usage.output_tokens > 0
    assert message.model


class Shouting(Interceptor[Any]):
    """Changes one word of a stream that it reads."""

    name = "shouting"
    reads = writes = frozenset({Aspect.STREAM})

    def on_chunk(self, exchange: Any, chunk: Any) -> Any:
        if chunk.text != "Hel":
            return chunk
        (choice,) = chunk.choices
        return attrs.evolve(chunk, raw=b"", choices=(attrs.evolve(choice, parts=(Text("HEL"),)),))


class ShoutingPlugin:
    @hookimpl
    def llmgate_register_interceptors(self) -> Any:
        return Shouting


async def test_a_stage_that_changes_a_word_of_a_stream_changes_nothing_else():
    async with FakeUpstream() as native:
        settings = {
            "providers": {"anthropic": {"base-url": native.base_url}},
            "interceptors": [{"use": "shouting"}],
        }
        async with loopback(settings, plugins=[ShoutingPlugin()]) as one, client_of(one) as client:
            events = message_events(THOUGHT, TEXT, CALL, stop="tool_use")
            native.stream(events, end="eof")
            async with client.messages.with_streaming_response.create(
                model="claude-sonnet-5", max_tokens=64, messages=MESSAGES, stream=True
            ) as raw:
                got = b"".join([piece async for piece in raw.iter_bytes()])
    place = next(index for index, one in enumerate(events) if b'"Hel"' in one)
    events[place] = (
        b"event: content_block_delta\n"
        b'data: {"type":"content_block_delta","index":1,"delta":{"type":"text_delta","text":"HEL"}}\n\n'
    )
    assert got == b"".join(events)


async def test_a_whole_answer_is_translated(both):
    one, _, chat = both
    async with client_of(one) as client:
        raw = await client.messages.with_raw_response.create(
            model="openai/gpt-4o-mini",
            max_tokens=64,
            system=[{"type": "text", "text": "Be brief.", "cache_control": {"type": "ephemeral"}}],
            messages=MESSAGES,
            extra_body={"top_k": 5},
            stop_sequences=["END"],
            metadata={"user_id": "u1"},
        )
    message = await raw.parse()
    assert message.content[0].text == "Hello there, gateway"
    assert (message.stop_reason, message.role, message.type) == ("end_turn", "assistant", "message")
    assert message.usage.input_tokens > 0
    assert set(raw.headers["llmgate-dropped-params"].split(", ")) == {"top_k", "cache_control"}
    sent = json.loads(chat.requests[0].body)
    assert sent["messages"][0]["role"] == "system"
    assert (sent["max_completion_tokens"], sent["stop"], sent["user"]) == (64, ["END"], "u1")
    assert chat.requests[0].headers["authorization"] == "Bearer secret-of-openai"
    assert not any(name.startswith("anthropic-") for name in chat.requests[0].headers)
    (record,) = await one.recorded()
    assert set(record.metadata["llmgate.dropped-params"].split(", ")) == {"top_k", "cache_control"}
    assert (record.surface, record.provider_name) == ("anthropic", "openai")
    assert record.usage.input_tokens == message.usage.input_tokens


async def test_long_names_of_tools_are_shortened_and_restored(both):
    one, _, chat = both
    name = "mcp__" + "server" * 12 + "__tool"
    tools = [{**TOOLS[0], "name": name}]
    short = shortened(ChatRequest("m", (), tools=(ToolDefinition(name),)), 64)[0].tools[0].name
    call = {"index": 0, "id": "a", "type": "function", "function": {"name": short, "arguments": "{}"}}
    said = {"role": "assistant", "content": None, "tool_calls": [call]}

    def answer(kind: str) -> dict:
        return {"id": "c", "model": "m", "choices": [{"index": 0, kind: said, "finish_reason": "tool_calls"}]}

    chat.answer(200, json=answer("message"))
    chat.stream([answer("delta")])
    asked = {"model": "openai/gpt-4o-mini", "max_tokens": 64, "tools": tools, "messages": MESSAGES}
    async with client_of(one) as client:
        assert (await client.messages.create(**asked)).content[0].name == name
        async with client.messages.stream(**asked) as stream:
            assert (await stream.get_final_message()).content[0].name == name
    for received in chat.requests:
        assert json.loads(received.body)["tools"][0]["function"]["name"] == short
    assert len(short) <= 64


@pytest.mark.parametrize("streamed", [False, True])
async def test_clients_of_chat_reach_a_provider_that_speaks_messages_only(streamed):
    async with FakeUpstream() as native:
        settings = {"providers": {"copy": {"base-url": native.base_url, "format": "anthropic-messages"}}}
        async with loopback(settings) as one:
            url = f"http://127.0.0.1:{one.port}/v1"
            async with openai.AsyncOpenAI(base_url=url, api_key="mine", max_retries=0, timeout=20) as client:
                asked = {"model": "copy/claude-sonnet-4-5", "messages": MESSAGES, "seed": 3}
                if streamed:
                    native.stream(message_events(THOUGHT, TEXT, CALL, stop="tool_use"), end="eof")
                    options = {"stream": True, "stream_options": {"include_usage": True}}
                    chunks = [chunk async for chunk in await client.chat.completions.create(**asked, **options)]
                    deltas = [chunk.choices[0].delta for chunk in chunks if chunk.choices]
                    assert "".join(delta.content or "" for delta in deltas) == "Hello wörld \u2028"
                    calls = [call for delta in deltas for call in delta.tool_calls or ()]
                    assert "".join(call.function.arguments or "" for call in calls) == '{"city": "Oslo"}'
                    assert chunks[-1].usage.completion_tokens == 7
                    assert all(chunk.created > 0 for chunk in chunks)
                else:
                    native.answer(200, json=ANSWER)
                    raw = await client.chat.completions.with_raw_response.create(**asked)
                    answer = raw.parse()
                    assert answer.choices[0].message.content == "Hello"
                    assert (answer.usage.prompt_tokens, answer.created > 0) == (9, True)
                    assert raw.headers["llmgate-dropped-params"] == "seed"
                    with pytest.raises(openai.BadRequestError) as refused:
                        await client.chat.completions.create(**asked, n=2)
                    assert (refused.value.param, refused.value.code) == ("n", "unsupported_parameter")
            sent = json.loads(native.requests[0].body)
            assert (native.requests[0].path, sent["max_tokens"]) == ("/v1/messages", 32000)
            assert "seed" not in sent


def chat_tool_events():
    def delta(**fields):
        return {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "gpt-4o-mini"} | {
            "choices": [{"index": 0, "delta": fields, "finish_reason": None}]
        }

    for index, city in enumerate(("Oslo", "Rome")):
        function = {"name": "weather", "arguments": ""}
        yield delta(tool_calls=[{"index": index, "id": f"call_{index}", "type": "function", "function": function}])
        for piece in ('{"ci', f'ty": "{city}"}}'):
            yield delta(tool_calls=[{"index": index, "function": {"arguments": piece}}])
    last = delta()
    last["choices"][0]["finish_reason"] = "tool_calls"
    yield last


async def test_tools_go_to_a_provider_of_chat_and_back(both):
    one, _, chat = both
    chat.stream(list(chat_tool_events()))
    async with client_of(one) as client:
        asked = {"model": "openai/gpt-4o-mini", "max_tokens": 64, "tools": TOOLS}
        async with client.messages.stream(messages=MESSAGES, **asked) as stream:
            message = await stream.get_final_message()
        assert message.stop_reason == "tool_use"
        assert [(call.id, call.name, call.input) for call in message.content] == [
            ("call_0", "weather", {"city": "Oslo"}),
            ("call_1", "weather", {"city": "Rome"}),
        ]
        results = [
            {"type": "tool_result", "tool_use_id": call.id, "content": [{"type": "text", "text": "rain"}]}
            for call in message.content
        ]
        turns = [*MESSAGES, message.to_param(), {"role": "user", "content": results}]
        followed = await client.messages.create(messages=turns, **asked)
        assert followed.content[0].text
    sent = json.loads(chat.requests[1].body)
    assert [turn["role"] for turn in sent["messages"]] == ["user", "assistant", "tool", "tool"]
    assert sent["tools"][0]["function"].keys() == {"name", "description", "parameters"}
    assert sent["messages"][1]["tool_calls"][0]["function"]["arguments"] == '{"city":"Oslo"}'


async def test_tokens_are_counted_by_the_provider_or_estimated(both):
    one, native, _ = both
    native.answer(200, json={"input_tokens": 17})
    async with client_of(one) as client:
        counted = await client.messages.count_tokens(model="anthropic/claude-sonnet-5", messages=MESSAGES)
        assert counted.input_tokens == 17
        assert native.requests[0].path == "/v1/messages/count_tokens"
        assert json.loads(native.requests[0].body)["model"] == "claude-sonnet-5"
        estimated = await client.messages.count_tokens(
            model="openai/gpt-4o-mini", messages=MESSAGES, system="Be brief.", tools=TOOLS
        )
        assert 20 < estimated.input_tokens < 80
        with pytest.raises(anthropic.NotFoundError):
            await client.messages.count_tokens(model="nobody/knows", messages=MESSAGES)


async def test_models(both):
    one, _, _ = both
    async with client_of(one) as client:
        models = [model async for model in client.models.list(limit=1000)]
        assert "anthropic/claude-sonnet-5" in [model.id for model in models]
        assert all(model.type == "model" and model.display_name and model.created_at for model in models)
        assert (await client.models.retrieve("anthropic/claude-sonnet-5")).display_name == "claude-sonnet-5"
        first = await client.models.list(limit=2)
        assert (len(first.data), first.has_more, first.first_id) == (2, True, models[0].id)
        assert [model.id async for model in client.models.list(limit=2)] == [model.id for model in models]
        back = await client.models.list(limit=2, before_id=models[3].id)
        assert ([model.id for model in back.data], back.has_more) == ([models[1].id, models[2].id], True)
        with pytest.raises(anthropic.BadRequestError, match="limit must be 1 to 1000"):
            await client.models.list(limit=1001)
        with pytest.raises(anthropic.BadRequestError, match="is no model of this list"):
            await client.models.list(after_id="nobody")


@pytest.mark.parametrize(
    ("status", "kind", "raised"),
    [
        (400, "invalid_request_error", anthropic.BadRequestError),
        (404, "not_found_error", anthropic.NotFoundError),
        (413, "request_too_large", anthropic.APIStatusError),
        (429, "rate_limit_error", anthropic.RateLimitError),
        (500, "api_error", anthropic.InternalServerError),
        (529, "overloaded_error", anthropic.InternalServerError),
    ],
)
async def test_errors_of_the_provider(both, status, kind, raised):
    one, native, chat = both
    theirs = {"type": "error", "error": {"type": kind, "message": "prompt is too long: 9 > 8"}, "request_id": "req_1"}
    native.answer(status, json=theirs)
    chat.answer(503 if status == 529 else status, json={"error": {"message": "prompt is too long", "type": "x"}})
    async with client_of(one) as client:
        with pytest.raises(raised) as relayed:
            await client.messages.create(model="claude-sonnet-5", max_tokens=4, messages=MESSAGES)
        assert (relayed.value.status_code, relayed.value.body) == (status, theirs)
        with pytest.raises(raised) as translated:
            await client.messages.create(model="openai/gpt-4o-mini", max_tokens=4, messages=MESSAGES)
        assert translated.value.status_code == status
        assert translated.value.body["type"] == "error"
        assert translated.value.body["error"]["type"] == kind
        assert "prompt is too long" in translated.value.body["error"]["message"]
        assert translated.value.body["request_id"] == translated.value.request_id


async def test_errors_of_the_gateway(both):
    one, _, chat = both
    async with client_of(one) as client:
        with pytest.raises(anthropic.NotFoundError) as unknown:
            await client.messages.create(model="nobody/knows", max_tokens=4, messages=MESSAGES)
        assert unknown.value.body["error"]["type"] == "not_found_error"
        with pytest.raises(anthropic.BadRequestError) as refused:
            await client.messages.create(
                model="openai/gpt-4o-mini",
                max_tokens=4,
                messages=MESSAGES,
                tools=[{"type": "web_search_20250305", "name": "web_search"}],
            )
        assert "web_search" in str(refused.value)
        assert not chat.requests
        with pytest.raises(anthropic.APIStatusError) as nowhere:
            await client.get("/v1/messages", cast_to=object)
        assert nowhere.value.status_code == 405
        assert nowhere.value.body["type"] == "error"


@pytest.mark.parametrize("model", ["claude-sonnet-5", "openai/gpt-4o-mini"])
async def test_a_stream_that_is_cut_raises(both, model):
    one, native, chat = both
    native.stream(message_events(TEXT)[:-2], end="eof")
    chat.stream(chat_events("hello"), end="cut")
    async with client_of(one) as client:
        with pytest.raises(anthropic.APIError):
            async for _ in await client.messages.create(model=model, max_tokens=4, messages=MESSAGES, stream=True):
                pass


async def test_an_error_event_in_a_stream_reaches_the_client_word_for_word(both):
    one, native, _ = both
    theirs = {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded", "more": 1}}
    broken = event("error", **{name: value for name, value in theirs.items() if name != "type"})
    async with client_of(one) as client:
        native.stream([*message_events(TEXT)[:4], broken], end="eof")
        with pytest.raises(anthropic.APIError) as late:
            async for _ in await client.messages.create(
                model="claude-sonnet-5", max_tokens=4, messages=MESSAGES, stream=True
            ):
                pass
        assert late.value.body == theirs
        native.stream([message_events(TEXT)[0], broken], end="eof")
        with pytest.raises(anthropic.InternalServerError) as early:
            await client.messages.create(model="claude-sonnet-5", max_tokens=4, messages=MESSAGES, stream=True)
        assert (early.value.status_code, early.value.body) == (529, theirs)


async def test_the_synchronous_client_against_the_command(tmp_path):
    async with FakeUpstream() as native:
        (tmp_path / "llmgate.yaml").write_text(f"providers:\n  anthropic: {{base-url: '{native.base_url}'}}\n")
        native.answer(200, json=ANSWER)
        native.stream(message_events(TEXT), end="eof")

        def ask(url: str) -> str:
            with anthropic.Anthropic(base_url=url, auth_token="mine", max_retries=0, timeout=20) as client:
                whole = client.messages.create(model="claude-sonnet-5", max_tokens=4, messages=MESSAGES)
                with client.messages.stream(model="claude-sonnet-5", max_tokens=4, messages=MESSAGES) as stream:
                    return whole.content[0].text + stream.get_final_text()

        with gateway(tmp_path, environment={"ANTHROPIC_API_KEY": "sk-native"}) as one:
            assert await asyncio.to_thread(ask, one.url) == "HelloHello wörld \u2028"
