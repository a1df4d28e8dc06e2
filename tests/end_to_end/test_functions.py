"""Chat completions as they were before tools: every provider serves a client who knows functions only."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping
from typing import Any

import attrs
import pytest
import pytest_asyncio

from end_to_end.dialects.dialect import Call, Dialect, Said, Wish, sse, sse_events
from end_to_end.dialects.gate import Gate, Reply, gate
from end_to_end.dialects.table import DIALECTS
from llmgate.spec import ProviderResponse
from llmgate.testing.transport import ScriptedAnswer

pytestmark = pytest.mark.asyncio(loop_scope="module")

CITY = {
    "type": "object",
    "properties": {"city": {"type": "string"}},
    "required": ["city"],
    "additionalProperties": False,
}
FUNCTIONS = [{"name": "weather", "description": "weather", "parameters": CITY}]
ASKED: dict[str, Any] = {
    "messages": [{"role": "user", "content": "What now?"}],
    "functions": FUNCTIONS,
    "max_tokens": 9000,
}
TURNS: list[dict[str, Any]] = [
    {"role": "user", "content": "What now?"},
    {"role": "assistant", "content": None, "function_call": {"name": "weather", "arguments": '{"city": "Oslo"}'}},
    {"role": "function", "name": "weather", "content": "rain\r\n☔"},
    {"role": "assistant", "content": None, "function_call": {"name": "weather", "arguments": '{"city": "Zürich"}'}},
    {"role": "function", "name": "weather", "content": "sun"},
]
CHAT = next(one for one in DIALECTS if one.name == "openai-chat")
OTHERS = [one for one in DIALECTS if one.name != "openai-chat"]
others = pytest.mark.parametrize("provider", OTHERS, ids=lambda one: one.name)
streams = pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
OSLO = Call("call_o", "weather", {"city": "Oslo\r\n"})


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def open_gate() -> AsyncIterator[Gate]:
    async with gate() as one:
        yield one


async def ask(
    gate: Gate, provider: Dialect, body: Mapping[str, Any], said: Said, *, stream: bool, pieces: Any = "plain"
) -> Reply:
    model = f"{provider.provider}/{provider.model}"
    more = {"stream": True} if stream else {}
    if stream:
        answer: Any = ScriptedAnswer(200, {"content-type": provider.media_type}, tuple(provider.events(said, pieces)))
    else:
        answer = ProviderResponse(200, {"content-type": "application/json"}, provider.whole(said))
    return await gate.ask(CHAT, provider, {"model": model, **body, **more, "_stream": stream}, answer)


def heard(reply: Reply, *, stream: bool) -> dict[str, Any]:
    """The message and its end, as a client from before tools reads them."""
    assert reply.status == 200, reply.body
    assert b"tool_calls" not in reply.body
    if not stream:
        (choice,) = json.loads(reply.body)["choices"]
        return {**choice["message"], "finish": choice["finish_reason"]}
    message: dict[str, Any] = {"content": "", "finish": None}
    events = [data for _, data in sse_events(reply.body)]
    assert events[-1] == "[DONE]"
    for data in events[:-1]:
        for choice in json.loads(data)["choices"]:
            delta = choice["delta"]
            message["content"] += delta.get("content") or ""
            for name, piece in (delta.get("function_call") or {}).items():
                call = message.setdefault("function_call", {"name": "", "arguments": ""})
                call[name] += piece
            message["finish"] = choice["finish_reason"] or message["finish"]
    return message


@others
@streams
async def test_a_function_is_called(open_gate: Gate, provider: Dialect, stream: bool) -> None:
    reply = await ask(open_gate, provider, ASKED, Said(calls=[OSLO], finish="tools"), stream=stream)
    message = heard(reply, stream=stream)
    assert message["finish"] == "function_call"
    assert message["function_call"]["name"] == "weather"
    assert json.loads(message["function_call"]["arguments"]) == OSLO.arguments
    assert "llmgate-dropped-params" not in reply.headers
    asked = provider.asked(*open_gate.received)
    assert (asked.tools, asked.text, asked.forced) == ({"weather": CITY}, "What now?", False)


@others
@streams
async def test_a_call_without_arguments(open_gate: Gate, provider: Dialect, stream: bool) -> None:
    said = Said(text="I look.", calls=[attrs.evolve(OSLO, arguments={})], finish="tools")
    message = heard(await ask(open_gate, provider, ASKED, said, stream=stream), stream=stream)
    assert json.loads(message["function_call"]["arguments"]) == {}
    assert message["content"] == "I look."


@others
@streams
@pytest.mark.parametrize("pieces", ["plain", "interleaved", "late"])
async def test_only_one_call_fits_into_an_answer(open_gate: Gate, provider: Dialect, stream: bool, pieces: str) -> None:
    """The provider is asked for one at a time; the first is told where it makes several all the same."""
    calls = [OSLO, Call("call_z", "weather", {"city": "Zürich"})]
    said = Said(calls=calls, finish="tools")
    message = heard(await ask(open_gate, provider, ASKED, said, stream=stream, pieces=pieces), stream=stream)
    assert json.loads(message["function_call"]["arguments"]) == OSLO.arguments
    _, body = open_gate.received
    if provider.name == "anthropic-messages":
        assert body["tool_choice"]["disable_parallel_tool_use"] is True
    elif provider.name == "openai-responses":
        assert body["parallel_tool_calls"] is False


@others
@streams
async def test_results_go_back_to_their_calls(open_gate: Gate, provider: Dialect, stream: bool) -> None:
    reply = await ask(open_gate, provider, {**ASKED, "messages": TURNS}, Said(text="Rain."), stream=stream)
    message = heard(reply, stream=stream)
    assert (message["content"], message["finish"], message.get("function_call")) == ("Rain.", "stop", None)
    assert "llmgate-dropped-params" not in reply.headers
    _, body = open_gate.received
    sent = json.dumps(body, ensure_ascii=False)
    assert sent.index("Oslo") < sent.index("rain") < sent.index("Zürich") < sent.index("sun")
    assert "legacy" not in sent
    assert "function_call_output" in sent or '"role": "function"' not in sent


@others
@pytest.mark.parametrize(
    ("choice", "forced", "offered"),
    [("auto", False, True), ({"name": "weather"}, True, True), ("none", False, False)],
)
async def test_which_function_is_to_be_called(
    open_gate: Gate, provider: Dialect, choice: Any, forced: bool, offered: bool
) -> None:
    body = {**ASKED, "function_call": choice}
    reply = await ask(open_gate, provider, body, Said(text="Hello"), stream=False)
    assert reply.status == 200, reply.body
    _, sent = open_gate.received
    text = json.dumps({name: one for name, one in sent.items() if name != "messages"})
    named = any(one in text for one in ('"any"', '"ANY"', '"tool"', '"REQUIRED"', '"type": "function", "name"'))
    if offered:
        assert "weather" in text
        assert not forced or named or provider.name in ("ollama-chat", "bedrock-converse")
    else:
        assert "weather" not in text or '"none"' in text or '"NONE"' in text


@streams
async def test_the_same_format_is_relayed(open_gate: Gate, stream: bool) -> None:
    """Byte for byte, both ways: there is nothing to translate."""
    call = {"name": "weather", "arguments": '{"city":"Oslo"}'}
    head = {"id": "c", "created": 1, "model": "m"}
    whole = {**head, "object": "chat.completion", "choices": [{"index": 0, "finish_reason": "function_call",
             "message": {"role": "assistant", "content": None, "function_call": call}}]}  # fmt: skip
    event = {**head, "object": "chat.completion.chunk", "choices": [{"index": 0, "delta": {"function_call": call}}]}
    end = {**event, "choices": [{"index": 0, "delta": {}, "finish_reason": "function_call"}]}
    events = (sse(event), sse(end), b"data: [DONE]\n\n")
    body = {"model": f"{CHAT.provider}/m", **ASKED, "messages": TURNS, "function_call": "auto"}
    if stream:
        answer: Any = ScriptedAnswer(200, {"content-type": "text/event-stream"}, events)
    else:
        answer = ProviderResponse(200, {"content-type": "application/json"}, json.dumps(whole).encode())
    reply = await open_gate.ask(CHAT, CHAT, {**body, "stream": stream, "_stream": stream}, answer)
    assert reply.body == (b"".join(events) if stream else json.dumps(whole).encode())
    _, sent = open_gate.received
    assert {name: sent[name] for name in ("messages", "functions", "function_call")} == {
        "messages": TURNS, "functions": FUNCTIONS, "function_call": "auto"
    }  # fmt: skip


@streams
@pytest.mark.parametrize("client", OTHERS, ids=lambda one: one.name)
async def test_a_provider_from_before_tools_serves_other_clients(
    open_gate: Gate, client: Dialect, stream: bool
) -> None:
    """Some servers answer with a function call whatever they were asked with."""
    head = {"id": "c", "created": 1, "model": "m"}
    usage = {"prompt_tokens": 11, "completion_tokens": 7, "total_tokens": 18}
    call = {"name": "weather", "arguments": json.dumps(OSLO.arguments)}
    message = {"role": "assistant", "content": None, "function_call": call}
    whole = {**head, "object": "chat.completion", "usage": usage,
             "choices": [{"index": 0, "finish_reason": "function_call", "message": message}]}  # fmt: skip
    pieces = [{"function_call": {"name": "weather", "arguments": ""}}, {"function_call": {"arguments": '{"city": '}},
              {"function_call": {"arguments": '"Oslo\\r\\n"}'}}]  # fmt: skip
    found = [{"index": 0, "delta": one, "finish_reason": None} for one in pieces]
    found.append({"index": 0, "delta": {}, "finish_reason": "function_call"})
    chunk = {**head, "object": "chat.completion.chunk"}
    events = [sse({**chunk, "choices": [one]}) for one in found]
    events += [sse({**chunk, "choices": [], "usage": usage}), b"data: [DONE]\n\n"]
    wish = Wish(model=f"{CHAT.provider}/m", tools={"weather": CITY}, stream=stream)
    if stream:
        answer: Any = ScriptedAnswer(200, {"content-type": "text/event-stream"}, tuple(events))
    else:
        answer = ProviderResponse(200, {"content-type": "application/json"}, json.dumps(whole).encode())
    reply = await open_gate.ask(client, CHAT, {**client.write(wish), "_stream": stream}, answer)
    assert reply.status == 200, reply.body
    got = client.hear_stream(reply.body) if stream else client.hear(reply.body)
    assert [(one.name, one.arguments) for one in got.calls] == [("weather", OSLO.arguments)]
    assert got.calls[0].id or client.name == "ollama-chat"
    assert got.finish == "tools"


@pytest.mark.parametrize(
    ("change", "param"),
    [
        ({"functions": [{"description": "nameless"}]}, "functions[0].name"),
        ({"functions": [1]}, "functions[0]"),
        ({"functions": {}}, "functions"),
        ({"messages": [{"role": "function", "content": "x"}]}, "messages[0].name"),
        ({"messages": [{"role": "assistant", "function_call": 1}]}, "messages[0].function_call"),
        ({"messages": [{"role": "assistant", "function_call": {}}]}, "messages[0].function_call.name"),
        ({"function_call": {"name": 1}}, "function_call"),
    ],
)
async def test_what_is_wrong_is_named(open_gate: Gate, change: dict[str, Any], param: str) -> None:
    provider = OTHERS[1]
    reply = await ask(open_gate, provider, {**ASKED, **change}, Said(text="x"), stream=False)
    open_gate.forget()
    assert reply.status == 400, reply.body
    assert json.loads(reply.body)["error"]["param"] == param
