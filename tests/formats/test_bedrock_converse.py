"""Canonical → wire → canonical is the identity; botocore's model takes what is written; hostile input is refused."""

from __future__ import annotations

import base64
import contextlib
import json
from typing import Any

import attrs
import pytest
from hypothesis import given, settings, strategies as st

from llmgate.codecs import jsons
from llmgate.formats import get_format, read_request
from llmgate.formats.bedrock_converse.makers import caches, maker_of
from llmgate.spec import (
    UNKNOWN_MODEL,
    AuthenticationError,
    Blob,
    ChatChoice,
    ChatRequest,
    ChatResponse,
    ChoiceDelta,
    Citation,
    FinishReason,
    GatewayChunk,
    GatewayError,
    InvalidRequestError,
    Message,
    ModelFacts,
    OutputFormat,
    ProviderError,
    ProviderProtocolError,
    ProviderTimeoutError,
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
from llmgate.testing.corpus import chat_corpus

from .bedrock_converse.aws_model import parse_answer, problems
from .bedrock_converse.recorded import ANSWER

FORMAT = get_format("bedrock-converse")
OPENAI = get_format("openai-chat")
ANTHROPIC = get_format("anthropic-messages")
CLAUDE = "us.anthropic.claude-sonnet-4-5-20250929-v1:0"
B64 = base64.b64encode(b"hello").decode()
BUDGET = ModelFacts(thinking="budget", efforts=(), one_sampling=True, max_output=64_000)
ADAPTIVE = ModelFacts(
    thinking="adaptive", efforts=("low", "medium", "high", "xhigh", "max"), sampling=False, prefill=False
)

words = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
names = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=12)
scalars = st.none() | st.booleans() | st.integers(-(2**63), 2**63) | st.floats(-1e9, 1e9) | words
json_values = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=2) | st.dictionaries(words, inner, max_size=2), max_leaves=4
)
json_objects = st.dictionaries(words, json_values, max_size=2)
marks = st.sampled_from(
    [{}, {"cache_control": {"type": "ephemeral"}}, {"cache_control": {"type": "ephemeral", "ttl": "1h"}}]
)


def document(name, mark, **more):
    return {"file": {"filename": name}, "title": name, **mark, **more}


texts = st.builds(Text, words, extra=marks)
places = st.sampled_from(
    [
        Citation(uri="https://x", title="T", quote="q"),
        Citation(title="D", document=1, unit="character", first=1, last=2),
        Citation(uri="s", title="S", quote="q", search_result=0, unit="block", first=0, last=3),
    ]
)
cited = st.builds(Text, words, citations=st.lists(places, min_size=1, max_size=2).map(tuple))
media = st.one_of(
    st.builds(Blob, st.just("image"), st.sampled_from(["image/png", "image/webp"]), st.just(B64), extra=marks),
    st.builds(lambda name, mark: Blob("document", "application/pdf", B64, extra=document(name, mark)), names, marks),
    st.builds(
        lambda mark: Blob("document", "text/plain", B64, extra=document("d", mark, source="text", format="txt")), marks
    ),
    st.builds(Blob, st.just("video"), st.just("video/3gpp"), st.just(B64), extra=marks),
    st.builds(Blob, st.just("audio"), st.just("audio/wav"), st.just(B64), extra=marks),
    st.builds(lambda mark: Uri("image", "s3://b/k.png", "image/png", extra={**mark, "bucketOwner": "1"}), marks),
    st.builds(lambda value: Unknown(FORMAT.name, {"x_future": value}), json_values),
)
arguments = json_objects.map(lambda value: jsons.dumps(value).decode())
calls = st.builds(ToolCall, names, names, arguments, extra=marks)
thoughts = st.builds(Reasoning, words, st.none() | names) | st.just(
    Reasoning("", extra={"type": "redacted_thinking", "data": B64})
)
inner = st.one_of(
    st.builds(Text, words),
    json_values.map(lambda one: Text(dumps(one), extra={"type": "json"})),
    media.filter(lambda one: isinstance(one, Unknown) or "cache_control" not in one.extra),
)
results = st.builds(ToolCallResponse, names, st.lists(inner, max_size=2).map(tuple), st.booleans(), extra=marks)


def dumps(value: object) -> str:
    """JSON as this gateway writes it: numbers have several spellings."""
    return jsons.dumps(value).decode()


def turns(role, parts):
    return st.builds(Message, st.just(role), st.lists(parts, min_size=1, max_size=3).map(tuple))


