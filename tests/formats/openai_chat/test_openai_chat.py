"""Canonical → wire → canonical is the identity, for everything that the canonical types declare."""

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
    ChoiceDelta,
    FileRef,
    FinishReason,
    GatewayChunk,
    InvalidRequestError,
    Message,
    OutputFormat,
    ProviderProtocolError,
    Reasoning,
    Refusal,
    Role,
    Text,
    ToolCall,
    ToolCallDelta,
    ToolCallResponse,
    ToolChoice,
    ToolDefinition,
    Unknown,
    Uri,
    Usage,
)

FORMAT = get_format("openai-chat")

words = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
names = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=12)
scalars = st.none() | st.booleans() | st.integers(-(2**63), 2**64) | st.floats(-1e9, 1e9) | words
json_values = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(words, inner, max_size=3)
)
json_objects = st.dictionaries(words, json_values, max_size=3)
extras = st.dictionaries(words.map(lambda name: f"x_{name}"), json_values, max_size=2)
inner_extras = st.dictionaries(st.sampled_from(["detail", "x_inner"]), json_values, max_size=2)
maybe = st.none()
numbers = st.floats(-2, 2) | st.integers(-2, 2)

texts = st.builds(Text, words, extra=extras)
base64_texts = st.sampled_from(["", "aGVsbG8=", "iVBORw0KGgo="])
addresses = names.map(lambda path: f"https://pictures.example/{path}")


def media_extra(kind: str):
    return st.builds(lambda outer, inner: {**outer, kind: inner} if inner else outer, extras, inner_extras)


def media(modality: str, kind: str, *types: str):
    extra = media_extra(kind)
    return st.builds(Uri, st.just(modality), addresses, extra=extra) | st.builds(
        Blob, st.just(modality), st.sampled_from(types), base64_texts, extra=extra
    )


attachments = (
    media("image", "image_url", "image/png", "image/svg+xml")
    | media("video", "video_url", "video/mp4")
    | media("document", "file", "application/pdf")
    | st.builds(Uri, st.just("audio"), addresses, extra=media_extra("audio_url"))
    | st.builds(
        Blob,
        st.just("audio"),
        st.sampled_from(["audio/wav", "audio/mpeg", "audio/flac"]),
        base64_texts,
        extra=media_extra("input_audio"),
    )
    | st.builds(FileRef, st.just("document"), names, extra=media_extra("file"))
    | st.builds(
        lambda value: Unknown("openai-chat", {**value, "type": "x_future"}),
        st.dictionaries(words, json_values, max_size=2),
    )
)
calls = st.builds(
    ToolCall,
    names,
    names,
    words,
    extra=st.builds(lambda outer, inner: {**outer, "function": inner} if inner else outer, extras, extras),
) | st.builds(
    lambda value: Unknown("openai-chat", {"tool_call": {**value, "type": "custom"}}),
    st.dictionaries(words, json_values),
)
plain_reasoning = st.builds(Reasoning, names, extra=st.sampled_from([{}, {"field": "reasoning"}])).map(
    lambda one: [one]
)
signed_reasoning = st.lists(
    st.builds(Reasoning, words, names, extra=extras)
    | st.just(Reasoning("", extra={"type": "redacted_thinking", "data": "opaque"})),
    min_size=1,
    max_size=3,
)
reasoning = st.just([]) | plain_reasoning | signed_reasoning


def messages(role: Role, content):
    return st.builds(
        Message,
        st.just(role),
        content.map(tuple),
        name=maybe | names,
        extra=st.dictionaries(st.just("x_m"), json_values),
    )


def assistant_parts(content):
    return st.builds(
        lambda thought, said, refused, asked: [*thought, *said, *refused, *asked],
        reasoning,
        content,
        st.lists(st.builds(Refusal, words), max_size=1),
        st.lists(calls, max_size=2),
    )


