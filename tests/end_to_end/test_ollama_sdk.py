"""The real ``ollama`` client against a running gateway: relayed to a server of its format, translated for others."""

from __future__ import annotations

import json
from typing import Any

import anthropic
import attrs
import ollama
import openai
import pytest

from end_to_end.loopback import loopback
from end_to_end.test_anthropic_sdk import ANSWER as MESSAGE, CALL, TEXT, THOUGHT, message_events
from formats.ollama_chat.recorded import call, end, line, text
from llmgate.spec import Aspect, Interceptor, Text, hookimpl
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
NDJSON = {"content-type": "application/x-ndjson"}


@pytest.fixture
async def three():
    """A gateway before a server of Ollama's, one of OpenAI's and one of Anthropic's."""
    async with FakeUpstream() as native, FakeUpstream() as chat, FakeUpstream() as messages:
        settings = {
            "providers": {
                "ollama": {"base-url": native.base_url, "models": ["llama3.2"]},
                "openai": {"base-url": chat.base_url},
                "anthropic": {"base-url": messages.base_url},
            }
        }
        async with loopback(settings) as one:
            yield one, native, chat, messages


def client_of(one, path: str = "") -> ollama.AsyncClient:
    return ollama.AsyncClient(
        host=f"http://127.0.0.1:{one.port}{path}", headers={"authorization": "Bearer mine"}, timeout=20, trust_env=False
    )


@pytest.mark.parametrize("path", ["", "/as/ollama", "/ollama"])
async def test_a_whole_answer_is_relayed_as_it_is(three, path):
    one, native, _, _ = three
    body = end(message={"content": "Hi", "thinking": "Hm", "tool_calls": [call("weather", {"city": "Oslo"})]}, future=1)
    native.answer(200, body=body, headers={"content-type": "application/json"})
    async with client_of(one, path) as client:
        model = "llama3.2" if path == "/ollama" else "ollama/llama3.2"
        answer = await client.chat(
            model=model, messages=MESSAGES, tools=TOOLS, think="high", format="json", options={"num_ctx": 9000}
        )
    assert (answer.message.content, answer.message.thinking, answer.done_reason) == ("Hi", "Hm", "stop")
    assert answer.message.tool_calls[0].function.arguments == {"city": "Oslo"}
    assert (answer.prompt_eval_count, answer.eval_count) == (26, 7)
    received = native.requests[0]
    sent = json.loads(received.body)
    assert (received.path, sent["model"], sent["options"], sent["think"]) == (
        "/api/chat",
        "llama3.2",
        {"num_ctx": 9000},
        "high",
    )
    assert "authorization" not in received.headers
    (record,) = await one.recorded()
    assert (record.usage.input_tokens, record.usage.output_tokens) == (26, 7)


async def test_a_stream_is_relayed_byte_for_byte(three):
    one, native, _, _ = three
    lines = [line({"thinking": "Hm"}), text("Hel", "lo wörld \u2028"), line({"tool_calls": [call("f", {})]}), end()]
    native.stream(lines, end="eof", headers=NDJSON, split=7)
    asked = {"model": "ollama/llama3.2", "messages": MESSAGES}
    reply = await one.post(asked, "/api/chat")
    assert (reply.headers["content-type"], reply.body) == ("application/x-ndjson", b"".join(lines))
    lines[1] = text("Hel", "lo wörld")  # the client itself splits lines at U+2028, which the server escapes
    native.stream(lines, end="eof", headers=NDJSON)
    async with client_of(one) as client:
        parts = [part async for part in await client.chat(**asked, stream=True)]
    assert "".join(part.message.content for part in parts) == "Hello wörld"
    assert (parts[-1].done, parts[-1].eval_count) == (True, 7)


@pytest.mark.parametrize("streamed", [False, True])
async def test_a_provider_of_chat(three, streamed):
    one, _, chat, _ = three
    async with client_of(one) as client:
        asked = {"model": "openai/gpt-4o-mini", "messages": MESSAGES, "options": {"num_predict": 9, "num_ctx": 9000}}
        if streamed:
            parts = [part async for part in await client.chat(**asked, stream=True)]
            said, last = "".join(part.message.content for part in parts), parts[-1]
            assert all(not part.done for part in parts[:-1])
        else:
            last = await client.chat(**asked)
            said = last.message.content
    assert (said, last.done, last.done_reason) == ("Hello there, gateway", True, "stop")
    assert (last.model, last.eval_count > 0, last.prompt_eval_count > 0) == ("gpt-4o-mini", True, True)
    assert last.created_at.startswith("20")
    sent = json.loads(chat.requests[0].body)
    assert (sent["max_completion_tokens"], sent.get("stream", False)) == (9, streamed)
    (record,) = await one.recorded()
    assert (record.surface, record.metadata["llmgate.dropped-params"]) == ("ollama", "options.num_ctx")


