from __future__ import annotations

import json
from typing import Any

import pytest

from llmgate.formats import get_format
from llmgate.formats.losses import Losses, leave_out, with_parts
from llmgate.spec import (
    Blob,
    ChatRequest,
    FileRef,
    InvalidRequestError,
    Message,
    OutputFormat,
    Role,
    Text,
    ToolDefinition,
    Unknown,
    Uri,
)


def test_each_thing_is_named_once_and_a_refusal_outweighs():
    losses = Losses()
    losses.report("a")
    losses.adjust("a")
    losses.report("b")
    assert [(one.param, one.kind) for one in losses.found] == [("a", "report"), ("b", "report")]
    losses.check()
    losses.refuse("a", "not that")
    with pytest.raises(InvalidRequestError, match="not that") as failure:
        losses.check()
    assert failure.value.param == "a"


def test_fields_that_are_not_carried_are_left_out_and_named():
    losses = Losses()
    request = ChatRequest("m", (), seed=1, temperature=0.5, user="u", metadata={"a": "b"}, choice_count=1)
    left = leave_out(request, {"temperature"}, (), losses)
    assert left == ChatRequest("m", (), temperature=0.5)
    assert {one.param: one.kind for one in losses.found} == {"seed": "report", "user": "report", "metadata": "report"}


@pytest.mark.parametrize(
    ("extra", "found"),
    [
        ({"logprobs": True, "x": 1, "handled": 1}, {"logprobs": "refuse", "x": "report"}),
        ({"logprobs": False, "x": None, "y": [], "z": {}, "w": ""}, {}),
        ({"modalities": ["text"], "function_call": "auto"}, {}),
    ],
)
def test_fields_of_another_formats_own(extra, found):
    losses = Losses()
    request = ChatRequest("m", (), extra=extra)
    left = leave_out(request, (), {"handled"}, losses)
    assert left.extra == {name: value for name, value in extra.items() if name not in found}
    assert (left is request) == (not found)
    assert {one.param: one.kind for one in losses.found} == found


def test_zero_and_false_say_something_and_are_named_as_well():
    losses = Losses()
    request = ChatRequest(
        "m", (), tools=(ToolDefinition("f"),), seed=0, temperature=0.0, parallel_tool_calls=False, user=""
    )
    left = leave_out(request, (), (), losses)
    assert {one.param for one in losses.found} == {"seed", "temperature", "parallel_tool_calls"}
    assert (left.seed, left.temperature, left.parallel_tool_calls) == (None, None, None)


def test_a_choice_that_the_field_carries_is_left_alone():
    request = ChatRequest("m", (), choice_count=3)
    losses = Losses()
    assert leave_out(request, {"choice_count"}, (), losses) is request
    assert losses.found == ()


def test_a_message_whose_parts_are_its_own_is_the_same():
    message = Message(Role.USER, (Text("a"), Text("b")))
    assert with_parts(message, list(message.parts)) is message
    assert with_parts(message, message.parts[:1]).text == "a"


FOREIGN = {
    "anthropic-messages": ChatRequest(
        "claude-x",
        (
            Message(Role.USER, (Text("look"), Blob("audio", "audio/wav", "UklGRg=="), FileRef("image", "file-1"))),
            Message(Role.USER, (Blob("image", "image/tiff", "AAAA"), Uri("image", "ftp://x/y"))),
        ),
        tools=(ToolDefinition("search", extra={"type": "web_search"}), ToolDefinition("f")),
        output_format=OutputFormat("json_schema", schema={"type": "object", "additionalProperties": True}),
        choice_count=3,
        seed=1,
        extra={"logprobs": True, "audio": {"voice": "x"}, "anything": 1},
        extra_format="openai-chat",
    ),
    "openai-chat": ChatRequest(
        "gpt-x",
        (
            Message(
                Role.USER, (Text("look"), FileRef("image", "file-1"), Unknown("anthropic-messages", {"type": "x"}))
            ),
            Message(Role.USER, (FileRef("document", "file-2"),)),
        ),
        tools=(ToolDefinition("search", extra={"type": "web_search_20250305"}), ToolDefinition("f")),
        extra={"container": "x", "web_search_options": {"a": 1}},
        extra_format="anthropic-messages",
    ),
}


@pytest.mark.parametrize("name", FOREIGN)
def test_a_fitted_request_has_nothing_to_refuse_any_more(name):
    """It is written by the same encoder that refuses the request as it came, and nothing refused is in it."""
    wire_format, request = get_format(name), FOREIGN[name]
    refused = {one.param for one in wire_format.unsupported(request) if one.kind == "refuse"}
    assert len(refused) >= 3
    with pytest.raises(InvalidRequestError):
        wire_format.encode_request(request)
    fitted = wire_format.fitted(request)
    assert not [one for one in wire_format.unsupported(fitted) if one.kind == "refuse"]
    body = json.loads(wire_format.encode_request(fitted))
    assert len(body["messages"]) == 1
    assert len(body["tools"]) == 1
    assert not body.keys() & {"logprobs", "audio", "web_search_options", "n", "response_format", "output_config"}


@pytest.mark.parametrize("name", FOREIGN)
def test_a_request_of_the_formats_own_is_fitted_already(name):
    request = ChatRequest("m", (Message(Role.USER, (Text("hi"),)),), extra={"own": 1}, extra_format=name)
    assert get_format(name).fitted(request) is request


def test_a_format_that_does_not_say_how_leaves_the_request_alone():
    request = FOREIGN["openai-chat"]
    assert get_format("openai-embeddings").fitted(request) is request