conversations = st.builds(
    lambda system, rest: (*system, *rest),
    st.lists(turns(Role.SYSTEM, texts), max_size=1),
    st.lists(
        turns(Role.USER, texts | media | results) | turns(Role.ASSISTANT, texts | cited | calls | thoughts),
        min_size=1,
        max_size=3,
    ),
)
tools = st.builds(ToolDefinition, names, st.none() | names, json_objects, st.none() | st.booleans(), extra=marks)
numbers = st.floats(0, 1) | st.integers(0, 1)
requests = st.builds(
    lambda listed, choice, **more: ChatRequest(tools=listed, tool_choice=choice if listed else None, **more),
    listed=st.lists(tools, max_size=2).map(tuple),
    choice=st.none() | st.sampled_from([ToolChoice("auto"), ToolChoice("required"), ToolChoice("named", "t")]),
    model=st.just(""),
    messages=conversations,
    parallel_tool_calls=st.none() | st.booleans(),
    output_format=st.none() | st.builds(OutputFormat, st.just("json_schema"), json_objects, st.none() | names),
    max_output_tokens=st.none() | st.integers(1, 10**6),
    temperature=st.none() | numbers,
    top_p=st.none() | numbers,
    top_k=st.none() | st.integers(0, 500),
    stop_sequences=st.lists(names, max_size=3).map(tuple),
    reasoning_effort=st.sampled_from([None, "low", "medium", "high", "xhigh", "max"]),
    service_tier=st.none() | st.sampled_from(["default", "flex", "priority"]),
    metadata=st.dictionaries(names, words, max_size=2),
    extra=st.sampled_from([{}, {"guardrailConfig": {"guardrailIdentifier": "g", "guardrailVersion": "1"}}, {"x": [1]}]),
    extra_format=st.just(FORMAT.name),
)


@settings(max_examples=150, deadline=None)
@given(requests)
def test_a_request_survives_the_way_there_and_back(request_: ChatRequest) -> None:
    assert FORMAT.decode_request(FORMAT.encode_request(request_)) == request_


EVERYTHING = {
    "system": [{"text": "be nice"}, {"cachePoint": {"type": "default"}}, {"guardContent": {"text": {"text": "g"}}}],
    "messages": [
        {
            "role": "user",
            "content": [
                {"text": "hi"},
                {"image": {"format": "png", "source": {"bytes": B64}}},
                {"cachePoint": {"type": "default", "ttl": "1h"}},
                {
                    "document": {
                        "format": "pdf",
                        "name": "a b",
                        "source": {"bytes": B64},
                        "citations": {"enabled": True},
                    }
                },
                {"document": {"name": "t", "source": {"text": "plain"}}},
                {"document": {"format": "txt", "name": "c", "source": {"content": [{"text": "x"}]}}},
                {
                    "video": {
                        "format": "mp4",
                        "source": {"s3Location": {"uri": "s3://bucket/v.mp4", "bucketOwner": "123456789012"}},
                    }
                },
                {"searchResult": {"source": "s", "title": "t", "content": [{"text": "x"}]}},
            ],
        },
        {
            "role": "assistant",
            "content": [
                {"reasoningContent": {"reasoningText": {"text": "hm", "signature": "EqQBCg=="}}},
                {"reasoningContent": {"redactedContent": B64}},
                {"citationsContent": {"content": [{"text": "cited"}], "citations": [{"title": "t"}]}},
                {"toolUse": {"toolUseId": "a", "name": "t", "input": {"a": 1}}},
                {"toolUse": {"toolUseId": "s", "name": "nova_grounding", "input": {}, "type": "server_tool_use"}},
            ],
        },
        {
            "role": "user",
            "content": [
                {
                    "toolResult": {
                        "toolUseId": "a",
                        "content": [
                            {"json": {"b": [1]}},
                            {"text": "x"},
                            {"image": {"format": "jpeg", "source": {"bytes": B64}}},
                        ],
                        "status": "error",
                    }
                },
                {"toolResult": {"toolUseId": "b", "content": [{"text": "y"}], "status": "success"}},
            ],
        },
    ],
    "inferenceConfig": {"maxTokens": 100, "temperature": 0.5, "topP": 0.9, "stopSequences": ["x"]},
    "toolConfig": {
        "tools": [
            {
                "toolSpec": {
                    "name": "t",
                    "description": "d",
                    "inputSchema": {"json": {"type": "object"}},
                    "strict": True,
                }
            },
            {"cachePoint": {"type": "default"}},
            {"systemTool": {"name": "nova_grounding"}},
        ],
        "toolChoice": {"any": {}},
    },
    "additionalModelRequestFields": {
        "thinking": {"type": "enabled", "budget_tokens": 10000},
        "top_k": 5,
        "anthropic_beta": ["context-1m-2025-08-07"],
    },
    "additionalModelResponseFieldPaths": ["/stop_sequence"],
    "guardrailConfig": {"guardrailIdentifier": "g", "guardrailVersion": "1", "trace": "enabled"},
    "performanceConfig": {"latency": "optimized"},
    "promptVariables": {"v": {"text": "x"}},
    "requestMetadata": {"a": "b"},
    "serviceTier": {"type": "flex"},
    "outputConfig": {
        "textFormat": {
            "type": "json_schema",
            "structure": {"jsonSchema": {"schema": '{"type":"object"}', "name": "n", "description": "d"}},
        }
    },
}


def test_every_field_of_a_request_survives_and_is_what_botocore_sends() -> None:
    body = json.dumps(EVERYTHING).encode()
    assert problems(body) == ""
    assert json.loads(FORMAT.encode_request(FORMAT.decode_request(body))) == EVERYTHING


