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
    UNKNOWN_MODEL,
    Blob,
    ChatChoice,
    ChatRequest,
    ChatResponse,
    Citation,
    FileRef,
    FinishReason,
    InvalidRequestError,
    Message,
    OutputFormat,
    ProviderProtocolError,
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

FORMAT = get_format("anthropic-messages")

words = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
names = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=12)
scalars = st.none() | st.booleans() | st.integers(-(2**63), 2**64) | st.floats(-1e9, 1e9) | words
json_values = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=2) | st.dictionaries(words, inner, max_size=2), max_leaves=4
)
json_objects = st.dictionaries(words, json_values, max_size=2)
marks = st.sampled_from([{}, {"cache_control": {"type": "ephemeral", "ttl": "1h"}}, {"x_more": [1]}])
maybe = st.none()
numbers = st.floats(0, 1) | st.integers(0, 1)

texts = st.builds(Text, words, extra=marks)
places = st.sampled_from(
    [
        Citation(uri="https://x", title="T", quote="q"),
        Citation(title="D", quote="q", document=1, unit="page", first=1, last=2),
        Citation(uri="s", title=None, quote="q", search_result=0, unit="block", first=0, last=3),
    ]
)
cited = st.builds(Text, words, citations=st.lists(places, min_size=1, max_size=2).map(tuple))
media = st.one_of(
    st.builds(Blob, st.sampled_from(["image"]), st.just("image/png"), st.just("aGVsbG8="), extra=marks),
    st.builds(Blob, st.just("document"), st.just("application/pdf"), st.just("aGVsbG8="), extra=marks),
    st.builds(Blob, st.just("document"), st.just("text/plain"), st.sampled_from(["", "aMOpbGxv"]), extra=marks),
    st.builds(Uri, st.sampled_from(["image", "document"]), names, extra=marks),
    st.builds(FileRef, st.sampled_from(["image", "document"]), names, extra=marks),
    st.builds(lambda value: Unknown(FORMAT.name, {**value, "type": "x_future"}), json_objects),
)
arguments = json_objects.map(lambda value: jsons.dumps(value).decode())  # numbers as this writer writes them
calls = st.builds(ToolCall, names, names, arguments, extra=marks)
thoughts = st.builds(Reasoning, words, names, extra=marks) | st.just(
    Reasoning("", extra={"type": "redacted_thinking", "data": "opaque=="})
)
results = st.builds(ToolCallResponse, names, st.lists(texts | media, max_size=2).map(tuple), st.booleans(), extra=marks)


def turns(role, parts):
    return st.builds(Message, st.just(role), st.lists(parts, min_size=1, max_size=3).map(tuple))


conversations = st.builds(
    lambda system, first, rest: (*system, first, *rest),
    st.lists(turns(Role.SYSTEM, texts), max_size=1),
    turns(Role.USER, texts | media | results),
    st.lists(
        turns(Role.USER, texts | media | results)
        | turns(Role.ASSISTANT, texts | cited | calls | thoughts)
        | turns(Role.SYSTEM, texts),
        max_size=3,
    ),
)
tools = st.builds(
    ToolDefinition,
    names,
    description=maybe | words,
    parameters=st.just({"type": "object", "properties": {}}) | json_objects.map(lambda one: {**one, "type": "object"}),
    strict=maybe | st.booleans(),
    extra=marks,
) | st.builds(
    lambda name, more: ToolDefinition(name, extra={**more, "type": "web_search_20260209", "name": name}), names, marks
)
requests = st.builds(
    ChatRequest,
    model=names,
    messages=conversations,
    tools=st.lists(tools, max_size=2).map(tuple),
    tool_choice=st.sampled_from([ToolChoice("auto"), ToolChoice("required")])
    | st.builds(ToolChoice, st.just("named"), names),
    parallel_tool_calls=maybe | st.booleans(),
    output_format=maybe | st.builds(OutputFormat, st.just("json_schema"), schema=json_objects),
    max_output_tokens=st.integers(10_000, 10**6),
    temperature=maybe | numbers,
    top_p=maybe | numbers,
    top_k=maybe | st.integers(0, 100),
    stop_sequences=st.lists(words, max_size=3).map(tuple),
    reasoning_effort=maybe | st.sampled_from(["none", "low", "medium", "high"]),
    user=maybe | words,
    service_tier=maybe | st.sampled_from(["auto", "standard_only"]),
    stream=st.booleans(),
    extra=st.dictionaries(words.map(lambda name: f"x_{name}"), json_values, max_size=2),
    extra_format=st.just(FORMAT.name),
).map(lambda one: attrs.evolve(one, include_usage=one.stream))

