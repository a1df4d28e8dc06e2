"""Canonical → wire → canonical is the identity on the fields that the format declares; hostile input stays declared."""

from __future__ import annotations

import contextlib
import json

import attrs
import pytest
from hypothesis import given, settings, strategies as st

from formats.openai_responses.recorded import OUTPUT, RESPONSE, USAGE
from llmgate.formats import get_format
from llmgate.spec import (
    Blob,
    ChatChoice,
    ChatRequest,
    ChatResponse,
    FileRef,
    FinishReason,
    InvalidRequestError,
    Message,
    OutputFormat,
    ProviderProtocolError,
    ProviderRateLimitError,
    Reasoning,
    Role,
    Text,
    ToolCall,
    ToolCallResponse,
    ToolChoice,
    ToolDefinition,
    Unknown,
    Uri,
    Usage,
)

FORMAT = get_format("openai-responses")

words = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
names = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=12)
scalars = st.none() | st.booleans() | st.integers(-(2**63), 2**64) | st.floats(-1e9, 1e9) | words
json_values = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=2) | st.dictionaries(words, inner, max_size=2), max_leaves=4
)
json_objects = st.dictionaries(words, json_values, max_size=2)
more = st.sampled_from([{}, {"x_more": [1]}])
maybe = st.none()
numbers = st.floats(0, 1) | st.integers(0, 1)

texts = st.builds(Text, words, extra=more)
pictures = st.sampled_from([{}, {"image_url": {"detail": "high"}}, {"x_more": 1}])
titles = st.sampled_from([{}, {"file": {"filename": "a.pdf"}}])
media = st.one_of(
    st.builds(Blob, st.just("image"), st.just("image/png"), st.just("aGVsbG8="), extra=pictures),
    st.builds(Blob, st.just("document"), st.just("application/pdf"), st.just("aGVsbG8="), extra=titles),
    st.builds(Blob, st.just("audio"), st.sampled_from(["audio/wav", "audio/mpeg"]), st.just("aGVsbG8="), extra=more),
    st.builds(Uri, st.just("image"), names.map(lambda name: f"https://h/{name}"), extra=pictures),
    st.builds(Uri, st.just("document"), names.map(lambda name: f"https://h/{name}"), extra=titles),
    st.builds(FileRef, st.sampled_from(["image", "document"]), names, extra=more),
    st.builds(lambda value: Unknown(FORMAT.name, {"part": {**value, "type": "x_future"}}), json_objects),
)
calls = st.builds(ToolCall, names, names, words, extra=st.sampled_from([{}, {"id": "fc_1", "status": "completed"}]))
customs = st.builds(
    lambda call_id, name, text: ToolCall(
        call_id,
        name,
        json.dumps({"input": text}, separators=(",", ":"), ensure_ascii=False),
        extra={"own": {"type": "custom_tool_call", "id": "ctc_1", "call_id": call_id, "name": name, "input": text}},
    ),
    names,
    names,
    words,
)
thoughts = st.builds(
    lambda text, secret: Reasoning(
        text,
        f"openai-responses:rs_1:{secret}",
        extra={
            "item": {
                "id": "rs_1",
                "type": "reasoning",
                "summary": [{"type": "summary_text", "text": text}],
                "encrypted_content": secret,
            }
        },
    ),
    names,
    st.just("gAAA=="),
)
spoken = st.builds(lambda text, extra, item: Text(text, {**extra, "item": item}), words, more,
                   st.sampled_from([{}, {"id": "msg_1", "status": "completed", "phase": "commentary"}]))  # fmt: skip
items = st.builds(lambda value: Unknown(FORMAT.name, {**value, "type": "web_search_call"}), json_objects)
results = st.builds(
    ToolCallResponse,
    names,
    st.lists(texts | media, min_size=1, max_size=2).map(tuple),
    extra=st.sampled_from([{}, {"id": "fco_1"}, {"own": {"type": "custom_tool_call_output", "name": "call_id"}}]),
)


def turns(role, parts, **fields):
    return st.builds(Message, st.just(role), st.lists(parts, min_size=1, max_size=3).map(tuple), **fields)