def test_what_the_address_says_stands_in_the_canonical_request() -> None:
    request = read_request(FORMAT, json.dumps(EVERYTHING).encode(), model=CLAUDE, stream=True)
    chat = request.chat
    assert (request.model, request.stream, request.include_usage) == (CLAUDE, True, True)
    assert (chat.model, chat.stream, chat.reasoning_effort, chat.top_k) == (CLAUDE, True, "high", 5)
    assert chat.tool_choice == ToolChoice("required")
    assert chat.extra["thinking"] == {"type": "enabled", "budget_tokens": 10000}


@pytest.mark.parametrize(
    ("model", "stream", "address"),
    [
        (CLAUDE, False, "/model/us.anthropic.claude-sonnet-4-5-20250929-v1%3A0/converse"),
        ("amazon.nova-pro-v1:0", True, "/model/amazon.nova-pro-v1%3A0/converse-stream"),
        (
            "arn:aws:bedrock:us-east-1:123456789012:inference-profile/us.a.b",
            False,
            "/model/arn%3Aaws%3Abedrock%3Aus-east-1%3A123456789012%3Ainference-profile%2Fus.a.b/converse",
        ),
    ],
)
def test_the_model_is_one_segment_of_the_address(model: str, stream: bool, address: str) -> None:
    assert FORMAT.address("/model/{model}/converse", model=model, stream=stream) == address


@pytest.mark.parametrize("model", ["", ".", "..", "a\nb"])
def test_a_model_that_leads_elsewhere_is_refused(model: str) -> None:
    with pytest.raises(InvalidRequestError):
        FORMAT.address("/model/{model}/converse", model=model, stream=True)


EDITS = [
    ({"model": "other", "stream": True, "include_usage": True, "user": "u", "seed": 1}, None, None),
    (
        {"max_output_tokens": 7},
        "inferenceConfig",
        {"maxTokens": 7, "temperature": 0.5, "topP": 0.9, "stopSequences": ["x"]},
    ),
    ({"temperature": None, "stop_sequences": None}, "inferenceConfig", {"maxTokens": 100, "topP": 0.9}),
    ({"tools": None}, "toolConfig", None),
    (
        {"tool_choice": ToolChoice("named", "t")},
        "toolConfig",
        {**EVERYTHING["toolConfig"], "toolChoice": {"tool": {"name": "t"}}},
    ),
    ({"service_tier": None}, "serviceTier", None),
    ({"metadata": {"k": "v"}}, "requestMetadata", {"k": "v"}),
    ({"output_format": None}, "outputConfig", None),
    ({"top_k": 9}, "additionalModelRequestFields", {**EVERYTHING["additionalModelRequestFields"], "top_k": 9}),
]


@pytest.mark.parametrize(("edits", "place", "value"), EDITS)
def test_an_edit_changes_its_place_and_no_other_byte(edits, place, value) -> None:
    body = json.dumps({**EVERYTHING, "x_new": [1, {"y": 2.50}]}, indent=1).encode()
    patched = FORMAT.patch_request(body, edits)
    head = FORMAT.peek(body).patch
    assert head is not None
    assert head(edits, UNKNOWN_MODEL) == patched
    if place is None:
        assert patched is body
        return
    before, after = json.loads(body), json.loads(patched)
    assert after.get(place) == value
    assert {**before, place: None} == {**after, place: None}
    assert b'"x_new": [\n  1,' in patched


def test_messages_are_written_anew_with_their_system() -> None:
    body = json.dumps(EVERYTHING).encode()
    edited = FORMAT.patch_request(
        body, {"messages": (Message(Role.SYSTEM, (Text("s"),)), Message(Role.USER, (Text("u"),)))}
    )
    assert json.loads(edited) == {
        **EVERYTHING,
        "system": [{"text": "s"}],
        "messages": [{"role": "user", "content": [{"text": "u"}]}],
    }


def test_an_effort_is_edited_in_the_words_of_the_maker() -> None:
    body = json.dumps({"messages": []}).encode()
    edits = {"model": CLAUDE, "reasoning_effort": "medium"}
    assert json.loads(FORMAT.patch_request(body, edits, BUDGET))["additionalModelRequestFields"] == {
        "thinking": {"type": "enabled", "budget_tokens": 2048}
    }
    assert json.loads(FORMAT.patch_request(body, {"reasoning_effort": "low"}))["outputConfig"] == {"effort": "low"}


