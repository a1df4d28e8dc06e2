"""The real ``openai`` SDK's ``responses``: relayed, translated for chat and for Anthropic, over turns as Codex asks."""

from __future__ import annotations

import asyncio
import json

import anthropic
import openai
import pytest
from openai.types.responses import Response, ResponseStreamEvent
from pydantic import BaseModel, TypeAdapter

from end_to_end.loopback import loopback
from end_to_end.test_anthropic_sdk import (
    CALL as CLAUDES_CALL,
    TEXT as CLAUDES_TEXT,
    THOUGHT,
    ShoutingPlugin,
    message_events,
)
from formats.openai_responses.recorded import FRAMES, OUTPUT, RESPONSE, TEXT, USAGE, end, numbered, start, text
from llmgate import Pipeline
from llmgate.testing.upstream import FakeUpstream, chat_events

EVENTS: TypeAdapter[ResponseStreamEvent] = TypeAdapter(ResponseStreamEvent)
MODELS = ["openai/gpt-x", "groqlike/gpt-oss", "anthropic/claude-sonnet-4-5"]
ANSWER = {
    **RESPONSE,
    "status": "completed",
    "usage": USAGE,
    "output": [
        {
            "id": "msg_1",
            "type": "message",
            "role": "assistant",
            "status": "completed",
            "content": [{"type": "output_text", "text": "Hello", "annotations": []}],
        }
    ],
}


@pytest.fixture
async def three():
    """A gateway whose providers speak Responses, chat, and Anthropic's Messages."""
    async with FakeUpstream() as native, FakeUpstream() as chat, FakeUpstream() as claude:
        settings = {
            "providers": {
                "openai": {"base-url": native.base_url},
                "groqlike": {"base-url": chat.base_url, "format": "openai-chat"},
                "anthropic": {"base-url": claude.base_url},
            }
        }
        async with loopback(settings) as one:
            yield one, native, chat, claude


def client_of(one, path: str = "/v1", **options) -> openai.AsyncOpenAI:
    return openai.AsyncOpenAI(
        base_url=f"http://127.0.0.1:{one.port}{path}", api_key="mine", max_retries=0, timeout=20, **options
    )


@pytest.mark.parametrize("path", ["/v1", "/ai", "/as/openai", "/as/openai/v1", "/openai/v1"])
async def test_a_whole_answer_is_relayed_as_it_is(three, path):
    one, native, _, _ = three
    native.answer(200, json=ANSWER, headers={"x-ratelimit-remaining-tokens": "9"})
    model = "gpt-x" if path == "/openai/v1" else "openai/gpt-x"
    async with client_of(one, path) as client:
        raw = await client.responses.with_raw_response.create(model=model, input="hi", extra_body={"future": [1]})
    assert json.loads(raw.text) == ANSWER
    assert raw.headers["x-ratelimit-remaining-tokens"] == "9"
    received = native.requests[0]
    assert received.path == "/v1/responses"
    assert json.loads(received.body) == {"input": "hi", "model": "gpt-x", "future": [1]}
    (record,) = await one.recorded()
    assert (record.usage.reasoning, record.usage.cache_read, record.response_id) == (7, 5, "resp_1")


async def test_a_stream_is_relayed_byte_for_byte(three):
    one, native, _, _ = three
    native.stream(FRAMES, end="eof")
    async with (
        client_of(one) as client,
        client.responses.with_streaming_response.create(model="openai/gpt-x", input="hi", stream=True) as raw,
    ):
        assert b"".join([piece async for piece in raw.iter_bytes()]) == b"".join(FRAMES)


async def test_the_stream_helper_reads_a_relayed_stream(three):
    one, native, _, _ = three
    native.stream(FRAMES, end="eof")
    async with client_of(one) as client, client.responses.stream(model="openai/gpt-x", input="hi") as stream:
        final = await stream.get_final_response()
    assert final.output_text == TEXT