counts = maybe | st.integers(0, 10**6)
usages = st.builds(Usage, st.integers(4 * 10**6, 10**7), st.integers(0, 10**6), *[counts] * 4)
responses = st.builds(
    ChatResponse,
    id=words,
    model=words,
    choices=st.builds(
        ChatChoice,
        st.just(0),
        st.builds(
            Message,
            st.just(Role.ASSISTANT),
            st.lists(
                texts | cited | thoughts | st.builds(Unknown, st.just(FORMAT.name), st.just({"type": "x"})), max_size=3
            ).map(tuple),
        ),
        st.sampled_from(
            [FinishReason.STOP, FinishReason.STOP_SEQUENCE, FinishReason.LENGTH, FinishReason.CONTENT_FILTER]
        ),
        stop_sequence=st.none() | words,
    ).map(lambda one: (one,)),
    usage=usages,
    extra=st.sampled_from([{}, {"container": {"id": "c"}}, {"usage": {"service_tier": "standard"}}]),
    extra_format=st.just(FORMAT.name),
)


@settings(max_examples=60)
@given(requests)
def test_requests_survive(request):
    body = FORMAT.encode_request(request)
    read = FORMAT.decode_request(body)
    kept = {name: value for name, value in read.extra.items() if name != "thinking"}
    assert attrs.evolve(read, extra=kept) == request
    assert FORMAT.encode_request(read) == body
    head = FORMAT.peek(body)
    assert (head.model, head.stream, head.include_usage, head.user) == (
        request.model,
        request.stream,
        request.stream,
        request.user,
    )


def test_the_declared_fields_are_those_that_survive():
    drawn = {"include_usage", "extra", "extra_format"}
    every = {field.name for field in attrs.fields(ChatRequest)} - drawn
    assert every - FORMAT.fields.keys() == {
        "seed",
        "frequency_penalty",
        "presence_penalty",
        "choice_count",
        "metadata",
    }


@settings(max_examples=60)
@given(responses)
def test_responses_survive(response):
    body = FORMAT.encode_response(response)
    assert FORMAT.decode_response(body) == response
    outcome = FORMAT.observe_response(body)
    assert (outcome.usage, outcome.finish_reason) == (response.usage, response.finish_reason)


@settings(max_examples=60)
@given(requests, st.data())
def test_an_edit_is_read_back_and_the_rest_untouched(request, data):
    """patch_request says on bytes what attrs.evolve says on values."""
    other = data.draw(requests)
    chosen = data.draw(st.sets(st.sampled_from(sorted(FORMAT.fields.keys() - {"stream"})), max_size=4))
    edits = {name: getattr(other, name) for name in sorted(chosen)}
    body = FORMAT.encode_request(request)
    patched = FORMAT.patch_request(body, edits)
    wanted, got = attrs.evolve(FORMAT.decode_request(body), **edits), FORMAT.decode_request(patched)
    assert attrs.evolve(got, extra={}) == attrs.evolve(wanted, extra={})
    assert FORMAT.peek(body).patch(edits, UNKNOWN_MODEL) == patched
    if not edits:
        assert patched is body


