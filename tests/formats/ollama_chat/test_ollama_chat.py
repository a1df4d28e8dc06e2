"""Canonical → wire → canonical is the identity on the fields that the format declares; hostile input stays declared."""

from __future__ import annotations

import contextlib
import json

import attrs
import pytest
from hypothesis import given, settings, strategies as st

from llmgate.codecs import jsons
from llmgate.formats import get_format
from llmgate.spec import (
    Blob,
    ChatChoice,
    ChatRequest,
    ChatResponse,
    FinishReason,
    InvalidRequestError,
    Message,
    OutputFormat,
    ProviderProtocolError,
    RateLimitError,
    Reasoning,
    Role,
    Text,
    ToolCall,
    ToolCallResponse,
    ToolDefinition,
    Usage,
)

FORMAT = get_format("ollama-chat")
PNG = "iVBORw0KGgoAAAANSUhEUg=="

words = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
names = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=12)
scalars = st.none() | st.booleans() | st.integers(-(2**63), 2**64) | st.floats(-1e9, 1e9) | words
json_values = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=2) | st.dictionaries(words, inner, max_size=2), max_leaves=4
)
json_objects = st.dictionaries(words, json_values, max_size=2)
maybe = st.none()
numbers = st.floats(0, 1) | st.integers(0, 1)
extras = st.sampled_from([{}, {"x_more": [1]}])

arguments = json_objects.map(lambda value: jsons.dumps(value).decode())  # numbers as this writer writes them
pictures = st.just(Blob("image", "image/png", PNG))
said = st.lists(names.map(Text), min_size=1, max_size=1)


def spoken(role):
    return st.builds(
        lambda text, media, extra: Message(role, (*text, *media), extra=extra),
        said,
        st.lists(pictures, max_size=1),
        extras,
    )


answers = st.builds(
    lambda thought, text, calls, extra: Message(
        Role.ASSISTANT,
        (*thought, *text, *(attrs.evolve(call, id=f"{call.id}{index}") for index, call in enumerate(calls))),
        extra=extra,
    ),
    st.lists(names.map(Reasoning), max_size=1),
    said,
    st.lists(st.builds(ToolCall, names, names, arguments), max_size=2),
    extras,
)
results = st.builds(
    lambda call, text: Message(Role.TOOL, (ToolCallResponse(call, tuple(text)),)), names.map("r_{}".format), said
)
tools = st.builds(
    ToolDefinition,
    names,
    description=maybe | words,
    parameters=maybe | json_objects,
    extra=st.sampled_from([{}, {"function": {"x": 1}}]),
)
requests = st.builds(
    ChatRequest,
    model=names,
    messages=st.lists(spoken(Role.SYSTEM) | spoken(Role.USER) | answers | results, min_size=1, max_size=4).map(tuple),
    tools=st.lists(tools, max_size=2).map(tuple),
    output_format=maybe
    | st.just(OutputFormat("json"))
    | json_objects.map(lambda schema: OutputFormat("json_schema", schema=schema)),
    max_output_tokens=maybe | st.integers(1, 10**6),
    temperature=maybe | numbers,
    top_p=maybe | numbers,
    top_k=maybe | st.integers(0, 100),
    stop_sequences=st.lists(words, max_size=3).map(tuple),
    seed=maybe | st.integers(0, 2**31),
    frequency_penalty=maybe | numbers,
    presence_penalty=maybe | numbers,
    reasoning_effort=maybe | st.sampled_from(["none", "low", "medium", "high", "max"]),
    stream=st.booleans(),
    extra=st.dictionaries(
        st.sampled_from(["keep_alive", "x_more", "options.num_ctx", "options.x"]), scalars, max_size=2
    ),
    extra_format=st.just(FORMAT.name),
).map(lambda one: attrs.evolve(one, include_usage=one.stream))
responses = st.builds(
    lambda message, reason, usage, extra: ChatResponse(
        id="",
        model="m",
        choices=(ChatChoice(0, message, reason),),
        usage=usage,
        created=1795168800,
        extra={"created_at": "2026-11-20T10:00:00.5Z", **extra},
        extra_format=FORMAT.name,
    ),
    answers,
    st.sampled_from([FinishReason.STOP, FinishReason.LENGTH, FinishReason.CONTENT_FILTER]),
    maybe | st.builds(Usage, st.integers(0, 10**6), st.integers(0, 10**6)),
    st.sampled_from([{}, {"total_duration": 5}]),
)


@settings(max_examples=60)
@given(requests)
def test_requests_survive(request):
    body = FORMAT.encode_request(request)
    read = FORMAT.decode_request(body)
    assert attrs.evolve(read, extra={name: one for name, one in read.extra.items() if name != "think"}) == request
    assert FORMAT.encode_request(read) == body
    head = FORMAT.peek(body)
    assert (head.model, head.stream, head.include_usage) == (request.model, request.stream, request.stream)