@pytest.mark.parametrize("model", MODELS[1:])
async def test_a_translated_stream_is_valid_event_by_event(three, model):
    one, _, chat, claude = three
    chat.stream(chat_events("Hello wörld \u2028", usage={"prompt_tokens": 2, "completion_tokens": 3}))
    claude.stream(message_events(THOUGHT, CLAUDES_TEXT), end="eof")
    async with (
        client_of(one) as client,
        client.responses.stream(model=model, input="hi", instructions="Be brief.") as stream,
    ):
        events = [event async for event in stream]
        final = await stream.get_final_response()
    assert final.output_text == "Hello wörld \u2028"
    assert (events[0].type, events[1].type, events[-1].type) == (
        "response.created",
        "response.in_progress",
        "response.completed",
    )
    assert [event.sequence_number for event in events] == list(range(len(events)))
    assert (final.status, final.instructions, final.created_at > 0) == ("completed", "Be brief.", True)
    Response.model_validate(final.model_dump(exclude_none=True, warnings=False))
    assert final.usage.output_tokens > 0


class City(BaseModel):
    name: str


@pytest.mark.parametrize("model", MODELS)
async def test_an_answer_of_a_given_shape_is_parsed(three, model):
    one, native, chat, claude = three
    said = '{"name":"Oslo"}'
    output = [{**ANSWER["output"][0], "content": [{"type": "output_text", "text": said, "annotations": []}]}]
    native.answer(200, json={**ANSWER, "output": output})
    message = {"role": "assistant", "content": said}
    chat.answer(
        200, json={"id": "c", "model": "m", "choices": [{"index": 0, "message": message, "finish_reason": "stop"}]}
    )
    blocks = [{"type": "text", "text": said}]
    claude.answer(200, json={"id": "msg_9", "type": "message", "role": "assistant", "model": "c", "content": blocks,
                             "stop_reason": "end_turn", "usage": {"input_tokens": 1, "output_tokens": 2}})  # fmt: skip
    async with client_of(one) as client:
        answer = await client.responses.parse(model=model, input="Which city?", text_format=City)
    assert answer.output_parsed == City(name="Oslo")


TOOLS = [
    {"type": "function", "name": "weather", "description": "W", "strict": False,
     "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}},
    {"type": "custom", "name": "apply_patch", "description": "Edit files.",
     "format": {"type": "grammar", "syntax": "lark", "definition": "start: x"}},
    {"type": "namespace", "name": "multi_agent_v1", "description": "Agents", "tools": [
        {"type": "function", "name": "spawn", "description": "S", "strict": False,
         "parameters": {"type": "object", "properties": {}}}]},
    {"type": "web_search", "external_web_access": False},
]  # fmt: skip


def codex(model: str, *items: dict) -> dict:
    """A request as Codex makes it."""
    context = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "<environment_context/>"}]}
    rules = {"type": "message", "role": "developer", "content": [{"type": "input_text", "text": "<permissions/>"}]}
    task = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "Do it."}]}
    return {
        "model": model,
        "instructions": "You are Codex.",
        "input": [rules, context, task, *items],
        "tools": TOOLS,
        "tool_choice": "auto",
        "parallel_tool_calls": True,
        "reasoning": {"effort": "medium", "summary": "auto"},
        "store": False,
        "stream": True,
        "include": ["reasoning.encrypted_content"],
        "prompt_cache_key": "0199",
        "text": {"verbosity": "medium"},
        "client_metadata": {"x-codex-installation-id": "1"},
    }


def finished(body: bytes) -> list[dict]:
    """The items that are done, as Codex gathers them; each event proved by the SDK's types."""
    items = []
    for event in body.split(b"\n\n")[:-1]:
        value = json.loads(event.partition(b"data: ")[2])
        EVENTS.validate_python(value)
        if value["type"] == "response.output_item.done":
            items.append(value["item"])
    assert value["type"] == "response.completed"
    usage = value["response"]["usage"]
    assert usage is None or usage.keys() >= {"input_tokens", "output_tokens", "total_tokens"}
    return items