spoken = st.lists(texts | attachments, max_size=3)
tool_results = st.builds(ToolCallResponse, names, st.lists(texts, min_size=1, max_size=2).map(tuple)).map(
    lambda result: [result]
)
conversations = st.lists(
    messages(Role.USER, spoken)
    | messages(Role.SYSTEM, spoken)
    | messages(Role.DEVELOPER, spoken)
    | messages(Role.ASSISTANT, assistant_parts(spoken))
    | messages(Role.TOOL, tool_results),
    max_size=4,
).map(tuple)
tools = st.builds(
    ToolDefinition,
    names,
    description=maybe | words,
    parameters=maybe | json_objects,
    strict=maybe | st.booleans(),
    extra=st.builds(lambda outer, inner: {**outer, "function": inner} if inner else outer, extras, extras),
)
output_formats = (
    st.just(OutputFormat("text"))
    | st.builds(OutputFormat, st.just("json"), schema=maybe | json_objects)
    | st.builds(
        OutputFormat,
        st.just("json_schema"),
        schema=maybe | json_objects,
        name=names,
        strict=maybe | st.booleans(),
        description=maybe | words,
    )
)
requests = st.builds(
    ChatRequest,
    model=names,
    messages=conversations,
    tools=st.lists(tools, max_size=2).map(tuple),
    tool_choice=maybe
    | st.sampled_from([ToolChoice("auto"), ToolChoice("none"), ToolChoice("required")])
    | st.builds(ToolChoice, st.just("named"), names),
    parallel_tool_calls=maybe | st.booleans(),
    output_format=maybe | output_formats,
    max_output_tokens=maybe | st.integers(0, 10**6),
    temperature=maybe | numbers,
    top_p=maybe | numbers,
    top_k=maybe | st.integers(0, 100),
    stop_sequences=st.lists(words, max_size=3).map(tuple),
    seed=maybe | st.integers(),
    frequency_penalty=maybe | numbers,
    presence_penalty=maybe | numbers,
    choice_count=maybe | st.integers(1, 4),
    reasoning_effort=maybe | st.sampled_from(["none", "minimal", "low", "medium", "high", "xhigh", "max"]),
    user=maybe | words,
    service_tier=maybe | st.sampled_from(["auto", "flex"]),
    stream=st.booleans(),
    metadata=json_objects,
    extra=extras,
    extra_format=st.just("openai-chat"),
).flatmap(lambda one: st.booleans().map(lambda usage: attrs.evolve(one, include_usage=usage and one.stream)))

usages = st.builds(
    Usage,
    *[maybe | st.integers(0, 10**9)] * 4,
    reasoning=maybe | st.integers(0, 10**9),
    audio_input=maybe | st.integers(0, 10**9),
    audio_output=maybe | st.integers(0, 10**9),
).map(lambda usage: None if usage == Usage() else usage)
plain_ends = maybe | st.sampled_from([one for one in FinishReason if one is not FinishReason.STOP_SEQUENCE])
ends = st.tuples(plain_ends, st.none()) | st.tuples(st.just(FinishReason.STOP_SEQUENCE), st.text())
"""Why an answer ended, and which of the request's texts did it: that it was one of them shows in nothing else."""
delta_ends = ends.filter(lambda end: end[0] is not FinishReason.ERROR)
"""A stream that failed ends with an error in place of a reason."""

single_text = st.lists(st.builds(Text, words), max_size=1)
answer_parts = st.builds(
    lambda thought, said, refused, asked: [*thought, *said, *refused, *asked],
    st.just([]) | st.builds(Reasoning, names).map(lambda one: [one]) | signed_reasoning,
    single_text,
    st.lists(st.builds(Refusal, words), max_size=1),
    st.lists(calls, max_size=2),
)
responses = st.builds(
    ChatResponse,
    id=words,
    model=words,
    choices=st.lists(
        st.builds(
            lambda index, message, end, extra: ChatChoice(index, message, end[0], extra, end[1]),
            st.integers(0, 3),
            messages(Role.ASSISTANT, answer_parts),
            ends,
            extras,
        ),
        max_size=2,
    ).map(tuple),
    usage=usages,
    created=maybe | st.integers(0, 2**40),
    extra=extras,
    extra_format=st.just("openai-chat"),
)

tool_deltas = st.builds(ToolCallDelta, st.integers(0, 3), maybe | names, maybe | names, words, extra=extras)
delta_parts = st.builds(
    lambda thought, said: (*thought, *said),
    st.just(()) | plain_reasoning.map(tuple),
    st.lists(st.builds(Text, names), max_size=1),
)
deltas = st.builds(
    ChoiceDelta,
    index=st.integers(0, 3),
    role=maybe | st.just("assistant"),
    parts=delta_parts,
    refusal=maybe | names,
    tool_calls=st.lists(tool_deltas, max_size=2).map(tuple),
    extra=st.builds(lambda outer, inner: {**outer, "delta": inner} if inner else outer, extras, extras),
).flatmap(lambda one: delta_ends.map(lambda end: attrs.evolve(one, finish_reason=end[0], stop_sequence=end[1])))
chunks = st.builds(
    GatewayChunk,
    st.lists(deltas, min_size=1, max_size=2).map(tuple),
    id=names,
    model=names,
    created=st.integers(0, 2**40),
    extra=extras,
)


