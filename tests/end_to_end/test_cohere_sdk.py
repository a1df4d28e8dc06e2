"""The real ``cohere`` client against a running gateway: relayed to a server of its format, translated for others."""

from __future__ import annotations

import json

import anthropic
import cohere
import openai
import pytest

from end_to_end.loopback import loopback
from end_to_end.test_anthropic_sdk import ANSWER as MESSAGE, CALL, TEXT, THOUGHT, message_events
from formats.cohere_chat.recorded import ANSWER as EVENTS, USAGE, call, content, end, event, plan, start
from llmgate.testing.upstream import FakeUpstream, chat_events

MESSAGES = [{"role": "user", "content": "Hello there, gateway"}]
TOOLS = [
    {
        "type": "function",
        "function": {
            "name": "weather",
            "description": "The weather in a city",
            "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
        },
    }
]
ANSWER = {
    "id": "c14c80c3",
    "finish_reason": "COMPLETE",
    "message": {"role": "assistant", "content": [{"type": "text", "text": "Hi"}], "future": 1},
    "usage": USAGE,
}


@pytest.fixture
async def three():
    """A gateway before a server of Cohere's, one of OpenAI's and one of Anthropic's."""
    async with FakeUpstream() as native, FakeUpstream() as chat, FakeUpstream() as messages:
        settings = {
            "providers": {
                "cohere": {"base-url": native.url},
                "openai": {"base-url": chat.base_url},
                "anthropic": {"base-url": messages.base_url},
            }
        }
        async with loopback(settings) as one:
            yield one, native, chat, messages


def client_of(one, path: str = "") -> cohere.AsyncClientV2:
    return cohere.AsyncClientV2(
        api_key="mine",
        base_url=f"http://127.0.0.1:{one.port}{path}",
        timeout=20,
        log_warning_experimental_features=False,
    )


NO_RETRY = {"max_retries": 0}


@pytest.mark.parametrize("path", ["", "/as/cohere", "/cohere"])
async def test_a_whole_answer_is_relayed_as_it_is(three, path):
    one, native, _, _ = three
    native.answer(200, json=ANSWER)
    async with client_of(one, path) as client:
        model = "command-a-03-2025" if path == "/cohere" else "cohere/command-a-03-2025"
        answer = await client.chat(
            model=model, messages=MESSAGES, p=0.5, k=3, safety_mode="STRICT", documents=["a"], request_options=NO_RETRY
        )
    assert (answer.message.content[0].text, answer.finish_reason, answer.id) == ("Hi", "COMPLETE", "c14c80c3")
    assert answer.usage.tokens.input_tokens == 231
    received = native.requests[0]
    sent = json.loads(received.body)
    assert (received.path, sent["model"], sent["k"]) == ("/v2/chat", "command-a-03-2025", 3)
    assert (sent["safety_mode"], sent["documents"]) == ("STRICT", ["a"])
    assert received.headers["authorization"] == "Bearer secret-of-cohere"
    (record,) = await one.recorded()
    assert (record.usage.input_tokens, record.usage.output_tokens) == (231, 41)


async def test_a_stream_is_relayed_byte_for_byte(three):
    one, native, _, _ = three
    data = EVENTS + end("TOOL_CALL")
    native.stream([data], end="eof", split=11)
    asked = {"model": "cohere/command-a-03-2025", "messages": MESSAGES}
    reply = await one.post({**asked, "stream": True}, "/v2/chat")
    assert (reply.headers["content-type"], reply.body) == ("text/event-stream", data)
    native.stream([data], end="eof")
    async with client_of(one) as client:
        events = [one async for one in client.chat_stream(**asked)]
    kinds = [one.type for one in events]
    assert (kinds[0], kinds[-1], kinds.count("tool-call-start")) == ("message-start", "message-end", 2)
    assert events[-1].delta.usage.tokens.output_tokens == 41