@pytest.mark.parametrize("streamed", [False, True])
async def test_a_provider_of_messages_with_thoughts_and_tools(three, streamed):
    one, _, _, messages = three
    async with client_of(one) as client:
        asked = {"model": "anthropic/claude-sonnet-4-5", "messages": MESSAGES, "tools": TOOLS}
        if streamed:
            messages.stream(message_events(THOUGHT, TEXT, CALL, stop="tool_use"), end="eof")
            parts = [part async for part in await client.chat(**asked, stream=True)]
        else:
            blocks = [
                {"type": "thinking", "thinking": "Hm.", "signature": "c2ln"},
                {"type": "text", "text": "Hello wörld \u2028"},
                {"type": "tool_use", "id": "toolu_1", "name": "weather", "input": {"city": "Oslo"}},
            ]
            messages.answer(200, json={**MESSAGE, "content": blocks, "stop_reason": "tool_use"})
            parts = [await client.chat(**asked)]
        assert "".join(part.message.thinking or "" for part in parts) == "Hm."
        assert "".join(part.message.content for part in parts) == "Hello wörld \u2028"
        (called,) = [one for part in parts for one in part.message.tool_calls or ()]
        assert (called.function.name, called.function.arguments) == ("weather", {"city": "Oslo"})
        turn = {"role": "assistant", "content": "", "tool_calls": [called]}
        result = {"role": "tool", "content": "rain", "tool_name": "weather"}
        messages.answer(200, json=MESSAGE)
        followed = await client.chat(**{**asked, "messages": [*MESSAGES, turn, result]})
        assert followed.message.content == "Hello"
    sent = json.loads(messages.requests[1].body)["messages"]
    assert sent[2]["content"][0]["tool_use_id"] == sent[1]["content"][0]["id"]


async def test_clients_of_other_formats_reach_it_by_its_own_format(three):
    one, native, _, _ = three
    native.answer(200, body=end(message={"content": "Hi"}), headers={"content-type": "application/json"})
    native.stream([text("Hel", "lo"), end()], end="eof", headers=NDJSON)
    url = f"http://127.0.0.1:{one.port}"
    async with anthropic.AsyncAnthropic(base_url=url, api_key="mine", max_retries=0, timeout=20) as client:
        asked = {"model": "ollama/llama3.2", "max_tokens": 9, "messages": MESSAGES}
        whole = await client.messages.create(**asked, extra_body={"top_k": 5})
        assert (whole.content[0].text, whole.usage.input_tokens, whole.stop_reason) == ("Hi", 26, "end_turn")
        async with client.messages.stream(**asked) as stream:
            assert (await stream.get_final_text(), (await stream.get_final_message()).usage.output_tokens) == (
                "Hello",
                7,
            )
    assert [received.path for received in native.requests] == ["/api/chat", "/api/chat"]
    assert json.loads(native.requests[0].body)["options"] == {"num_predict": 9, "top_k": 5}
    native.stream(chat_events("hello"))
    async with openai.AsyncOpenAI(base_url=f"{url}/v1", api_key="mine", max_retries=0, timeout=20) as client:
        stream = await client.chat.completions.create(model="ollama/llama3.2", messages=MESSAGES, stream=True)
        assert "".join([chunk.choices[0].delta.content or "" async for chunk in stream if chunk.choices]) == "hello"
    assert native.requests[2].path == "/v1/chat/completions"  # its clients are relayed