def test_a_field_that_does_not_exist_cannot_be_edited() -> None:
    with pytest.raises(TypeError, match="nonsense"):
        FORMAT.patch_request(b'{"messages":[]}', {"nonsense": 1})


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"messages": "x"}, "messages"),
        ({"messages": [1]}, "messages[0]"),
        ({"messages": [{"role": "robot", "content": []}]}, "messages[0].role"),
        ({"messages": [{"role": "user", "content": "hi"}]}, "messages[0].content"),
        ({"messages": [{"role": "user", "content": [{}]}]}, "messages[0].content[0]"),
        ({"messages": [{"role": "user", "content": [{"text": 1}]}]}, "messages[0].content[0].text"),
        (
            {"messages": [{"role": "user", "content": [{"image": {"format": "png"}}]}]},
            "messages[0].content[0].image.source",
        ),
        ({"system": "be nice"}, "system"),
        ({"toolConfig": {"tools": [{"toolSpec": {}}]}}, "toolConfig.tools[0].toolSpec.name"),
        ({"inferenceConfig": {"maxTokens": "7"}}, "inferenceConfig.maxTokens"),
        ({"serviceTier": "flex"}, "serviceTier"),
    ],
)
def test_what_is_wrong_is_named(change, named: str) -> None:
    body = json.dumps({"messages": [], **change}).encode()
    with pytest.raises(InvalidRequestError) as refused:
        FORMAT.peek(body)
        FORMAT.decode_request(body)
    assert refused.value.param == named


@given(st.binary(max_size=60) | json_values.map(lambda one: json.dumps(one).encode()))
def test_hostile_requests_and_answers_stay_declared(body: bytes) -> None:
    with contextlib.suppress(InvalidRequestError):
        FORMAT.peek(body)
        FORMAT.decode_request(body)
    for read in (FORMAT.decode_response, FORMAT.observe_response):
        with contextlib.suppress(ProviderProtocolError):
            read(body)
    FORMAT.decode_error(400, {}, body)


@settings(max_examples=100)
@given(st.dictionaries(st.sampled_from([*EVERYTHING]), json_values, max_size=4))
def test_requests_with_wrong_values_are_refused_by_name(value) -> None:
    with contextlib.suppress(InvalidRequestError):
        FORMAT.decode_request(json.dumps(value).encode())


# Translation


def openai(**more) -> ChatRequest:
    messages = more.pop("messages", [{"role": "user", "content": "hi"}])
    return attrs.evolve(
        OPENAI.decode_request(json.dumps({"model": "x", "messages": messages, **more}).encode()), model=CLAUDE
    )


def written(request: ChatRequest, facts: ModelFacts = BUDGET) -> dict:
    body = FORMAT.encode_request(request, facts)
    assert problems(body) == ""
    value: dict = json.loads(body)
    return value


def lost(request: ChatRequest, facts: ModelFacts = BUDGET) -> dict[str, str]:
    return {one.param: one.kind for one in FORMAT.unsupported(request, facts)}


def test_a_conversation_of_openai_is_put_in_order() -> None:
    pdf = {"type": "file", "file": {"filename": "my_file  v2.pdf", "file_data": f"data:application/pdf;base64,{B64}"}}
    call = {"type": "function", "function": {"name": "f", "arguments": ""}}
    request = openai(
        messages=[
            {"role": "system", "content": "s"},
            {"role": "developer", "content": "d"},
            {"role": "user", "content": [pdf, pdf]},
            {"role": "assistant", "content": " ", "tool_calls": [{"id": "a" * 70, **call}, {"id": "b.c", **call}]},
            {"role": "system", "content": "now"},
            {"role": "tool", "tool_call_id": "b.c", "content": ""},
            {"role": "tool", "tool_call_id": "a" * 70, "content": "one"},
            {"role": "tool", "tool_call_id": "gone", "content": "lost"},
            {"role": "user", "content": ""},
            {"role": "user", "content": "go"},
        ]
    )
    value = written(request)
    assert value["system"] == [{"text": "s"}, {"text": "d"}]
    first, turn, answer = value["messages"]
    assert [one.get("document", {}).get("name") for one in first["content"]] == ["my file v2", "my file v2 2", None]
    assert first["content"][2] == {"text": "."}
    ids = [one["toolUse"]["toolUseId"] for one in turn["content"]]
    assert len(set(ids)) == 2
    assert max(map(len, ids)) <= 64
    assert [one["toolResult"]["toolUseId"] for one in answer["content"][:2]] == ids
    assert [one["toolResult"]["content"] for one in answer["content"][:2]] == [
        [{"text": "one"}],
        [{"text": "(no content)"}],
    ]
    told = [one["text"] for one in answer["content"][2:]]
    assert told == ["System note: now", "Tool result for gone:", "lost", "go"]
    assert value["toolConfig"]["tools"][0]["toolSpec"]["name"] == "f", "declared, since the conversation has used it"
    assert written(request) == value