def said_in(events) -> tuple[str, str, str]:
    deltas = [one.delta.message.content for one in events if one.type == "content-delta"]
    calls = [one.delta.message.tool_calls for one in events if one.type == "tool-call-delta"]
    return (
        "".join(delta.text or "" for delta in deltas),
        "".join(delta.thinking or "" for delta in deltas),
        "".join(one.function.arguments for one in calls),
    )


@pytest.mark.parametrize("streamed", [False, True])
async def test_a_provider_of_chat(three, streamed):
    one, _, chat, _ = three
    async with client_of(one) as client:
        asked = {"model": "openai/gpt-4o-mini", "messages": MESSAGES, "max_tokens": 9, "k": 3}
        if streamed:
            events = [one async for one in client.chat_stream(**asked)]
            assert said_in(events) == ("Hello there, gateway", "", "")
            assert (events[0].type, events[-1].type, bool(events[0].id)) == ("message-start", "message-end", True)
            finish, usage = events[-1].delta.finish_reason, events[-1].delta.usage
        else:
            answer = await client.chat(**asked)
            assert answer.message.content[0].text == "Hello there, gateway"
            finish, usage = answer.finish_reason, answer.usage
    assert (finish, usage.tokens.output_tokens > 0) == ("COMPLETE", True)
    sent = json.loads(chat.requests[0].body)
    assert (sent["max_completion_tokens"], "k" in sent, "top_k" in sent) == (9, False, False)
    (record,) = await one.recorded()
    assert (record.surface, record.metadata["llmgate.dropped-params"]) == ("cohere", "k")


@pytest.mark.parametrize("streamed", [False, True])
async def test_a_provider_of_messages_with_thoughts_and_tools(three, streamed):
    one, _, _, messages = three
    async with client_of(one) as client:
        asked = {"model": "anthropic/claude-sonnet-4-5", "messages": MESSAGES, "tools": TOOLS}
        if streamed:
            messages.stream(message_events(THOUGHT, TEXT, CALL, stop="tool_use"), end="eof")
            events = [one async for one in client.chat_stream(**asked)]
            assert said_in(events) == ("Hello wörld \u2028", "Hm.", '{"city": "Oslo"}')
            begun = next(one for one in events if one.type == "tool-call-start").delta.message.tool_calls
            call_id = begun.id  # the proof of the thought before it is in it, as Cohere's format has no other place
            assert call_id.startswith("toolu_1__proof__")
            assert (begun.function.name, events[-1].delta.finish_reason) == ("weather", "TOOL_CALL")
        else:
            blocks = [{"type": "tool_use", "id": "toolu_1", "name": "weather", "input": {"city": "Oslo"}}]
            messages.answer(200, json={**MESSAGE, "content": blocks, "stop_reason": "tool_use"})
            answer = await client.chat(**asked)
            call_id = answer.message.tool_calls[0].id
            assert (answer.finish_reason, call_id) == ("TOOL_CALL", "toolu_1")
        called = {"id": call_id, "type": "function", "function": {"name": "weather", "arguments": '{"city":"Oslo"}'}}
        turns = [
            *MESSAGES,
            {"role": "assistant", "tool_plan": "I will look.", "tool_calls": [called]},
            {
                "role": "tool",
                "tool_call_id": call_id,
                "content": [{"type": "document", "document": {"data": {"sky": "rain"}}}],
            },
        ]
        messages.answer(200, json=MESSAGE)
        followed = await client.chat(**{**asked, "messages": turns})
        assert followed.message.content[0].text == "Hello"
    sent = json.loads(messages.requests[1].body)["messages"]
    assert [one for one in sent[1]["content"] if one["type"] != "tool_use"] == [
        *([{"type": "thinking", "thinking": "Hm.", "signature": "c2ln=="}] if streamed else []),
        {"type": "text", "text": "I will look."},
    ]
    assert sent[1]["content"][-1]["id"] == "toolu_1"
    (result,) = sent[2]["content"]
    assert (result["tool_use_id"], result["content"]) == ("toolu_1", [{"type": "text", "text": '{"sky":"rain"}'}])