PATCH_CALL = (
    {"type": "tool_use", "id": "toolu_2", "name": "apply_patch", "input": {}},
    [{"type": "input_json_delta", "partial_json": piece} for piece in ('{"input": "*** Be', 'gin\\nPatch"}')],
)
SPAWN_CALL = ({"type": "tool_use", "id": "toolu_3", "name": "multi_agent_v1__spawn", "input": {}}, [])


async def test_codex_works_with_a_model_of_anthropics_over_turns(three):
    one, _, _, claude = three
    model = "anthropic/claude-sonnet-4-5"
    claude.stream(message_events(THOUGHT, CLAUDES_CALL, PATCH_CALL, SPAWN_CALL, stop="tool_use"), end="eof")
    claude.stream(message_events(CLAUDES_TEXT), end="eof")
    first = await one.post(codex(model), "/v1/responses")
    items = finished(first.body)
    assert [item["type"] for item in items] == ["reasoning", "function_call", "custom_tool_call", "function_call"]
    assert (items[2]["name"], items[2]["input"]) == ("apply_patch", "*** Begin\nPatch")
    assert (items[3]["namespace"], items[3]["name"], items[3]["arguments"]) == ("multi_agent_v1", "spawn", "{}")
    results = [
        {"type": "function_call_output", "call_id": "toolu_1", "output": "rain"},
        {"type": "custom_tool_call_output", "call_id": "toolu_2", "output": "Success."},
        {"type": "function_call_output", "call_id": "toolu_3", "output": "agent 1"},
    ]
    second = await one.post(codex(model, *items, *results), "/v1/responses")
    assert finished(second.body)[0]["content"][0]["text"] == "Hello wörld \u2028"
    assert set(second.headers["llmgate-dropped-params"].split(", ")) == {
        "client_metadata",
        "prompt_cache_key",
        "tools.web_search",
    }
    sent = [json.loads(received.body) for received in claude.requests]
    assert [tool["name"] for tool in sent[0]["tools"]] == ["weather", "apply_patch", "multi_agent_v1__spawn"]
    assert "start: x" in sent[0]["tools"][1]["description"]
    assert [turn["role"] for turn in sent[1]["messages"]] == ["user", "assistant", "user"]
    thought, *calls = sent[1]["messages"][1]["content"]
    assert thought == {"type": "thinking", "thinking": "Hm.", "signature": "c2ln=="}
    assert [call["input"] for call in calls] == [{"city": "Oslo"}, {"input": "*** Begin\nPatch"}, {}]
    assert [block["tool_use_id"] for block in sent[1]["messages"][2]["content"]] == ["toolu_1", "toolu_2", "toolu_3"]