def test_what_the_format_does_not_say_changes_no_byte():
    body = b'{"model": "m" , "messages":[], "unknown":1.0}'
    assert FORMAT.patch_request(body, {"include_usage": True, "seed": 3}) is body
    assert FORMAT.patch_request(body, {"model": "n"}) == body.replace(b'"m"', b'"n"')
    assert FORMAT.patch_request(body, {"user": "u"}) == body[:-1] + b',"metadata":{"user_id":"u"}}'
    assert FORMAT.patch_request(body, {"max_output_tokens": None}) == body[:-1] + b',"max_tokens":32000}'
    with pytest.raises(TypeError):
        FORMAT.patch_request(body, {"extra": {}})


@given(st.binary(max_size=80) | json_values.map(lambda value: json.dumps(value).encode()))
def test_garbage_is_refused_in_the_declared_way(data):
    with pytest.raises(InvalidRequestError):
        FORMAT.decode_request(data)
    for read in (FORMAT.decode_response, FORMAT.observe_response):
        with contextlib.suppress(ProviderProtocolError):
            read(data)
    FORMAT.decode_error(500, {}, data)
    for method in ("relay", "decode"):
        with contextlib.suppress(ProviderProtocolError):
            getattr(FORMAT.stream_reader(), method)(b"data: " + data + b"\n\n")


NAMES = [
    *("type", "role", "content", "text", "source", "data", "media_type", "url", "id", "name", "input", "tool_use_id"),
    *("thinking", "signature", "index", "delta", "content_block", "partial_json", "message", "usage", "stop_reason"),
    *("error", "input_tokens", "cache_creation", "effort", "format", "schema", "budget_tokens", "user_id"),
]
TYPES = [
    *("text", "image", "document", "thinking", "redacted_thinking", "tool_use", "tool_result", "base64", "url", "tool"),
    *("message_start", "content_block_start", "content_block_delta", "content_block_stop", "message_delta", "error"),
    *("input_json_delta", "text_delta", "json_schema", "enabled", "adaptive", "user", "assistant", "system"),
]
hostile = st.recursive(
    scalars | st.sampled_from(TYPES),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(NAMES), inner, max_size=4),
    max_leaves=12,
)


@settings(max_examples=150)
@given(hostile, hostile)
def test_shapes_nobody_expects_are_refused_in_the_declared_way(one, other):
    """Whatever the JSON, the only exceptions are the declared ones, in translations too."""
    turn = {"role": "user", "content": [one, other]}
    body = {"model": "m", "messages": [turn, {"role": "assistant", "content": one}], "system": other, "tools": [one]}
    for more in ({}, {"tool_choice": one, "thinking": other, "output_config": one, "metadata": other}):
        with contextlib.suppress(InvalidRequestError):
            request = FORMAT.decode_request(json.dumps({**body, **more}).encode())
            get_format("openai-chat").unsupported(request)
            get_format("openai-chat").encode_request(request)
    answer = json.dumps({"content": [one], "usage": other, "stop_reason": one}).encode()
    for read in (FORMAT.decode_response, FORMAT.observe_response):
        with contextlib.suppress(ProviderProtocolError):
            read(answer)
    for value in (answer, json.dumps(one).encode(), json.dumps({"type": "error", "error": other}).encode()):
        FORMAT.decode_error(500, {}, value)
        for method in ("relay", "decode"):
            with contextlib.suppress(ProviderProtocolError):
                getattr(FORMAT.stream_reader(), method)(b"data: " + value + b"\n\n")


def test_headers_of_the_vendor_go_up_but_for_those_that_choose_who_pays():
    assert FORMAT.allows_up("anthropic-version")
    assert FORMAT.allows_up("anthropic-never-heard")
    for name in ("authorization", "x-api-key", "cookie", "anthropic-workspace-id", "anthropic-organization-id"):
        assert not FORMAT.allows_up(name)


def test_response_headers_are_an_allow_list():
    assert FORMAT.allows_down("anthropic-ratelimit-tokens-reset")
    assert FORMAT.allows_down("retry-after")
    for name in ("set-cookie", "request-id", "anthropic-organization-id", "content-length"):
        assert not FORMAT.allows_down(name)