@pytest.mark.parametrize("streamed", [False, True])
async def test_clients_of_messages_reach_it_by_its_own_format(three, streamed):
    one, native, _, _ = three
    url = f"http://127.0.0.1:{one.port}"
    async with anthropic.AsyncAnthropic(base_url=url, api_key="mine", max_retries=0, timeout=20) as client:
        asked = {"model": "cohere/command-a-03-2025", "max_tokens": 4000, "messages": MESSAGES}
        if streamed:
            native.stream(
                [start() + plan("Look.") + content(0, "text", "Hi") + call(0, "i", "f") + end("TOOL_CALL")], end="eof"
            )
            async with client.messages.stream(**asked) as stream:
                message = await stream.get_final_message()
            assert [block.type for block in message.content] == ["text", "tool_use"]
            assert (message.content[1].input, message.stop_reason) == ({}, "tool_use")
            assert message.model == "command-a-03-2025"
        else:
            native.answer(200, json=ANSWER)
            message = await client.messages.create(**asked, extra_body={"top_k": 5})
            assert (message.content[0].text, message.stop_reason) == ("Hi", "end_turn")
            assert (message.model, message.id) == ("command-a-03-2025", "c14c80c3")
    received = native.requests[0]
    assert (received.path, json.loads(received.body)["max_tokens"]) == ("/v2/chat", 4000)
    native.stream(chat_events("hello"))
    async with openai.AsyncOpenAI(base_url=f"{url}/v1", api_key="mine", max_retries=0, timeout=20) as client:
        stream = await client.chat.completions.create(model="cohere/command-a-03-2025", messages=MESSAGES, stream=True)
        assert "".join([chunk.choices[0].delta.content or "" async for chunk in stream if chunk.choices]) == "hello"
    assert native.requests[1].path == "/compatibility/v1/chat/completions"  # its clients are relayed


@pytest.mark.parametrize(("status", "shown"), [(400, 400), (404, 404), (422, 422), (429, 429), (498, 498), (500, 500)])
async def test_errors_of_the_vendor(three, status, shown):
    one, native, chat, _ = three
    native.answer(status, json={"id": "x", "message": "no such thing"})
    chat.answer(400, json={"error": {"message": "not here"}})
    async with client_of(one) as client:
        with pytest.raises(cohere.core.ApiError) as relayed:
            await client.chat(model="cohere/command-a-03-2025", messages=MESSAGES, request_options=NO_RETRY)
        assert (relayed.value.status_code, relayed.value.body) == (shown, {"id": "x", "message": "no such thing"})
        with pytest.raises(cohere.core.ApiError) as translated:
            await client.chat(model="openai/gpt-4o-mini", messages=MESSAGES, request_options=NO_RETRY)
        assert translated.value.status_code == 400
        assert "not here" in translated.value.body["message"]
        with pytest.raises(cohere.NotFoundError) as unknown:
            await client.chat(model="nobody/knows", messages=MESSAGES, request_options=NO_RETRY)
        assert unknown.value.body.keys() == {"message"}


async def test_failures_in_streams(three):
    one, native, chat, _ = three
    async with client_of(one) as client:
        native.stream([start() + content(0, "text", "Hel") + end("ERROR", error="broke")], end="eof")
        events = [one async for one in client.chat_stream(model="cohere/x", messages=MESSAGES)]
        assert (events[-1].type, events[-1].delta.finish_reason, events[-1].delta.error) == (
            "message-end",
            "ERROR",
            "broke",
        )
        native.stream([start() + event("message-end", delta={"finish_reason": "TIMEOUT"})], end="eof")
        with pytest.raises(cohere.core.ApiError) as early:
            async for _ in client.chat_stream(model="cohere/x", messages=MESSAGES, request_options=NO_RETRY):
                pass
        assert early.value.status_code == 504
        chat.stream(chat_events("hello"), end="cut")
        events = [one async for one in client.chat_stream(model="openai/gpt-4o-mini", messages=MESSAGES)]
        assert events[-1].delta.finish_reason == "ERROR"
    outcomes = [record.outcome for record in await one.recorded(3)]
    assert outcomes == ["incomplete", "error", "incomplete"]
