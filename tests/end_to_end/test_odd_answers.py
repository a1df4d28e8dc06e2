"""Answers that are odd and meant well: what servers really send, and what clients of every format make of it."""

from __future__ import annotations

import json
from typing import Any

import pytest
from openai.lib.streaming.chat import ChatCompletionStreamState
from openai.types.chat import ChatCompletionChunk

from end_to_end.dialects.dialect import Call, Dialect, Said
from end_to_end.dialects.table import DIALECTS
from end_to_end.loopback import MESSAGES, loopback
from llmgate.formats import get_format
from llmgate.testing.upstream import FakeUpstream

CHAT = get_format("openai-chat")
CLIENTS = [one for one in DIALECTS if one.name != "openai-chat"]
HEAD = {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m"}
USAGE = {"prompt_tokens": 11, "completion_tokens": 7, "total_tokens": 18}

WITH_IDS = [one for one in CLIENTS if one.name != "gemini-generate-content"]
"""Those whose calls have ids; Gemini's need none, and get none here."""

clients = pytest.mark.parametrize("client", CLIENTS, ids=lambda one: one.name)


def chunk(finish: str | None = None, **delta: Any) -> dict[str, Any]:
    return {**HEAD, "choices": [{"index": 0, "delta": delta, "finish_reason": finish}]}


def piece(call_id: str | None, name: str | None, arguments: str, **more: Any) -> dict[str, Any]:
    function = {"arguments": arguments} | ({} if name is None else {"name": name})
    return {**({} if call_id is None else {"id": call_id, "type": "function"}), "function": function, **more}


def heard(client: Dialect, *chunks: dict[str, Any], usage: bool = True) -> Said:
    """What a client hears of a stream of chat completions."""
    told = [*chunks, {**HEAD, "choices": [], "usage": USAGE}] if usage else chunks
    raw = b"".join(f"data: {json.dumps(one)}\n\n".encode() for one in told) + b"data: [DONE]\n\n"
    reader, encoder = CHAT.stream_reader(), get_format(client.name).stream_encoder(include_usage=True)
    return client.hear_stream(b"".join(encoder.encode(one) for one in reader.decode(raw)))


def names(said: Said) -> list[tuple[str, Any]]:
    return [(call.name, call.arguments) for call in said.calls]


@clients
def test_calls_without_an_index_are_told_apart_by_their_ids(client: Dialect) -> None:
    said = heard(
        client,
        chunk(tool_calls=[piece("a", "f", '{"x"')]),
        chunk(tool_calls=[piece(None, None, ": 1}")]),
        chunk(tool_calls=[piece("b", "g", '{"y"')]),
        chunk(tool_calls=[piece("b", None, ": 2}")]),
        chunk("tool_calls"),
    )
    assert names(said) == [("f", {"x": 1}), ("g", {"y": 2})]
    assert (said.finish, said.complete) == ("tools", True)


@pytest.mark.parametrize("client", WITH_IDS, ids=lambda one: one.name)
def test_calls_without_an_index_in_one_chunk_are_told_apart_by_their_places(client: Dialect) -> None:
    both = [piece("", "f", "{}"), piece("", "g", '{"y": 2}')]
    assert names(heard(client, chunk(tool_calls=both), chunk("tool_calls"))) == [("f", {}), ("g", {"y": 2})]


@clients
def test_calls_without_arguments_have_empty_ones(client: Dialect) -> None:
    calls = [piece("a", "f", "", index=0), piece("b", "g", "", index=1)]
    said = heard(client, chunk(tool_calls=calls), chunk("stop"))
    assert said.calls == (Call("a", "f", {}), Call("b", "g", {}))
    assert said.finish == "tools", "whatever the server says of the end"


@clients
def test_everything_in_one_chunk(client: Dialect) -> None:
    all_at_once = chunk("tool_calls", role="assistant", content="I look.", tool_calls=[piece("a", "f", "{}", index=1)])
    said = heard(client, all_at_once | {"usage": USAGE}, usage=False)
    assert (said.text, names(said), said.finish, said.usage) == ("I look.", [("f", {})], "tools", (11, 7))


@clients
@pytest.mark.parametrize("place", [0, 1, 2])
def test_usage_counts_wherever_it_comes(client: Dialect, place: int) -> None:
    told = [chunk(content="a"), chunk("stop")]
    told.insert(place, {**HEAD, "choices": [], "usage": USAGE})
    said = heard(client, *told, usage=False)
    assert (said.text, said.usage, said.complete) == ("a", (11, 7), True)


@clients
def test_of_several_answers_the_first_is_heard_wherever_it_stands(client: Dialect) -> None:
    def choice(index: int, text: str) -> dict[str, Any]:
        return {"index": index, "finish_reason": "stop", "message": {"role": "assistant", "content": text}}

    body = {"id": "c", "object": "chat.completion", "created": 1, "model": "m", "usage": USAGE}
    told = {**body, "choices": [choice(1, "second"), choice(0, "first")]}
    response = CHAT.decode_response(json.dumps(told).encode())
    written = get_format(client.name).encode_response(response)
    if client.name != "gemini-generate-content":  # which has a place for all of them
        assert client.hear(written).text == "first"
    assert response.text == "first"


@clients
def test_a_whole_call_without_arguments_has_empty_ones(client: Dialect) -> None:
    message = {"role": "assistant", "content": None, "tool_calls": [piece("a", "f", "")]}
    choice = {"index": 0, "finish_reason": "tool_calls", "message": message}
    told = {"id": "c", "object": "chat.completion", "created": 1, "model": "m", "choices": [choice], "usage": USAGE}
    written = get_format(client.name).encode_response(CHAT.decode_response(json.dumps(told).encode()))
    assert client.hear(written).calls == (Call("a", "f", {}),)


@pytest.mark.parametrize("provider", CLIENTS, ids=lambda one: one.name)
@pytest.mark.parametrize("said", [Said(text="Hi there"), Said(calls=[Call("c", "f", {})], finish="tools"), Said()])
async def test_a_stream_of_chat_says_once_whose_it_is(provider: Dialect, said: Said) -> None:
    """OpenAI's libraries demand a role, and join what comes twice: ``assistantassistant``."""
    raw = b"".join(provider.events(said))
    reader, encoder = get_format(provider.name).stream_reader(), CHAT.stream_encoder()
    told = b"".join(encoder.encode(chunk) for chunk in reader.decode(raw)).decode()
    events = [json.loads(line[6:]) for line in told.split("\n") if line.startswith("data: {")]
    roles = [choice["delta"].get("role") for event in events for choice in event["choices"]]
    assert (roles[0], set(roles[1:]) - {None}) == ("assistant", set())
    state: ChatCompletionStreamState[None] = ChatCompletionStreamState()
    for event in events:
        state.handle_chunk(ChatCompletionChunk.model_validate(event))
    message = state.get_final_completion().choices[0].message
    assert message.role == "assistant"
    assert (message.content or "") == said.text


@pytest.mark.parametrize("stream", [False, True])
async def test_an_answer_without_any_id_has_that_of_its_exchange(stream: bool) -> None:
    value = {"candidates": [{"content": {"role": "model", "parts": [{"text": "Noon."}]}, "finishReason": "STOP"}]}
    bodies: list[str] = []
    async with FakeUpstream() as upstream:
        provider = {"base-url": upstream.url, "format": "gemini-generate-content"}
        async with loopback({"providers": {"one": provider}}) as gateway:
            for path in ("/v1/chat/completions", "/v1/messages", "/v1/responses"):
                if stream:
                    upstream.stream([f"data: {json.dumps(value)}\n\n".encode()], end="eof")
                else:
                    upstream.answer(body=json.dumps(value).encode(), headers={"content-type": "application/json"})
                asked = {"input": "?"} if path.endswith("responses") else {"messages": MESSAGES, "max_tokens": 99}
                reply = await gateway.post({"model": "one/g", "stream": stream, **asked}, path)
                assert reply.status == 200, reply.body
                bodies.append(reply.body.decode().replace('"resp_', '"'))
            for record, body in zip(await gateway.recorded(3), bodies, strict=True):
                assert f'"id":"{record.id}"' in body