@settings(max_examples=50)
@given(requests)
def test_requests_survive(request):
    body = FORMAT.encode_request(request)
    assert FORMAT.decode_request(body) == attrs.evolve(request, extra=FORMAT.decode_request(body).extra)
    assert FORMAT.decode_request(body).extra == request.extra
    head = FORMAT.peek(body)
    assert (head.model, head.stream, head.include_usage, head.user) == (
        request.model,
        request.stream,
        request.include_usage,
        request.user,
    )


@settings(max_examples=50)
@given(responses)
def test_responses_survive(response):
    body = FORMAT.encode_response(response)
    assert FORMAT.decode_response(body) == response
    assert FORMAT.observe_response(body).usage == response.usage


def with_roles(sent):
    """Chunks with a role where an answer begins, and nowhere else."""
    begun = set()
    for chunk in sent:
        choices = []
        for choice in chunk.choices:
            role = None if choice.index in begun else choice.role or "assistant"
            begun.add(choice.index)
            choices.append(attrs.evolve(choice, role=role))
        yield attrs.evolve(chunk, choices=tuple(choices))


@settings(max_examples=50)
@given(st.lists(chunks, max_size=4), usages, st.booleans())
def test_streams_survive(sent, usage, include_usage):
    encoder = FORMAT.stream_encoder(include_usage=include_usage)
    data = b"".join(map(encoder.encode, [*sent, GatewayChunk(usage=usage), GatewayChunk(final=True)]))
    reader = FORMAT.stream_reader()
    read = list(reader.decode(data))
    reader.finish()
    assert read.pop().final
    if include_usage and usage is not None:
        assert read.pop().usage == usage
    whole = [attrs.asdict(chunk) for chunk in with_roles(sent)]
    assert [attrs.asdict(attrs.evolve(chunk, raw=b"")) for chunk in read] == whole
    content = any(chunk.has_content for chunk in sent)
    assert not content or reader.outcome.content


@settings(max_examples=50)
@given(requests, st.data())
def test_an_edit_is_read_back_and_the_rest_untouched(request, data):
    """patch_request says on bytes what attrs.evolve says on values."""
    other = data.draw(requests)
    editable = sorted({field.name for field in attrs.fields(ChatRequest)} - {"extra", "extra_format"})
    chosen = data.draw(st.sets(st.sampled_from(editable), max_size=4)) - {"stream", "include_usage"}
    edits = {name: getattr(other, name) for name in chosen}
    body = FORMAT.encode_request(request)
    patched = FORMAT.patch_request(body, edits)
    assert FORMAT.decode_request(patched) == attrs.evolve(FORMAT.decode_request(body), **edits)
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
    reader = FORMAT.stream_reader()
    with contextlib.suppress(ProviderProtocolError):
        reader.relay(b"data: " + data + b"\n\n")


NAMES = [
    *(
        "role",
        "content",
        "type",
        "text",
        "tool_calls",
        "function",
        "name",
        "arguments",
        "id",
        "index",
        "message",
        "delta",
    ),
    *("choices", "usage", "error", "code", "file", "url", "image_url", "thinking_blocks", "details", "detail", "loc"),
    *("prompt_tokens_details", "finish_reason", "status", "x_groq", "thinking", "errors"),
]
hostile = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(NAMES), inner, max_size=4),
    max_leaves=15,
)


@settings(max_examples=150)
@given(hostile, hostile)
def test_shapes_nobody_expects_are_refused_in_the_declared_way(one, other):
    """Whatever the JSON, the only exceptions are the declared ones."""
    request = json.dumps({"model": "m", "messages": [one, other], "tools": one, "stop": other, "response_format": one})
    with contextlib.suppress(InvalidRequestError):
        FORMAT.decode_request(request.encode())
    answer = json.dumps({"choices": [{"message": one, "delta": one, "finish_reason": other}], "usage": other}).encode()
    for read in (FORMAT.decode_response, FORMAT.observe_response):
        with contextlib.suppress(ProviderProtocolError):
            read(answer)
    for value in (answer, json.dumps(one).encode(), json.dumps({"error": other}).encode()):
        FORMAT.decode_error(500, {}, value)
        for method in ("relay", "decode"):
            reader = FORMAT.stream_reader()
            with contextlib.suppress(ProviderProtocolError):
                getattr(reader, method)(b"data: " + value + b"\n\n")


def test_no_client_header_goes_upstream():
    """None that chooses an account, switches features on or names another caller's request."""
    assert FORMAT.request_headers == frozenset()


def test_response_headers_are_an_allow_list():
    assert not FORMAT.response_headers & {"set-cookie", "openai-organization", "x-request-id", "content-length"}
    assert {"retry-after", "retry-after-ms", "x-should-retry"} < FORMAT.response_headers
    assert all(name == name.lower() for name in FORMAT.response_headers)