rounds = st.builds(
    lambda one, two: (one, two),
    turns(Role.ASSISTANT, calls | customs | thoughts | items | spoken),
    turns(Role.USER, texts | media, extra=st.sampled_from([{}, {"id": "msg_0"}]))
    | turns(Role.DEVELOPER, texts)
    | st.builds(lambda one: Message(Role.TOOL, (one,)), results),
)
conversations = st.builds(
    lambda system, first, rest: (*system, first, *(one for pair in rest for one in pair)),
    st.lists(
        st.builds(lambda text: Message(Role.SYSTEM, (Text(text),), extra={"place": "instructions"}), words), max_size=1
    ),
    turns(Role.USER, texts | media) | turns(Role.SYSTEM, texts),
    st.lists(rounds, max_size=2),
)
schemas = st.just({"type": "object", "properties": {}}) | json_objects
tools = (
    st.builds(
        ToolDefinition, names, description=maybe | words, parameters=maybe | schemas, strict=maybe | st.booleans(),
        extra=more,
    )
    | st.builds(lambda name, extra: ToolDefinition(name, extra={**extra, "type": "mcp", "name": name}), names, more)
    | st.builds(
        lambda name, schema: ToolDefinition(
            f"space__{name}", parameters=schema, extra={"namespace": {"name": "space", "description": "d"}}
        ),
        names,
        schemas,
    )
)  # fmt: skip
requests = st.builds(
    ChatRequest,
    model=names,
    messages=conversations,
    tools=st.lists(tools, max_size=3).map(tuple),
    tool_choice=maybe
    | st.sampled_from([ToolChoice("auto"), ToolChoice("required"), ToolChoice("none")])
    | st.builds(ToolChoice, st.just("named"), names),
    parallel_tool_calls=maybe | st.booleans(),
    output_format=maybe
    | st.sampled_from([OutputFormat("text"), OutputFormat("json")])
    | st.builds(OutputFormat, st.just("json_schema"), json_objects, names, maybe | st.booleans(), maybe | words),
    max_output_tokens=maybe | st.integers(1, 10**6),
    temperature=maybe | numbers,
    top_p=maybe | numbers,
    reasoning_effort=maybe | st.sampled_from(["none", "low", "medium", "ultra"]),
    user=maybe | words,
    service_tier=maybe | st.sampled_from(["auto", "flex"]),
    stream=st.booleans(),
    metadata=st.dictionaries(words, words, max_size=2),
    extra=st.dictionaries(words.map(lambda name: f"x_{name}"), json_values, max_size=2)
    | st.sampled_from([{"text": {"verbosity": "low"}, "reasoning": {"summary": "auto"}, "include": ["x"]}]),
    extra_format=st.just(FORMAT.name),
).map(lambda one: attrs.evolve(one, include_usage=one.stream))

counts = st.integers(0, 10**6)
responses = st.builds(
    ChatResponse,
    id=names,
    model=words,
    choices=st.builds(
        ChatChoice,
        st.just(0),
        st.lists(thoughts | items, max_size=3).map(lambda parts: Message(Role.ASSISTANT, tuple(parts))),
        st.sampled_from([FinishReason.STOP, FinishReason.LENGTH, FinishReason.CONTENT_FILTER]),
    ).map(lambda one: (one,)),
    usage=maybe | st.builds(Usage, counts, counts, counts, counts, maybe, counts),
    created=maybe | counts,
    extra=st.sampled_from([{}, {"future": {"kept": True}, "service_tier": "default"}]),
    extra_format=st.just(FORMAT.name),
)


@settings(max_examples=40)
@given(requests)
def test_requests_survive(request):
    body = FORMAT.encode_request(request)
    read = FORMAT.decode_request(body)
    assert read == request
    assert json.loads(FORMAT.encode_request(read)) == json.loads(body)
    head = FORMAT.peek(body)
    assert (head.model, head.stream, head.include_usage, head.user) == (
        request.model,
        request.stream,
        request.stream,
        request.user,
    )