def test_a_conversation_of_anthropic_keeps_thoughts_marks_and_errors() -> None:
    body = {
        "model": "x",
        "max_tokens": 5000,
        "system": [{"type": "text", "text": "s", "cache_control": {"type": "ephemeral"}}],
        "thinking": {"type": "enabled", "budget_tokens": 3000},
        "tools": [
            {"name": "t", "input_schema": {"type": "object"}, "cache_control": {"type": "ephemeral", "ttl": "1h"}}
        ],
        "metadata": {"user_id": "u"},
        "top_k": 3,
        "messages": [
            {"role": "user", "content": "hi"},
            {
                "role": "assistant",
                "content": [
                    {"type": "thinking", "thinking": "hm", "signature": "EqQBCg=="},
                    {"type": "redacted_thinking", "data": B64},
                    {"type": "tool_use", "id": "toolu_1", "name": "t", "input": {}},
                ],
            },
            {
                "role": "user",
                "content": [
                    {
                        "type": "tool_result",
                        "tool_use_id": "toolu_1",
                        "is_error": True,
                        "content": [
                            {"type": "text", "text": "no"},
                            {
                                "type": "image",
                                "source": {"type": "base64", "media_type": "image/png", "data": B64},
                                "cache_control": {"type": "ephemeral"},
                            },
                        ],
                    }
                ],
            },
        ],
    }
    request = attrs.evolve(ANTHROPIC.decode_request(json.dumps(body).encode()), model=CLAUDE)
    value = written(request)
    assert value == {
        "system": [{"text": "s"}, {"cachePoint": {"type": "default"}}],
        "messages": [
            {"role": "user", "content": [{"text": "hi"}]},
            {
                "role": "assistant",
                "content": [
                    {"reasoningContent": {"reasoningText": {"text": "hm", "signature": "EqQBCg=="}}},
                    {"reasoningContent": {"redactedContent": B64}},
                    {"toolUse": {"toolUseId": "toolu_1", "name": "t", "input": {}}},
                ],
            },
            {
                "role": "user",
                "content": [
                    {
                        "toolResult": {
                            "toolUseId": "toolu_1",
                            "content": [{"text": "no"}, {"image": {"format": "png", "source": {"bytes": B64}}}],
                            "status": "error",
                        }
                    },
                    {"cachePoint": {"type": "default"}},
                ],
            },
        ],
        "inferenceConfig": {"maxTokens": 5000},
        "toolConfig": {
            "tools": [
                {"toolSpec": {"name": "t", "inputSchema": {"json": {"type": "object"}}}},
                {"cachePoint": {"type": "default", "ttl": "1h"}},
            ]
        },
        "additionalModelRequestFields": {"thinking": {"type": "enabled", "budget_tokens": 3000}},
    }
    assert lost(request) == {"user": "report", "top_k": "report"}


@pytest.mark.parametrize(
    ("model", "facts", "effort", "fields", "told"),
    [
        (CLAUDE, BUDGET, "high", {"thinking": {"type": "enabled", "budget_tokens": 4096}}, {}),
        (CLAUDE, BUDGET, "none", {"thinking": {"type": "disabled"}}, {}),
        (
            "us.anthropic.claude-opus-4-7",
            ADAPTIVE,
            "high",
            {"thinking": {"type": "adaptive", "display": "summarized"}, "output_config": {"effort": "high"}},
            {},
        ),
        (
            "us.anthropic.claude-opus-4-7",
            ADAPTIVE,
            "minimal",
            {"thinking": {"type": "adaptive", "display": "summarized"}, "output_config": {"effort": "low"}},
            {"reasoning_effort": "adjust"},
        ),
        (
            "us.amazon.nova-2-lite-v1:0",
            ModelFacts(thinking="level"),
            "xhigh",
            {"reasoningConfig": {"type": "enabled", "maxReasoningEffort": "high"}},
            {"reasoning_effort": "adjust"},
        ),
        (
            "us.amazon.nova-2-lite-v1:0",
            ModelFacts(thinking="level"),
            "none",
            {"reasoningConfig": {"type": "disabled"}},
            {},
        ),
        ("openai.gpt-oss-120b-1:0", UNKNOWN_MODEL, "low", {"reasoning_effort": "low"}, {}),
        ("openai.gpt-oss-120b-1:0", UNKNOWN_MODEL, "none", None, {}),
        (
            "us.openai.gpt-5.6-sol",
            ModelFacts(efforts=("none", "low", "high")),
            "medium",
            {"reasoning": {"effort": "high"}},
            {"reasoning_effort": "adjust"},
        ),
        ("meta.llama3-70b-instruct-v1:0", UNKNOWN_MODEL, "low", None, {"reasoning_effort": "report"}),
        ("amazon.nova-pro-v1:0", UNKNOWN_MODEL, "low", None, {"reasoning_effort": "report"}),
        ("meta.llama3-70b-instruct-v1:0", UNKNOWN_MODEL, "none", None, {}),
    ],
)
def test_an_effort_is_said_in_the_words_of_the_maker(model, facts, effort, fields, told) -> None:
    request = attrs.evolve(openai(reasoning_effort=effort), model=model)
    assert written(request, facts).get("additionalModelRequestFields") == fields
    assert lost(request, facts) == told
    if fields is not None:
        back = FORMAT.decode_request(FORMAT.encode_request(request, facts))
        assert back.reasoning_effort is not None


