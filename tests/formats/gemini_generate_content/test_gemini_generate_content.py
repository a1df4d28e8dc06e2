"""Canonical → wire → canonical is the identity on the fields that the format declares; hostile input stays declared."""

from __future__ import annotations

import contextlib
import json

import attrs
import pytest
from hypothesis import given, settings, strategies as st

from llmgate.codecs import jsons
from llmgate.formats import get_format, read_request
from llmgate.formats.thought_signatures import signed
from llmgate.spec import (
    UNKNOWN_MODEL,
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

FORMAT = get_format("gemini-generate-content")

words = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
names = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=12)
scalars = st.none() | st.booleans() | st.integers(-(2**63), 2**64) | st.floats(-1e9, 1e9) | words
json_values = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=2) | st.dictionaries(words, inner, max_size=2), max_leaves=4
)
json_objects = st.dictionaries(words, json_values, max_size=2)
marks = st.sampled_from([{}, signed("c2ln"), {"partMetadata": {"a": 1}}])
maybe = st.none()
numbers = st.floats(0, 1) | st.integers(0, 1)

texts = st.builds(Text, words, extra=marks)
media = st.one_of(
    st.builds(Blob, st.just("image"), st.just("image/png"), st.just("aGVsbG8="), extra=marks),
    st.builds(Blob, st.just("document"), st.just("application/pdf"), st.just("aGVsbG8="), extra=marks),
    st.builds(Uri, st.just("video"), names.map(lambda name: f"https://{name}"), st.just("video/mp4"), extra=marks),
    st.builds(FileRef, st.just("image"), names.map(lambda name: f"gs://{name}"), st.just({"mimeType": "image/png"})),
    st.builds(lambda value: Unknown(FORMAT.name, {"executableCode": value}), json_objects),
)
arguments = json_objects.map(lambda value: jsons.dumps(value).decode())  # numbers as this writer writes them
calls = st.builds(ToolCall, names, names, arguments, extra=marks)
thoughts = st.one_of(
    st.builds(Reasoning, words, extra=marks),
    st.builds(Reasoning, words, names),
    st.just(Reasoning("", extra={"type": "redacted_thinking", "data": "opaque=="})),
)
said = st.lists(st.sampled_from(["sunny", "21°", '{"a":1}']).map(Text), max_size=1)
results = st.builds(
    lambda call_id, name, content, failed: ToolCallResponse(
        call_id, tuple(content), failed and bool(content), {"name": name}
    ),
    names,
    names,
    said,
    st.booleans(),
)


def turns(role, parts):
    return st.builds(Message, st.just(role), st.lists(parts, min_size=1, max_size=3).map(tuple))


conversations = st.builds(
    lambda system, rest: (*system, *rest),
    st.lists(turns(Role.SYSTEM, texts), max_size=1),
    st.lists(turns(Role.USER, texts | media | results) | turns(Role.ASSISTANT, texts | calls | thoughts), max_size=4),
)
tools = st.builds(
    ToolDefinition,
    names,
    description=maybe | names,
    parameters=maybe | json_objects.map(lambda one: {**one, "type": "object"}),
)
requests = st.builds(
    ChatRequest,
    model=st.just(""),
    messages=conversations,
    tools=st.lists(tools, max_size=2).map(tuple),
    tool_choice=maybe
    | st.sampled_from([ToolChoice("auto"), ToolChoice("required"), ToolChoice("none")])
    | st.builds(ToolChoice, st.just("named"), names),
    output_format=maybe
    | st.just(OutputFormat("json"))
    | st.builds(OutputFormat, st.just("json_schema"), schema=json_objects),
    max_output_tokens=maybe | st.integers(1, 10**6),
    temperature=maybe | numbers,
    top_p=maybe | numbers,
    top_k=maybe | st.integers(0, 100),
    seed=maybe | st.integers(0, 100),
    frequency_penalty=maybe | numbers,
    presence_penalty=maybe | numbers,
    choice_count=maybe | st.integers(1, 8),
    stop_sequences=st.lists(words, max_size=3).map(tuple),
    reasoning_effort=maybe | st.sampled_from(["none", "low", "medium", "high"]),
    service_tier=maybe | st.sampled_from(["standard", "flex", "priority"]),
    extra=st.sampled_from(
        [{}, {"safetySettings": [{"category": "A"}], "generationConfig": {"mediaResolution": "LOW"}, "logprobs": True}]
    ),
    extra_format=st.just(FORMAT.name),
)