@settings(max_examples=60)
@given(responses)
def test_responses_survive(response):
    body = FORMAT.encode_response(response)
    read = FORMAT.decode_response(body)
    said = {name: value for name, value in read.extra.items() if name not in ("status", "incomplete_details", "object")}
    assert attrs.evolve(read, extra=said) == response
    assert FORMAT.encode_response(read) == body
    usage = FORMAT.observe_response(body).usage
    assert (usage and attrs.evolve(usage, web_searches=None)) == response.usage


def test_a_documented_answer_survives_to_the_letter():
    value = {**RESPONSE, "status": "completed", "output": OUTPUT, "usage": USAGE}
    read = FORMAT.decode_response(json.dumps(value).encode())
    assert json.loads(FORMAT.encode_response(read)) == value
    parts = read.choices[0].message.parts
    assert [type(part).__name__ for part in parts] == [
        *("Reasoning", "Unknown", "Text"), *["ToolCall"] * 3,
    ]  # fmt: skip
    assert (read.finish_reason, read.usage.reasoning) == (FinishReason.TOOL_CALLS, 7)


def test_what_a_relay_sees_of_an_answer():
    value = {**RESPONSE, "status": "completed", "output": OUTPUT, "usage": USAGE}
    outcome = FORMAT.observe_response(json.dumps(value).encode())
    assert (outcome.response_id, outcome.model, outcome.content, outcome.complete) == ("resp_1", "gpt-x", True, True)
    begun = FORMAT.observe_response(json.dumps({**RESPONSE, "status": "queued"}).encode())
    assert (begun.finish_reason, begun.content, begun.complete, begun.error) == (None, False, True, None)
    failed = {**RESPONSE, "status": "failed", "error": {"code": "rate_limit_exceeded", "message": "slow down"}}
    error = FORMAT.observe_response(json.dumps(failed).encode()).error
    assert (error.message, error.status, json.loads(error.body)["error"]["code"]) == (
        "slow down",
        429,
        "rate_limit_exceeded",
    )
    assert FORMAT.observe_response(b'{"error":{"message":"no"}}').error.message == "no"


@pytest.mark.parametrize("body", [b"", b"[]", b"{}", b'{"output":1}', b'{"output":[1]}', b"\xff"])
def test_what_is_no_answer_is_refused(body):
    with pytest.raises(ProviderProtocolError, match="not a response"):
        FORMAT.observe_response(body)
    with pytest.raises(ProviderProtocolError, match="not a response"):
        FORMAT.decode_response(body)


@settings(max_examples=60)
@given(st.dictionaries(st.sampled_from(["model", "input", "tools", "text", "reasoning", "stream", "instructions",
                                        "tool_choice", "metadata", "user"]), json_values))  # fmt: skip
def test_hostile_requests_are_read_or_refused(value):
    with contextlib.suppress(InvalidRequestError):
        FORMAT.decode_request(json.dumps({"model": "m", **value}).encode())


members = st.sampled_from(
    ["type", "role", "content", "call_id", "id", "name", "output", "summary", "arguments", "input", "action"]
)
kinds = st.sampled_from(
    ["message", "reasoning", "function_call", "user", "assistant", "local_shell_call", "function_call_output"]
)


@settings(max_examples=40)
@given(st.lists(st.dictionaries(members, kinds | json_values)))
def test_hostile_items_are_read_or_refused(value):
    with contextlib.suppress(InvalidRequestError):
        FORMAT.decode_request(json.dumps({"model": "m", "input": value}).encode())


def test_errors_are_those_of_openai():
    error = ProviderRateLimitError("slow down", provider_name="p")
    assert json.loads(FORMAT.encode_error(error))["error"]["type"] == "rate_limit_error"
    detail = FORMAT.decode_error(429, {}, b'{"error":{"message":"no","type":"t","code":"c","param":"input"}}')
    assert (detail.message, detail.type, detail.code, detail.param) == ("no", "t", "c", "input")
    assert FORMAT.decode_error(502, {}, b"<html>") is None