@pytest.mark.parametrize(
    ("more", "told"),
    [
        ({"temperature": 1.7}, {"temperature": "adjust"}),
        ({"temperature": 0.2, "top_p": 0.5}, {"top_p": "report"}),
        ({"max_tokens": 100_000}, {"max_output_tokens": "adjust"}),
        ({"stop": ["a", " "]}, {"stop_sequences": "report"}),
        (
            {"seed": 1, "user": "u", "presence_penalty": 1},
            {"seed": "report", "user": "report", "presence_penalty": "report"},
        ),
        ({"n": 2}, {"choice_count": "refuse"}),
        ({"logprobs": True}, {"logprobs": "refuse"}),
        ({"service_tier": "scale"}, {"service_tier": "report"}),
        ({"service_tier": "auto"}, {}),
        ({"metadata": {"ok": "v", "bad": "ü{"}}, {"metadata": "report"}),
        ({"response_format": {"type": "json_object"}}, {"output_format": "adjust"}),
        ({"reasoning_effort": "high", "temperature": 0.2}, {"temperature": "report"}),
        ({"reasoning_effort": "high", "max_tokens": 1000}, {"reasoning_effort": "report"}),
    ],
)
def test_what_cannot_be_said_is_told(more, told) -> None:
    assert lost(openai(**more)) == told


def part(value: dict) -> list[dict]:
    return [{"role": "user", "content": [{"type": "text", "text": "x"}, value]}]


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ({"type": "image_url", "image_url": {"url": "https://example.com/a.png"}}, "not in S3"),
        ({"type": "image_url", "image_url": {"url": f"data:image/tiff;base64,{B64}"}}, "image/tiff"),
        ({"type": "image_url", "image_url": {"url": "s3://bucket/name"}}, "does not tell"),
        ({"type": "file", "file": {"file_id": "file-1"}}, "another vendor keeps"),
        ({"type": "x_other", "x": 1}, "only openai-chat knows"),
    ],
)
def test_input_that_cannot_be_carried_is_refused(value, words) -> None:
    with pytest.raises(InvalidRequestError, match=words):
        FORMAT.encode_request(openai(messages=part(value)), BUDGET)


def test_media_that_can_be_carried() -> None:
    wav = {"type": "input_audio", "input_audio": {"data": B64, "format": "wav"}}
    picture = {"type": "image_url", "image_url": {"url": "s3://bucket/name.png"}}
    (turn,) = written(openai(messages=part(wav)))["messages"]
    assert turn["content"][1] == {"audio": {"format": "wav", "source": {"bytes": B64}}}
    (turn,) = written(openai(messages=part(picture)))["messages"]
    assert turn["content"][1] == {"image": {"format": "png", "source": {"s3Location": {"uri": "s3://bucket/name.png"}}}}


FUNCTION = {"type": "function", "function": {"name": "f", "parameters": {"type": "object", "properties": {}}}}
SPEC = {"toolSpec": {"name": "f", "inputSchema": {"json": {"type": "object", "properties": {}}}}}


@pytest.mark.parametrize(
    ("more", "config", "told"),
    [
        ({"tool_choice": "required"}, {"tools": [SPEC], "toolChoice": {"any": {}}}, {}),
        (
            {"tool_choice": {"type": "function", "function": {"name": "f"}}},
            {"tools": [SPEC], "toolChoice": {"tool": {"name": "f"}}},
            {},
        ),
        ({"tool_choice": "none"}, None, {}),
        ({"tool_choice": "auto", "parallel_tool_calls": False}, {"tools": [SPEC], "toolChoice": {"auto": {}}}, {}),
        (
            {"tool_choice": "required", "parallel_tool_calls": False},
            {"tools": [SPEC], "toolChoice": {"any": {}}},
            {"parallel_tool_calls": "report"},
        ),
    ],
)
def test_tools_and_their_choice(more, config, told) -> None:
    request = openai(tools=[FUNCTION], **more)
    assert written(request).get("toolConfig") == config
    assert lost(request) == told


def test_a_model_that_cannot_be_forced_is_asked_with_the_wanted_tool_alone() -> None:
    other = {"type": "function", "function": {"name": "g"}}
    request = openai(tools=[FUNCTION, other], tool_choice={"type": "function", "function": {"name": "f"}})
    facts = attrs.evolve(ADAPTIVE, forced_tools=False)
    assert written(request, facts)["toolConfig"] == {"tools": [SPEC], "toolChoice": {"auto": {}}}
    assert lost(request, facts) == {"tool_choice": "adjust"}


def test_guardrails_of_a_client_of_another_format_are_kept() -> None:
    guard = {"guardrailIdentifier": "g", "guardrailVersion": "1"}
    request = openai(guardrailConfig=guard, additionalModelRequestFields={"a": 1})
    assert written(request)["guardrailConfig"] == guard
    assert written(request)["additionalModelRequestFields"] == {"a": 1}
    assert lost(request) == {}


def test_a_guardrail_is_never_lost_on_the_way_to_another_format() -> None:
    body = json.dumps({"messages": [], "guardrailConfig": {"guardrailIdentifier": "g"}}).encode()
    request = attrs.evolve(FORMAT.decode_request(body), model="m")
    for other in (OPENAI, ANTHROPIC):
        assert {one.param: one.kind for one in other.unsupported(request)} == {"guardrailConfig": "refuse"}