@pytest.mark.parametrize(
    ("name", "body"),
    [
        ("cohere-chat", {"thinking": {"type": "enabled", "token_budget": 4096}}),
        ("ollama-chat", {"think": True}),
    ],
)
@pytest.mark.parametrize("to", ["anthropic-messages", "bedrock-converse", "gemini-generate-content", "openai-chat"])
def test_an_effort_in_a_formats_own_words_is_neither_written_to_others_nor_named_as_lost(name, body, to):
    messages = [{"role": "user", "content": "hi"}]
    given = get_format(name).decode_request(
        json.dumps({"model": "anthropic.claude-sonnet-4-5", "messages": messages, **body}).encode()
    )
    assert given.reasoning_effort
    wire_format = get_format(to)
    assert wire_format.unsupported(given) == ()
    written = json.loads(wire_format.encode_request(given))
    assert "think" not in written
    assert "token_budget" not in json.dumps(written)


def test_what_looks_like_an_effort_and_is_none_is_still_named():
    losses = Losses()
    request = ChatRequest("m", (), extra={"think": "about it"}, extra_format="ollama-chat")
    assert leave_out(request, (), (), losses).extra == {}
    assert [one.param for one in losses.found] == ["think"]


CITED = {"type": "document", "context": "a law", "citations": {"enabled": True},
         "source": {"type": "base64", "media_type": "application/pdf", "data": "JVBERi0xLjQK"}}  # fmt: skip
PLAIN = {**CITED, "context": None, "citations": {"enabled": False}}


def asking_of(document: dict[str, Any], **tool: Any) -> ChatRequest:
    result = {"type": "tool_result", "tool_use_id": "t", "content": [document]}
    body = {
        "model": "m",
        "max_tokens": 100,
        "messages": [
            {"role": "user", "content": [document, {"type": "text", "text": "?"}]},
            {"role": "user", "content": [result]},
        ],
        "tools": [{"name": "f", "input_schema": {"type": "object"}, **tool}],
    }
    return get_format("anthropic-messages").decode_request(json.dumps(body).encode())


@pytest.mark.parametrize("name", ["openai-chat", "openai-responses", "gemini-generate-content"])
def test_what_is_asked_of_documents_and_of_tools_is_not_lost_silently(name: str) -> None:
    request = asking_of(CITED, defer_loading=True, input_examples=[{}], eager_input_streaming=False)
    found = {one.param: one.kind for one in get_format(name).unsupported(request)}
    assert found == {
        "messages.citations": "report",
        "messages.context": "report",
        "tools.defer_loading": "report",
        "tools.input_examples": "report",
    }
    assert list(get_format(name).unsupported(asking_of(PLAIN))) == []


def test_bedrock_and_anthropic_say_the_same_of_documents() -> None:
    converse, messages = get_format("bedrock-converse"), get_format("anthropic-messages")
    request = asking_of(CITED)
    assert [one.param for one in converse.unsupported(request)] == []
    written = converse.encode_request(request)
    document = json.loads(written)["messages"][0]["content"][0]["document"]
    assert (document["context"], document["citations"]) == ("a law", {"enabled": True})
    block = json.loads(messages.encode_request(converse.decode_request(written)))["messages"][0]["content"][0]
    assert (block["context"], block["citations"]) == ("a law", {"enabled": True})
    plain = json.loads(converse.encode_request(asking_of(PLAIN)))["messages"][0]["content"][0]["document"]
    assert not plain.keys() & {"context", "citations"}


@pytest.mark.parametrize(
    "name",
    ["anthropic-messages", "openai-chat", "gemini-generate-content", "bedrock-converse", "cohere-chat", "ollama-chat"],
)
def test_what_another_vendors_tools_did_before_is_left_out_and_named(name: str) -> None:
    body = {
        "model": "m",
        "input": [
            {"role": "user", "content": "What is new?"},
            {
                "type": "web_search_call",
                "id": "ws_1",
                "status": "completed",
                "action": {"type": "search", "query": "x"},
            },
            {"role": "assistant", "content": [{"type": "output_text", "text": "This.", "annotations": []}]},
            {"role": "user", "content": "More?"},
        ],
    }
    request = get_format("openai-responses").decode_request(json.dumps(body).encode())
    other = get_format(name)
    assert [(one.param, one.kind) for one in other.unsupported(request)] == [("messages.content", "report")]
    assert b"This." in other.encode_request(request)


def test_a_request_of_system_words_alone_has_an_input() -> None:
    body = {"model": "m", "messages": [{"role": "system", "content": "Greet."}]}
    request = get_format("openai-chat").decode_request(json.dumps(body).encode())
    value = json.loads(get_format("openai-responses").encode_request(request))
    assert value["input"] == [{"type": "message", "role": "system", "content": "Greet."}]
    assert "instructions" not in value


@pytest.mark.parametrize(
    "name",
    ["openai-chat", "openai-responses", "gemini-generate-content", "bedrock-converse", "cohere-chat", "ollama-chat"],
)
def test_a_request_that_only_fills_a_cache_asks_others_for_the_least(name: str) -> None:
    body = {"model": "m", "max_tokens": 0, "messages": [{"role": "user", "content": "x"}]}
    request = get_format("anthropic-messages").decode_request(json.dumps(body).encode())
    other = get_format(name)
    assert [(one.param, one.kind) for one in other.unsupported(request)] == [("max_output_tokens", "adjust")]
    read = other.decode_request(other.encode_request(request))
    assert read.max_output_tokens == (16 if name == "openai-responses" else 1)