async def test_models_and_what_they_can(three):
    one, _, _, _ = three
    async with client_of(one) as client:
        models = (await client.list()).models
        assert "ollama/llama3.2" in [model.model for model in models]
        assert all(len(model.digest) == 64 and model.details.family for model in models)
        shown = await client.show("ollama/llama3.2")
        assert "tools" in shown.capabilities
        assert shown.modelinfo["general.architecture"] == "llmgate"
        with pytest.raises(ollama.ResponseError) as unknown:
            await client.show("nobody/knows")
        assert (unknown.value.status_code, unknown.value.error) == (404, "model 'nobody/knows' not found")
    async with one.client.get(f"http://127.0.0.1:{one.port}/api/version") as reply:
        assert (await reply.json())["version"].count(".") == 2


@pytest.mark.parametrize("status", [400, 404, 429, 500, 503])
async def test_errors_of_the_server(three, status):
    one, native, chat, _ = three
    native.answer(status, json={"error": "model 'x' not found"})
    chat.answer(status, json={"error": {"message": "no such thing"}})
    async with client_of(one) as client:
        with pytest.raises(ollama.ResponseError) as relayed:
            await client.chat(model="ollama/x", messages=MESSAGES)
        assert (relayed.value.status_code, relayed.value.error) == (status, "model 'x' not found")
        with pytest.raises(ollama.ResponseError) as translated:
            await client.chat(model="openai/gpt-4o-mini", messages=MESSAGES)
        assert translated.value.status_code == status
        assert "no such thing" in translated.value.error


async def test_errors_inside_a_success_and_of_the_gateway(three):
    one, native, chat, _ = three
    async with client_of(one) as client:
        native.stream([text("Hel"), b'{"error":"out of memory"}\n'], end="eof", headers=NDJSON)
        with pytest.raises(ollama.ResponseError, match="out of memory"):
            async for _ in await client.chat(model="ollama/x", messages=MESSAGES, stream=True):
                pass
        native.answer(200, json={"error": "early"})
        with pytest.raises(ollama.ResponseError, match="early") as early:
            await client.chat(model="ollama/x", messages=MESSAGES, stream=True)
            async for _ in await client.chat(model="ollama/x", messages=MESSAGES, stream=True):
                pass
        assert early.value.status_code == 502
        chat.stream(chat_events("hello"), end="cut")
        with pytest.raises(ollama.ResponseError):
            async for _ in await client.chat(model="openai/gpt-4o-mini", messages=MESSAGES, stream=True):
                pass
        with pytest.raises(ollama.ResponseError) as unknown:
            await client.chat(model="nobody/knows", messages=MESSAGES)
        assert unknown.value.status_code == 404
        assert not unknown.value.error.startswith("{")
        with pytest.raises(ollama.ResponseError) as missing:
            await client.ps()
        assert missing.value.status_code == 404


async def test_loading_a_model_is_answered_whole(three):
    one, native, _, _ = three
    native.answer(200, body=line(done=True, done_reason="load"), headers={"content-type": "application/json"})
    reply = await one.post({"model": "ollama/llama3.2"}, "/api/chat")
    assert (reply.status, json.loads(reply.body)["done_reason"]) == (200, "load")


class Shouting(Interceptor[Any]):
    """Changes one word of a stream that it reads, and the last line's."""

    name = "shouting"
    reads = writes = frozenset({Aspect.STREAM})

    def on_chunk(self, exchange: Any, chunk: Any) -> Any:
        if not chunk.text:
            return chunk
        (choice,) = chunk.choices
        return attrs.evolve(chunk, choices=(attrs.evolve(choice, parts=(Text(chunk.text.upper()),)),))


class ShoutingPlugin:
    @hookimpl
    def llmgate_register_interceptors(self) -> Any:
        return Shouting


async def test_a_stage_changes_every_word_also_in_the_last_line():
    async with FakeUpstream() as native:
        settings = {"providers": {"ollama": {"base-url": native.url}}, "interceptors": [{"use": "shouting"}]}
        async with loopback(settings, plugins=[ShoutingPlugin()]) as one, client_of(one) as client:
            called = line({"tool_calls": [call("f", {"a": 1}, id="c")]})
            native.stream([text("Hel"), called, end(message={"content": "lo"})], end="eof", headers=NDJSON)
            asked = {"model": "ollama/llama3.2", "messages": MESSAGES}
            parts = [part async for part in await client.chat(**asked, stream=True)]
    assert "".join(part.message.content for part in parts) == "HELLO"
    assert [part.done for part in parts] == [False, False, False, True]
    assert (parts[1].message.tool_calls[0].function.arguments, parts[-1].eval_count) == ({"a": 1}, 7)