def test_marks_for_the_cache_go_to_models_that_have_one() -> None:
    marked = [{"role": "user", "content": [{"type": "text", "text": "x", "cache_control": {"type": "ephemeral"}}]}]
    request = openai(messages=marked)
    assert written(request)["messages"][0]["content"][1] == {"cachePoint": {"type": "default"}}
    other = attrs.evolve(request, model="meta.llama3-70b-instruct-v1:0")
    assert written(other)["messages"][0]["content"] == [{"text": "x"}]
    assert lost(other) == {"cache_control": "report"}


def test_the_last_turn_is_one_that_the_model_takes() -> None:
    request = openai(messages=[{"role": "assistant", "content": "So: "}])
    assert written(request)["messages"][-1] == {"role": "assistant", "content": [{"text": "So:"}]}
    assert written(request, ADAPTIVE)["messages"][-1] == {"role": "user", "content": [{"text": "Continue."}]}
    assert written(request)["messages"][0] == {"role": "user", "content": [{"text": "."}]}


def test_a_schema_is_written_as_the_vendor_wants_it() -> None:
    schema = {"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]}
    request = openai(
        response_format={"type": "json_schema", "json_schema": {"name": "n", "schema": schema, "strict": True}}
    )
    given = written(request)["outputConfig"]["textFormat"]["structure"]["jsonSchema"]
    assert given["name"] == "n"
    assert json.loads(given["schema"]) == {**schema, "additionalProperties": False}


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(["full", "conversation", "media", "tools"]), st.sampled_from([BUDGET, ADAPTIVE, UNKNOWN_MODEL]))
def test_what_is_written_for_the_corpus_is_what_botocore_takes(name: str, facts: ModelFacts) -> None:
    request = attrs.evolve(OPENAI.decode_request(chat_corpus()[name]), model=CLAUDE)
    if not any(one.kind == "refuse" for one in FORMAT.unsupported(request, facts)):
        assert problems(FORMAT.encode_request(request, facts)) == ""


# Answers


def test_an_answer_survives_the_way_there_and_back() -> None:
    body = json.dumps(ANSWER).encode()
    response = FORMAT.decode_response(body)
    again = json.loads(FORMAT.encode_response(response))
    assert {**again, "usage": None} == {**ANSWER, "usage": None}
    assert parse_answer(json.dumps(again).encode())["usage"] == parse_answer(body)["usage"]
    assert response.usage == Usage(1130, 628, cache_read=1000, cache_write_5m=40, cache_write_1h=60)
    assert response.finish_reason is FinishReason.TOOL_CALLS
    outcome = FORMAT.observe_response(body)
    assert (outcome.usage, outcome.finish_reason, outcome.content, outcome.complete) == (
        response.usage,
        response.finish_reason,
        True,
        True,
    )


@pytest.mark.parametrize(
    ("stop", "reason"),
    [
        ("end_turn", "stop"),
        ("stop_sequence", "stop_sequence"),
        ("max_tokens", "length"),
        ("guardrail_intervened", "content_filter"),
        ("content_filtered", "content_filter"),
        ("model_context_window_exceeded", "length"),
        ("malformed_tool_use", "stop"),
    ],
)
def test_why_an_answer_ended(stop: str, reason: str) -> None:
    body = json.dumps(
        {**ANSWER, "output": {"message": {"role": "assistant", "content": [{"text": "x"}]}}, "stopReason": stop}
    )
    response = FORMAT.decode_response(body.encode())
    assert response.finish_reason == reason
    assert json.loads(FORMAT.encode_response(response))["stopReason"] == stop, "and it comes back as it came"
    plain = reason.removesuffix("_sequence")
    assert json.loads(OPENAI.encode_response(response))["choices"][0]["finish_reason"] == plain


@pytest.mark.parametrize(
    ("paths", "shown"),
    [
        (["/stop_sequence"], True),
        (["/usage", "/stop_sequence"], True),
        (["/stop_reason"], False),
        ("/stop_sequence", False),
        (None, False),
    ],
)
def test_the_text_that_ended_an_answer_is_told_to_those_who_ask(paths: Any, shown: bool) -> None:
    body = {"messages": [{"role": "user", "content": [{"text": "stop_sequence"}]}]}
    body |= {} if paths is None else {"additionalModelResponseFieldPaths": paths}
    request = read_request(FORMAT, json.dumps(body).encode(), model="m")
    choice = ChatChoice(0, Message(Role.ASSISTANT, ()), FinishReason.STOP_SEQUENCE, stop_sequence="END")
    answering = FORMAT.answering(request)
    whole = json.loads(answering.encode_response(ChatResponse("", "", (choice,), extra_format="anthropic-messages")))
    end = GatewayChunk((ChoiceDelta(finish_reason=FinishReason.STOP_SEQUENCE, stop_sequence="END"),))
    encoder = answering.stream_encoder()
    streamed = encoder.encode(end) + encoder.encode(GatewayChunk(final=True))
    assert whole["stopReason"] == "stop_sequence"
    assert whole.get("additionalModelResponseFields") == ({"stop_sequence": "END"} if shown else None)
    assert (b'"additionalModelResponseFields":{"stop_sequence":"END"}' in streamed) is shown