counts = maybe | st.integers(1, 10**6)
responses = st.builds(
    ChatResponse,
    id=words,
    model=words,
    choices=st.builds(
        ChatChoice,
        st.just(0),
        turns(Role.ASSISTANT, texts | thoughts | st.builds(Unknown, st.just(FORMAT.name), st.just({"toolCall": {}}))),
        st.sampled_from([FinishReason.STOP, FinishReason.LENGTH, FinishReason.CONTENT_FILTER]),
        extra=st.sampled_from([{}, {"avgLogprobs": -0.1}]),
    ).map(lambda one: (one,)),
    usage=st.builds(
        Usage, st.integers(1, 10**7), st.integers(10**6, 10**7), cache_read=counts, reasoning=counts, audio_input=counts
    ),
    extra=st.sampled_from([{}, {"modelStatus": {"a": 1}}]),
    extra_format=st.just(FORMAT.name),
)


def without_names(request):
    """As it is read: a name that a conversation tells anyway is not kept beside the result."""

    def plain(part):
        return attrs.evolve(part, extra={}) if isinstance(part, ToolCallResponse) else part

    messages = []
    for one in request.messages:
        one = attrs.evolve(one, parts=tuple(map(plain, one.parts)))
        if messages and one.role is messages[-1].role is Role.ASSISTANT:  # turns of the model's are one
            one = attrs.evolve(one, parts=(*messages.pop().parts, *one.parts))
        messages.append(one)
    extra = {name: value for name, value in request.extra.items() if name != "generationConfig.thinkingConfig"}
    return attrs.evolve(request, messages=tuple(messages), extra=extra)


@settings(max_examples=40)
@given(requests)
def test_requests_survive(request):
    body = FORMAT.encode_request(request)
    read = FORMAT.decode_request(body)
    assert without_names(read) == without_names(request)
    assert FORMAT.decode_request(FORMAT.encode_request(read)) == read
    head = FORMAT.peek(body)
    assert (head.model, head.stream) == ("", False)
    travelling = read_request(FORMAT, body, model="m", stream=True)
    assert (travelling.model, travelling.stream, travelling.chat.model) == ("m", True, "m")


def test_the_declared_fields_are_those_that_survive():
    drawn = {"include_usage", "extra", "extra_format"}
    every = {field.name for field in attrs.fields(ChatRequest)} - drawn
    assert every - FORMAT.fields.keys() == {"parallel_tool_calls", "user", "metadata"}


@settings(max_examples=40)
@given(responses)
def test_responses_survive(response):
    body = FORMAT.encode_response(response)
    assert FORMAT.decode_response(body) == response
    outcome = FORMAT.observe_response(body)
    assert (outcome.usage, outcome.finish_reason) == (response.usage, response.finish_reason)


@settings(max_examples=40)
@given(requests, st.data())
def test_an_edit_is_read_back_and_the_rest_untouched(request, data):
    """patch_request says on bytes what attrs.evolve says on values."""
    other = data.draw(requests)
    chosen = data.draw(st.sets(st.sampled_from(sorted(FORMAT.fields.keys() - {"stream", "model"})), max_size=4))
    edits = {name: getattr(other, name) for name in sorted(chosen)}
    body = FORMAT.encode_request(request)
    patched = FORMAT.patch_request(body, edits)
    wanted, got = attrs.evolve(FORMAT.decode_request(body), **edits), FORMAT.decode_request(patched)
    assert attrs.evolve(without_names(got), extra={}) == attrs.evolve(without_names(wanted), extra={})
    assert FORMAT.peek(body).patch(edits, UNKNOWN_MODEL) == patched
    if not edits:
        assert patched is body


def test_what_the_body_does_not_say_changes_no_byte():
    body = b'{ "contents":[] ,"generation_config": {"topK":1} , "unknown":1.0}'
    assert FORMAT.patch_request(body, {"include_usage": True, "model": "n", "stream": True, "user": "u"}) is body
    assert FORMAT.patch_request(body, {"temperature": 1}) == body.replace(b'{"topK":1}', b'{"temperature":1,"topK":1}')
    assert FORMAT.patch_request(body, {"top_k": None}) == body.replace(b' ,"generation_config": {"topK":1}', b"")
    with pytest.raises(TypeError):
        FORMAT.patch_request(body, {"extra": {}})


