"""Canonical → wire → canonical is the identity on the fields that the format declares; hostile input stays declared."""

from __future__ import annotations

import contextlib
import json

import attrs
import pytest
from hypothesis import given, settings, strategies as st

from llmgate.formats import get_format
from llmgate.spec import (
    Blob,
    ChatChoice,
    ChatRequest,
    ChatResponse,
    Citation,
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
    ToolChoice,
    ToolDefinition,
    Unknown,
    Uri,
    Usage,
)

FORMAT = get_format("cohere-chat")

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

texts = st.builds(Text, words, extra=extras)
cited = st.just(Text("ab", citations=(Citation(0, 1, "https://x", "T", "q"), Citation(1, 2, "d", "D"))))
pictures = st.one_of(
    st.builds(Blob, st.just("image"), st.just("image/png"), st.just("aGVsbG8=")),
    st.builds(Uri, st.just("image"), words.map("https://x/{}".format), extra=st.just({"image_url": {"detail": "low"}})),
    st.builds(lambda value: Unknown(FORMAT.name, {**value, "type": "x_future"}), json_objects),
)
documents = st.just(Text('{"a":1}', extra={"document": {"data": {"a": 1}, "id": "d"}}))
calls = st.builds(ToolCall, names, names, json_objects.map(json.dumps), extra=extras)
thoughts = st.builds(Reasoning, words, extra=extras)
plans = st.builds(Text, names, extra=st.just({"field": "tool_plan"}))


def turns(role, parts):
    return st.builds(Message, st.just(role), st.lists(parts, min_size=1, max_size=3).map(tuple), extra=extras)


answers = st.builds(
    lambda content, plan, called, extra: Message(Role.ASSISTANT, (*content, *plan, *called), extra=extra),
    st.tuples(cited) | st.lists(texts | thoughts, min_size=1, max_size=2),
    st.lists(plans, max_size=1),
    st.lists(calls, max_size=2),
    extras,
)
results = st.builds(
    lambda call, content, extra: Message(Role.TOOL, (ToolCallResponse(call, tuple(content)),), extra=extra),
    names,
    st.lists(texts | documents, min_size=1, max_size=2),
    extras,
)
requests = st.builds(
    ChatRequest,
    model=names,
    messages=st.lists(
        turns(Role.SYSTEM, texts) | turns(Role.USER, texts | pictures) | answers | results, min_size=1, max_size=4
    ).map(tuple),
    tools=st.lists(
        st.builds(
            ToolDefinition,
            names,
            description=maybe | words,
            parameters=maybe | json_objects,
            strict=st.just(True),
            extra=st.sampled_from([{}, {"function": {"x": 1}}]),
        ),
        max_size=2,
    ).map(tuple),
    tool_choice=st.sampled_from([None, ToolChoice("required"), ToolChoice("none")]),
    output_format=st.sampled_from([None, OutputFormat("text"), OutputFormat("json")])
    | json_objects.map(lambda schema: OutputFormat("json_schema", schema=schema)),
    max_output_tokens=maybe | st.integers(20_000, 10**6),
    temperature=maybe | numbers,
    top_p=maybe | numbers,
    top_k=maybe | st.integers(0, 100),
    stop_sequences=st.lists(words, max_size=3).map(tuple),
    seed=maybe | st.integers(0, 2**31),
    frequency_penalty=maybe | numbers,
    presence_penalty=maybe | numbers,
    reasoning_effort=maybe | st.sampled_from(["none", "minimal", "low", "medium", "high", "xhigh", "max"]),
    stream=st.booleans(),
    extra=st.dictionaries(st.sampled_from(["documents", "safety_mode", "x_more"]), scalars, max_size=2),
    extra_format=st.just(FORMAT.name),
).map(lambda one: attrs.evolve(one, include_usage=one.stream))
responses = st.builds(
    lambda message, reason, usage, extra: ChatResponse(
        "id", "", (ChatChoice(0, message, reason),), usage, extra=extra, extra_format=FORMAT.name
    ),
    answers,
    st.sampled_from([reason for reason in FinishReason if reason is not FinishReason.ERROR]),
    st.builds(Usage, st.integers(0, 10**6), st.integers(0, 10**6), maybe | st.integers(0, 9)),
    st.sampled_from([{}, {"logprobs": []}]),
)


@settings(max_examples=60)
@given(requests)
def test_requests_survive(request):
    body = FORMAT.encode_request(request)
    read = FORMAT.decode_request(body)
    assert attrs.evolve(read, extra={name: one for name, one in read.extra.items() if name != "thinking"}) == request
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
        "user",
    }


@settings(max_examples=60)
@given(responses)
def test_responses_survive(response):
    body = FORMAT.encode_response(response)
    read = FORMAT.decode_response(body)
    assert FORMAT.encode_response(read) == body
    usage = {name: one for name, one in read.extra.items() if name != "usage"}
    choice = attrs.evolve(read.choices[0], extra={}, finish_reason=response.finish_reason)
    assert attrs.evolve(read, extra=usage, choices=(choice,)) == response
    outcome = FORMAT.observe_response(body)
    assert (outcome.usage, outcome.finish_reason) == (response.usage, read.finish_reason)


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
    *("type", "role", "content", "text", "thinking", "document", "data", "image_url", "url", "tool_calls", "tool_plan"),
    *("id", "function", "name", "arguments", "parameters", "delta", "message", "index", "error", "tokens", "usage"),
]
hostile = st.recursive(
    scalars
    | st.sampled_from(["text", "thinking", "document", "image_url", "user", "assistant", "tool", "message-end"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(NAMES), inner, max_size=4),
    max_leaves=12,
)


@settings(max_examples=150)
@given(hostile, hostile)
def test_shapes_nobody_expects_are_refused_in_the_declared_way(one, other):
    turns = [{"role": "user", "content": [one]}, {"role": "assistant", "tool_calls": [one], "tool_plan": other}, other]
    for turn in (*turns, {"role": "tool", "tool_call_id": "x", "content": [other]}):
        for more in ({}, {"tools": [one], "response_format": other, "thinking": one, "tool_choice": other}):
            with contextlib.suppress(InvalidRequestError):
                body = {"model": "m", "messages": [turn], **more}
                request = FORMAT.decode_request(json.dumps(body).encode())
                for name in ("openai-chat", "anthropic-messages"):
                    get_format(name).unsupported(request)
                    with contextlib.suppress(InvalidRequestError):
                        get_format(name).encode_request(request)
    answer = {"id": one, "finish_reason": other, "message": {"content": [one], "tool_calls": [other]}, "usage": one}
    for value in (answer, {**answer, "message": one}, {"type": "message-end", "delta": one}, {"message": one}, one):
        data = json.dumps(value).encode()
        for read in (FORMAT.decode_response, FORMAT.observe_response):
            with contextlib.suppress(ProviderProtocolError):
                read(data)
        for method in ("relay", "decode"):
            with contextlib.suppress(ProviderProtocolError):
                getattr(FORMAT.stream_reader(), method)(b"data: " + data + b"\n\n")


def test_headers_and_statuses():
    assert not FORMAT.allows_up("authorization")
    assert not FORMAT.allows_up("x-client-name")
    assert FORMAT.allows_down("x-trial-endpoint-call-remaining")
    assert not FORMAT.allows_down("set-cookie")
    assert FORMAT.error_status(RateLimitError("slow")) == 429