def test_what_a_model_says_beside_the_text_that_ended_its_answer_is_kept() -> None:
    for more in ({"x": 1, "stop_sequence": "END"}, {"stop_sequence": "END"}, {"stop_sequence": None}, {"x": 1}, {}):
        body = {**ANSWER, "additionalModelResponseFields": more}
        again = json.loads(FORMAT.encode_response(FORMAT.decode_response(json.dumps(body).encode())))
        assert again["additionalModelResponseFields"] == more


def test_an_answer_of_openai_for_a_client_of_botocore() -> None:
    answer = {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 1,
        "model": "m",
        "choices": [
            {
                "index": 0,
                "finish_reason": "tool_calls",
                "message": {
                    "role": "assistant",
                    "content": "",
                    "reasoning_content": "hm",
                    "tool_calls": [{"id": "c", "type": "function", "function": {"name": "f", "arguments": ""}}],
                },
            }
        ],
        "usage": {
            "prompt_tokens": 10,
            "completion_tokens": 5,
            "total_tokens": 15,
            "prompt_tokens_details": {"cached_tokens": 4},
        },
    }
    parsed = parse_answer(FORMAT.encode_response(OPENAI.decode_response(json.dumps(answer).encode())))
    assert parsed["output"]["message"]["content"] == [
        {"reasoningContent": {"reasoningText": {"text": "hm"}}},
        {"toolUse": {"toolUseId": "c", "name": "f", "input": {}}},
    ]
    assert parsed["stopReason"] == "tool_use"
    assert parsed["usage"] == {"inputTokens": 6, "outputTokens": 5, "totalTokens": 15, "cacheReadInputTokens": 4}
    assert parsed["metrics"] == {"latencyMs": 0}


def test_an_error_inside_a_success_is_found() -> None:
    body = b'{"Output":{"__type":"com.amazon.coral.service#UnknownOperationException"},"Version":"1.0"}'
    error = FORMAT.observe_response(body).error
    assert error is not None
    assert error.type == "UnknownOperationException"


# Errors


@pytest.mark.parametrize(
    ("headers", "body", "message", "kind", "status"),
    [
        (
            {"x-amzn-errortype": "ThrottlingException:http://internal.amazon.com/coral/"},
            b'{"message":"Too many"}',
            "Too many",
            "ThrottlingException",
            429,
        ),
        ({}, b'{"__type":"com.amazon#ValidationException","Message":"bad"}', "bad", "ValidationException", 400),
        ({"x-amzn-errortype": "AccessDeniedException"}, b"{}", "AccessDeniedException", "AccessDeniedException", 403),
        ({}, b'{"message":"The security token is expired"}', "The security token is expired", None, None),
    ],
)
def test_errors_are_read(headers, body, message, kind, status) -> None:
    detail = FORMAT.decode_error(400, headers, body)
    assert detail is not None
    assert (detail.message, detail.type, detail.status) == (message, kind, status)


@pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b"{}", b'"x"'])
def test_what_is_no_error_body_is_none(body: bytes) -> None:
    assert FORMAT.decode_error(500, {}, body) is None


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        (InvalidRequestError("bad"), 400, "ValidationException"),
        (AuthenticationError("who?"), 403, "AccessDeniedException"),
        (RateLimitError("slow"), 429, "ThrottlingException"),
        (ProviderTimeoutError("late"), 504, "ModelTimeoutException"),
        (ProviderError("gone", upstream_status=503), 503, "ServiceUnavailableException"),
        (ProviderError("odd", upstream_status=424), 424, "ModelErrorException"),
        (GatewayError("oops"), 500, "InternalServerException"),
    ],
)
def test_errors_are_written_as_botocore_reads_them(error: GatewayError, status: int, code: str) -> None:
    assert FORMAT.error_status(error) == status
    parsed = parse_answer(FORMAT.encode_error(error), status=status, headers=FORMAT.error_headers(error))
    assert parsed["Error"] == {"Message": error.message, "Code": code}


@pytest.mark.parametrize(
    ("model", "maker", "points"),
    [
        ("anthropic.claude-3-haiku-20240307-v1:0", "anthropic", True),
        ("global.anthropic.claude-sonnet-5", "anthropic", True),
        ("arn:aws:bedrock:us-east-1::foundation-model/amazon.nova-pro-v1:0", "amazon", True),
        ("arn:aws:bedrock:us-east-1:123456789012:application-inference-profile/abc", "", True),
        ("us.meta.llama4-scout-17b-instruct-v1:0", "meta", False),
        ("nothing", "", True),
    ],
)
def test_the_maker_is_told_by_the_id(model: str, maker: str, points: bool) -> None:
    assert maker_of(model) == maker
    assert caches(maker) is points