def test_the_declared_fields_are_those_that_survive():
    every = {field.name for field in attrs.fields(ChatRequest)} - {"include_usage", "extra", "extra_format"}
    assert every - FORMAT.fields.keys() == {
        "choice_count",
        "metadata",
        "parallel_tool_calls",
        "service_tier",
        "tool_choice",
        "user",
    }


@settings(max_examples=60)
@given(responses)
def test_responses_survive(response):
    body = FORMAT.encode_response(response)
    read = FORMAT.decode_response(body)
    reason = response.finish_reason
    if response.tool_calls and reason is FinishReason.STOP:
        reason = FinishReason.TOOL_CALLS  # which is what such an end means
    wanted = attrs.evolve(response, id=read.id, choices=(attrs.evolve(response.choices[0], finish_reason=reason),))
    assert read == wanted
    assert FORMAT.encode_response(read) == body
    outcome = FORMAT.observe_response(body)
    assert (outcome.usage, outcome.finish_reason, outcome.complete) == (response.usage, reason, True)


@settings(max_examples=60)
@given(requests, st.data())
def test_an_edit_is_read_back_and_the_rest_untouched(request, data):
    other = data.draw(requests)
    chosen = data.draw(st.sets(st.sampled_from(sorted(FORMAT.fields.keys() - {"stream"})), max_size=4))
    edits = {name: getattr(other, name) for name in sorted(chosen)}
    body = FORMAT.encode_request(request)
    patched = FORMAT.patch_request(body, edits)
    wanted, got = attrs.evolve(FORMAT.decode_request(body), **edits), FORMAT.decode_request(patched)
    assert attrs.evolve(got, extra={}) == attrs.evolve(wanted, extra={})
    assert FORMAT.peek(body).patch(edits, None) == patched
    if not edits:
        assert patched is body


@given(st.binary(max_size=80) | json_values.map(lambda value: json.dumps(value).encode()))
def test_garbage_is_refused_in_the_declared_way(data):
    with pytest.raises(InvalidRequestError):
        FORMAT.decode_request(data)
    for read in (FORMAT.decode_response, FORMAT.observe_response):
        with contextlib.suppress(ProviderProtocolError):
            read(data)
    FORMAT.decode_error(500, {}, data)


NAMES = [
    *("role", "content", "thinking", "images", "tool_calls", "tool_name", "tool_call_id", "id", "function", "name"),
    *("arguments", "parameters", "error", "done", "done_reason", "eval_count", "message", "created_at", "num_predict"),
]
hostile = st.recursive(
    scalars | st.sampled_from(["user", "assistant", "tool", "json", "max"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(NAMES), inner, max_size=4),
    max_leaves=12,
)


@settings(max_examples=150)
@given(hostile, hostile)
def test_shapes_nobody_expects_are_refused_in_the_declared_way(one, other):
    turns = [{"role": "assistant", "content": "x", "tool_calls": [one]}, {"role": "tool", "content": other}, other]
    for turn in (*turns, {"role": "user", "images": one, "content": other}):
        body = {"model": "m", "messages": [turn], "tools": [one], "format": other, "think": one, "options": other}
        for kept in ({}, body):
            with contextlib.suppress(InvalidRequestError):
                asked = {**body, "messages": [turn], **kept, **({} if kept else {"tools": [], "options": {}})}
                request = FORMAT.decode_request(json.dumps(asked).encode())
                for name in ("openai-chat", "anthropic-messages"):
                    get_format(name).unsupported(request)
                    with contextlib.suppress(InvalidRequestError):
                        get_format(name).encode_request(request)
    answer = {"model": one, "created_at": other, "message": one, "done": True, "done_reason": other, "eval_count": one}
    for value in (answer, {**answer, "message": {"content": one, "tool_calls": other}}, {"error": one}):
        data = json.dumps(value).encode()
        for read in (FORMAT.decode_response, FORMAT.observe_response):
            with contextlib.suppress(ProviderProtocolError):
                read(data)
        for method in ("relay", "decode"):
            with contextlib.suppress(ProviderProtocolError):
                getattr(FORMAT.stream_reader(), method)(data + b"\n")


def test_nothing_of_a_clients_headers_goes_up_and_little_of_the_servers_down():
    assert not FORMAT.allows_up("authorization")
    assert not FORMAT.allows_up("cookie")
    assert FORMAT.allows_down("retry-after")
    assert not FORMAT.allows_down("set-cookie")


def test_statuses_and_the_face():
    assert FORMAT.error_status(RateLimitError("slow")) == 429
    assert FORMAT.stream_media_type == "application/x-ndjson"
    assert FORMAT.heartbeat == b" "
    json.loads(FORMAT.heartbeat + b'{"done":true}')