@given(st.binary(max_size=80) | json_values.map(lambda value: json.dumps(value).encode()))
def test_garbage_is_refused_in_the_declared_way(data):
    with contextlib.suppress(InvalidRequestError):
        FORMAT.decode_request(data)
        assert b"contents" in data
    for read in (FORMAT.decode_response, FORMAT.observe_response):
        with contextlib.suppress(ProviderProtocolError):
            read(data)
    FORMAT.decode_error(500, {}, data)
    for method in ("relay", "decode"):
        with contextlib.suppress(ProviderProtocolError):
            getattr(FORMAT.stream_reader(), method)(b"data: " + data + b"\n\n")


NAMES = [
    *("role", "parts", "text", "thought", "thoughtSignature", "functionCall", "functionResponse", "inlineData", "name"),
    *(
        "fileData",
        "mimeType",
        "data",
        "fileUri",
        "args",
        "response",
        "id",
        "functionDeclarations",
        "parameters",
        "type",
    ),
    *("candidates", "content", "finishReason", "usageMetadata", "promptFeedback", "blockReason", "logprobsResult"),
    *(
        "error",
        "nullable",
        "thinkingConfig",
        "thinkingBudget",
        "responseSchema",
        "mode",
        "allowedFunctionNames",
        "index",
    ),
    *("generation_config", "max_output_tokens", "stopSequences", "properties", "anyOf", "items", "chosenCandidates"),
]
hostile = st.recursive(
    scalars | st.sampled_from(["user", "model", "STOP", "SAFETY", "OBJECT", "image/png", "ANY", "application/json"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(NAMES), inner, max_size=4),
    max_leaves=12,
)


@settings(max_examples=100)
@given(hostile, hostile)
def test_shapes_nobody_expects_are_refused_in_the_declared_way(one, other):
    """Whatever the JSON, the only exceptions are the declared ones, in translations too."""
    body = {"contents": [{"role": "user", "parts": [one, other]}, {"role": "model", "parts": one}], "tools": [one]}
    for more in ({}, {"toolConfig": one, "generationConfig": other, "systemInstruction": one, "serviceTier": other}):
        with contextlib.suppress(InvalidRequestError):
            request = FORMAT.decode_request(json.dumps({**body, **more}).encode())
            for name in ("openai-chat", "anthropic-messages"):
                get_format(name).unsupported(request)
                with contextlib.suppress(InvalidRequestError):
                    get_format(name).encode_request(request)
            FORMAT.encode_request(request)
    answer = json.dumps({"candidates": [one, {"content": {"parts": [other]}}], "usageMetadata": other}).encode()
    for read in (FORMAT.decode_response, FORMAT.observe_response):
        with contextlib.suppress(ProviderProtocolError):
            read(answer)
    for value in (answer, json.dumps(one).encode(), json.dumps({"error": other}).encode()):
        FORMAT.decode_error(500, {}, value)
        for method in ("relay", "decode"):
            with contextlib.suppress(ProviderProtocolError):
                for chunk in getattr(FORMAT.stream_reader(), method)(b"data: " + value + b"\n\n") or ():
                    if method == "decode":
                        FORMAT.stream_encoder().encode(chunk)


def test_the_address_says_the_model_and_whether_the_answer_is_streamed():
    path = "/models/{model}:generateContent"
    assert FORMAT.address(path, model="gemini-x", stream=False) == "/models/gemini-x:generateContent"
    assert FORMAT.address(path, model="a/b?c", stream=True) == "/models/a%2Fb%3Fc:streamGenerateContent?alt=sse"
    with pytest.raises(InvalidRequestError):
        FORMAT.address(path, model="..", stream=False)


def test_headers_are_an_allow_list():
    assert FORMAT.allows_down("retry-after")
    for name in ("set-cookie", "x-goog-api-key", "content-length"):
        assert not FORMAT.allows_down(name)
    for name in ("x-goog-api-key", "x-goog-user-project", "authorization", "cookie"):
        assert not FORMAT.allows_up(name)


def test_a_silent_stream_gets_a_blank_line_since_googles_library_takes_a_comment_for_an_answer():
    assert FORMAT.heartbeat == b"\n"