async def test_codex_works_with_a_model_behind_chat_and_gives_its_thoughts_back(three):
    one, _, chat, _ = three

    def delta(finish: str | None = None, **fields: object) -> dict:
        head = {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m"}
        return {**head, "choices": [{"index": 0, "delta": fields, "finish_reason": finish}]}

    call = {
        "index": 0,
        "id": "call_1",
        "type": "function",
        "function": {"name": "apply_patch", "arguments": '{"input":"x"}'},
    }
    chat.stream([delta(reasoning_content="Let me "), delta(reasoning_content="see."), delta(tool_calls=[call]),
                 delta("tool_calls")])  # fmt: skip
    chat.stream(chat_events("Done now"))
    first = await one.post(codex("groqlike/gpt-oss"), "/v1/responses")
    items = finished(first.body)
    assert items[0]["summary"] == [{"type": "summary_text", "text": "Let me see."}]
    assert (items[1]["type"], items[1]["input"]) == ("custom_tool_call", "x")
    result = {"type": "custom_tool_call_output", "call_id": "call_1", "output": "ok"}
    second = await one.post(codex("groqlike/gpt-oss", *items, result), "/v1/responses")
    assert finished(second.body)[0]["content"][0]["text"] == "Done now"
    sent = json.loads(chat.requests[1].body)
    assert [turn["role"] for turn in sent["messages"]] == ["system", "system", "user", "user", "assistant", "tool"]
    assert sent["messages"][4]["reasoning_content"] == "Let me see."
    assert sent["messages"][4]["tool_calls"][0]["function"] == {"name": "apply_patch", "arguments": '{"input":"x"}'}


async def test_a_session_that_moves_to_openai_leaves_the_others_proofs_behind(three):
    one, native, _, claude = three
    claude.stream(message_events(THOUGHT, CLAUDES_TEXT), end="eof")
    items = finished((await one.post(codex("anthropic/claude-sonnet-4-5"), "/v1/responses")).body)
    native.stream(FRAMES, end="eof")
    moved = codex("openai/gpt-x", *items)
    await one.post(moved, "/v1/responses")
    assert b"llmgate" not in native.requests[0].body
    sent = json.loads(native.requests[0].body)
    assert [item["type"] for item in sent["input"]] == ["message"] * 4
    assert {**sent, "input": 0, "model": 0} == {**moved, "input": 0, "model": 0}


async def test_what_a_provider_has_kept(three):
    one, native, _, _ = three
    native.answer(200, json=ANSWER)
    native.answer(200, json={**ANSWER, "status": "cancelled"})
    native.answer(200, json={"object": "list", "data": [], "has_more": False})
    native.answer(200, json={"id": "resp_1", "object": "response", "deleted": True})
    native.answer(200, json={"object": "response.input_tokens", "input_tokens": 11})
    native.answer(
        200, json={"id": "resp_2", "object": "response.compaction", "created_at": 1, "output": [], "usage": USAGE}
    )
    async with client_of(one) as client:
        assert (await client.responses.retrieve("resp_1", include=["reasoning.encrypted_content"])).id == "resp_1"
        assert (await client.responses.cancel("resp_1", extra_query={"provider": "openai"})).status == "cancelled"
        assert [item async for item in await client.responses.input_items.list("resp_1")] == []
        await client.responses.delete("resp_1")
        counted = await client.responses.input_tokens.count(model="openai/gpt-x", input="hi")
        assert counted.input_tokens == 11
        assert (await client.responses.compact(model="openai/gpt-x", input="hi")).id == "resp_2"
    assert [(one.method, one.path.partition("?")[0]) for one in native.requests] == [
        ("GET", "/v1/responses/resp_1"),
        ("POST", "/v1/responses/resp_1/cancel"),
        ("GET", "/v1/responses/resp_1/input_items"),
        ("DELETE", "/v1/responses/resp_1"),
        ("POST", "/v1/responses/input_tokens"),
        ("POST", "/v1/responses/compact"),
    ]
    assert "provider" not in native.requests[1].path
    assert native.requests[0].headers["authorization"] == "Bearer secret-of-openai"
    assert json.loads(native.requests[4].body)["model"] == "gpt-x"


async def test_a_kept_stream_is_taken_up_again(three):
    one, native, _, _ = three
    native.stream(FRAMES, end="eof")
    async with client_of(one) as client:
        events = [event async for event in await client.responses.retrieve("resp_1", stream=True, starting_after=0)]
    assert events[-1].type == "response.completed"
    assert "stream=true" in native.requests[0].path


async def test_whose_it_is_must_be_clear():
    async with FakeUpstream() as first, FakeUpstream() as second:
        settings = {
            "providers": {"openai": {"base-url": first.base_url}, "groq": {"base-url": second.base_url}},
            "routers": {"both": {"load-balance": {"chat": {"strategy": "weighted", "providers": [
                {"provider": "openai", "weight": 0.5}, {"provider": "groq", "weight": 0.5}]}},
                "model-mappings": {"x": ["openai/x", "groq/x"]}}},
        }  # fmt: skip
        async with loopback(settings) as one:
            async with client_of(one) as client, client_of(one, "/groq/v1") as plain:
                with pytest.raises(openai.BadRequestError) as unclear:
                    await client.responses.retrieve("resp_1")
                assert unclear.value.code == "ambiguous_provider"
                assert "?provider=openai" in unclear.value.message
                second.answer(200, json=ANSWER)
                second.answer(200, json=ANSWER)
                second.answer(200, json=ANSWER)
                await client.responses.retrieve("resp_1", extra_query={"provider": "groq"})
                await plain.responses.retrieve("resp_1")
                await client.responses.create(model="groq/x", input="on", previous_response_id="resp_1")
                with pytest.raises(openai.NotFoundError):
                    await client.responses.retrieve("resp_1", extra_query={"provider": "nobody"})
                with pytest.raises(openai.BadRequestError):
                    await client.responses.retrieve("resp_1%2F..", extra_query={"provider": "groq"})
            async with client_of(one, "/router/both/v1") as client:
                with pytest.raises(openai.BadRequestError) as unclear:
                    await client.responses.create(model="x", input="on", previous_response_id="resp_1")
                assert (unclear.value.code, unclear.value.param) == ("ambiguous_provider", "previous_response_id")
            assert (len(first.requests), len(second.requests)) == (0, 3)


@pytest.mark.parametrize("model", MODELS[1:])
async def test_what_is_kept_nowhere_is_refused_with_the_remedy(three, model):
    one, *_ = three
    async with client_of(one) as client:
        with pytest.raises(openai.BadRequestError, match="send the whole conversation") as refused:
            await client.responses.create(model=model, input="on", previous_response_id="resp_1")
        assert (refused.value.code, refused.value.param) == ("unsupported_parameter", "previous_response_id")
        with pytest.raises(openai.BadRequestError) as refused:
            await client.responses.create(model=model, input="on", tools=[{"type": "web_search"}])
        assert refused.value.param == "tools"
        with pytest.raises(openai.NotFoundError):
            await client.responses.input_tokens.count(model=model, input="hi")


async def test_a_stream_that_breaks_fails_the_response_and_goes_on_with_its_numbers(three):
    one, native, _, claude = three
    broken = numbered([*start(), *text(0, "Hel", "lo")])[:5]
    native.stream(broken, end="cut")
    claude.stream(message_events(CLAUDES_TEXT)[:-2], end="eof")
    for model in ("openai/gpt-x", "anthropic/claude-sonnet-4-5"):
        reply = await one.post({"model": model, "input": "hi", "stream": True}, "/v1/responses")
        values = [json.loads(event.partition(b"data: ")[2]) for event in reply.events]
        assert [value["sequence_number"] for value in values] == list(range(len(values)))
        assert (values[-1]["type"], values[-1]["response"]["status"]) == ("response.failed", "failed")
        assert values[-1]["response"]["id"] == values[0]["response"]["id"]
        assert values[-1]["response"]["error"]["code"] == "server_error"
        EVENTS.validate_python(values[-1])


async def test_an_error_before_anything_is_an_answer_with_its_status(three):
    one, native, _, claude = three
    failed = {**RESPONSE, "status": "failed", "error": {"code": "rate_limit_exceeded", "message": "slow down"}}
    native.stream(numbered([*start(), ("response.failed", {"response": failed})]), end="eof")
    claude.answer(429, json={"type": "error", "error": {"type": "rate_limit_error", "message": "slow"}})
    async with client_of(one) as client:
        for model in ("openai/gpt-x", "anthropic/claude-sonnet-4-5"):
            with pytest.raises(openai.RateLimitError):
                await client.responses.create(model=model, input="hi", stream=True)


async def test_a_silent_stream_gets_signs_of_life_that_its_client_understands():
    async with FakeUpstream() as native:
        settings = {
            "providers": {"openai": {"base-url": native.base_url}},
            "stream": {"commit-after": "50ms", "heartbeat": "50ms"},
        }
        async with loopback(settings) as one:
            frames = numbered([*start(), *text(0, "Hello"), *end(output=ANSWER["output"])])
            native.stream(frames, end="eof", delay=0.1)
            reply = await one.post({"model": "openai/gpt-x", "input": "hi", "stream": True}, "/v1/responses")
            assert reply.body.startswith(b"event: keepalive\n")
            assert frames[-1] in reply.body
            native.stream(frames, end="eof", delay=0.1)
            async with client_of(one) as client, client.responses.stream(model="openai/gpt-x", input="hi") as stream:
                assert (await stream.get_final_response()).output_text == "Hello"


async def test_in_process():
    async with FakeUpstream() as chat:
        chat.answer(200, json={"id": "c", "model": "m", "choices": [
            {"index": 0, "message": {"role": "assistant", "content": "Hello"}, "finish_reason": "stop"}],
            "usage": {"prompt_tokens": 1, "completion_tokens": 2}})  # fmt: skip
        settings = {"providers": {"mine": {"base-url": chat.base_url, "format": "openai-chat"}}}
        async with Pipeline.from_config(settings, environment={"MINE_API_KEY": "k"}) as pipeline:
            answer = await pipeline.respond(model="mine/m", input="hi", instructions="Be brief.")
            assert (answer.text, answer.raw["object"], answer.raw["instructions"]) == ("Hello", "response", "Be brief.")
            Response.model_validate(answer.raw)
            assert answer.usage.output_tokens == 2
            with pytest.raises(TypeError, match="model="):
                await pipeline.respond(input="hi")
            with pytest.raises(TypeError, match="stream"):
                await pipeline.respond(model="m", input="hi", stream=True)


@pytest.mark.parametrize("model", MODELS)
async def test_a_stream_in_process_has_the_events_of_responses(model):
    async with FakeUpstream() as native, FakeUpstream() as chat, FakeUpstream() as claude:
        native.stream(numbered([*start(), *text(0, "Hello"), *end(output=ANSWER["output"])]), end="eof")
        chat.stream(chat_events("Hello there"))
        claude.stream(message_events(CLAUDES_TEXT), end="eof")
        settings = {
            "providers": {
                "openai": {"base-url": native.base_url},
                "groqlike": {"base-url": chat.base_url, "format": "openai-chat"},
                "anthropic": {"base-url": claude.base_url},
            }
        }
        keys = {"OPENAI_API_KEY": "k", "GROQLIKE_API_KEY": "k", "ANTHROPIC_API_KEY": "k"}
        async with Pipeline.from_config(settings, environment=keys) as pipeline:
            async with pipeline.stream_response(model=model, input="hi", instructions="Be brief.") as stream:
                events = [EVENTS.validate_python(event) async for event in stream]
            assert (events[0].type, events[-1].type) == ("response.created", "response.completed")
            assert stream.text == events[-1].response.output_text != ""
            assert (stream.exchange.outcome, stream.usage) == ("ok", stream.exchange.usage)
            with pytest.raises(TypeError, match="model="):
                async with pipeline.stream_response(input="hi"):
                    pass
            with pytest.raises(TypeError, match="respond"):
                async with pipeline.stream_response(model=model, input="hi", stream=False):
                    pass


def test_the_synchronous_client(tmp_path):
    async def serve() -> str:
        async with FakeUpstream() as native:
            native.answer(200, json=ANSWER)
            async with loopback({"providers": {"openai": {"base-url": native.base_url}}}) as one:

                def ask() -> str:
                    url = f"http://127.0.0.1:{one.port}/v1"
                    with openai.OpenAI(base_url=url, api_key="mine", max_retries=0, timeout=20) as client:
                        return client.responses.create(model="openai/gpt-x", input="hi").output_text

                return await asyncio.to_thread(ask)

    assert asyncio.run(serve()) == "Hello"


async def test_a_word_that_a_stage_has_changed_comes_back_in_no_later_event():
    async with FakeUpstream() as native:
        settings = {"providers": {"openai": {"base-url": native.base_url}}, "interceptors": [{"use": "shouting"}]}
        async with loopback(settings, plugins=[ShoutingPlugin()]) as one, client_of(one) as client:
            native.stream(FRAMES, end="eof")
            async with client.responses.stream(model="openai/gpt-x", input="hi") as stream:
                events = [event async for event in stream]
                final = await stream.get_final_response()
    assert final.output_text == f"HEL{TEXT.removeprefix('Hel')}"
    assert [event.text for event in events if event.type == "response.output_text.done"] == [final.output_text]
    assert (final.id, final.usage.total_tokens) == ("resp_1", 35)


@pytest.fixture
async def only():
    """A gateway whose one provider speaks Responses and nothing else."""
    async with FakeUpstream() as native:
        settings = {"providers": {"mine": {"base-url": native.base_url, "format": "openai-responses"}}}
        async with loopback(settings) as one:
            yield one, native


@pytest.mark.parametrize("streamed", [False, True])
async def test_clients_of_chat_reach_a_provider_that_speaks_responses_only(only, streamed):
    one, native = only
    if streamed:
        native.stream(FRAMES, end="eof")
    else:
        native.answer(200, json={**ANSWER, "output": OUTPUT})
    asked = {"model": "mine/gpt-6-sol", "messages": [{"role": "user", "content": "hi"}], "seed": 3}
    url = f"http://127.0.0.1:{one.port}/v1"
    async with openai.AsyncOpenAI(base_url=url, api_key="mine", max_retries=0, timeout=20) as client:
        if streamed:
            options = {"stream": True, "stream_options": {"include_usage": True}}
            chunks = [chunk async for chunk in await client.chat.completions.create(**asked, **options)]
            deltas = [chunk.choices[0].delta for chunk in chunks if chunk.choices]
            calls = [call for delta in deltas for call in delta.tool_calls or ()]
            said = "".join(delta.content or "" for delta in deltas)
            arguments = "".join(call.function.arguments or "" for call in calls if call.index == 0)
            finish, usage = [chunk.choices[0].finish_reason for chunk in chunks if chunk.choices][-1], chunks[-1].usage
        else:
            answer = await client.chat.completions.create(**asked)
            message = answer.choices[0].message
            said, arguments = message.content, message.tool_calls[0].function.arguments
            finish, usage = answer.choices[0].finish_reason, answer.usage
    assert (said, arguments, finish) == (TEXT, '{"city": "Zü"}', "tool_calls")
    assert (usage.prompt_tokens, usage.completion_tokens_details.reasoning_tokens) == (15, 7)
    sent = json.loads(native.requests[0].body)
    assert native.requests[0].path == "/v1/responses"
    assert (sent["store"], sent["include"], "seed" in sent) == (False, ["reasoning.encrypted_content"], False)


@pytest.mark.parametrize("streamed", [False, True])
async def test_clients_of_anthropics_keep_what_openai_has_encrypted(only, streamed):
    one, native = only
    if streamed:
        native.stream(FRAMES, end="eof")
    else:
        native.answer(200, json={**ANSWER, "output": OUTPUT})
    native.answer(200, json=ANSWER)
    tool = {"name": "weather", "input_schema": {"type": "object", "properties": {}}}
    asked = {"model": "mine/gpt-6-sol", "max_tokens": 64, "tools": [tool, {**tool, "name": "now"}]}
    hello = {"role": "user", "content": "hi"}
    url = f"http://127.0.0.1:{one.port}"
    async with anthropic.AsyncAnthropic(base_url=url, api_key="mine", max_retries=0, timeout=20) as client:
        if streamed:
            async with client.messages.stream(messages=[hello], **asked) as stream:
                message = await stream.get_final_message()
        else:
            message = await client.messages.create(messages=[hello], **asked)
        assert [block.type for block in message.content] == ["thinking", "text", *["tool_use"] * 3]
        assert message.content[0].signature == "openai-responses:rs_1:gAAAA=="
        results = [
            {"type": "tool_result", "tool_use_id": block.id, "content": "ok"}
            for block in message.content
            if block.type == "tool_use"
        ]
        await client.messages.create(
            messages=[hello, message.to_param(), {"role": "user", "content": results}], **asked
        )
    sent = json.loads(native.requests[-1].body)["input"]
    assert sent[1] == {
        "type": "reasoning",
        "id": "rs_1",
        "summary": [{"type": "summary_text", "text": "Hm.\n\nm é \u2028"}],
        "encrypted_content": "gAAAA==",
    }
    assert [item["type"] for item in sent[2:]] == ["message", *["function_call"] * 3, *["function_call_output"] * 3]
