from __future__ import annotations

import pytest

from llmgate.formats.anthropic_messages.parts import decode_block, encode_block, tool_input
from llmgate.formats.fields import ShapeError
from llmgate.spec import Blob, FileRef, InvalidRequestError, Reasoning, Refusal, Text, ToolCall, Unknown, Uri

BLOCKS = [
    {"type": "text", "text": "a", "cache_control": {"type": "ephemeral"}, "citations": []},
    {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "aGk="}},
    {"type": "image", "source": {"type": "url", "url": "https://x.example/a.png"}},
    {"type": "image", "source": {"type": "file", "file_id": "file_1"}},
    {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "hé"}, "title": "t"},
    {"type": "document", "source": {"type": "content", "content": [{"type": "text", "text": "a"}]}},
    {"type": "document", "source": {"type": "base64", "media_type": "application/pdf", "data": "aGk=", "x": 1}},
    {"type": "thinking", "thinking": "hm", "signature": "c2ln+/=="},
    {"type": "redacted_thinking", "data": "opaque"},
    {"type": "tool_use", "id": "t", "name": "f", "input": {"b": 1, "a": [2]}, "caller": {"type": "direct"}},
    {"type": "tool_result", "tool_use_id": "t", "content": "x", "is_error": True, "cache_control": {"type": "x"}},
    {"type": "tool_result", "tool_use_id": "t"},
    {"type": "tool_result", "tool_use_id": "t", "content": [{"type": "tool_reference", "tool_name": "f"}]},
    {"type": "server_tool_use", "id": "s", "name": "web_search", "input": {}},
]


@pytest.mark.parametrize("block", BLOCKS)
def test_blocks_come_back_as_they_were(block):
    assert encode_block(decode_block(block, "x")) == block


@pytest.mark.parametrize(
    ("block", "path"),
    [
        ("text", "x"),
        ({"text": "a"}, "x.type"),
        ({"type": "text"}, "x.text"),
        ({"type": "image"}, "x.source"),
        ({"type": "image", "source": {}}, "x.source.type"),
        ({"type": "tool_use", "id": "a", "name": "f", "input": []}, "x.input"),
        ({"type": "tool_result", "tool_use_id": "a", "content": 3}, "x.content"),
        ({"type": "thinking", "thinking": "a", "signature": 3}, "x.signature"),
    ],
)
def test_what_is_no_block_is_named(block, path):
    with pytest.raises(ShapeError) as failure:
        decode_block(block, "x")
    assert failure.value.path == path


@pytest.mark.parametrize(
    ("arguments", "value"),
    [
        ("", {}),
        (" ", {}),
        ('{"a":1}', {"a": 1}),
        ("[1]", {"INVALID_JSON": "[1]"}),
        ('{"a":', {"INVALID_JSON": '{"a":'}),
        ("null", {"INVALID_JSON": "null"}),
    ],
)
def test_arguments_become_an_object_whatever_they_are(arguments, value):
    assert tool_input(arguments) == value


def test_parts_of_other_formats_keep_their_own_fields_to_themselves():
    mark = {"cache_control": {"type": "ephemeral"}}
    assert encode_block(Text("a", extra={**mark, "x": 1}), own=False) == {"type": "text", "text": "a", **mark}
    call = ToolCall("a", "f", "{}", extra={"function": {"x": 1}})
    assert encode_block(call, own=False) == {"type": "tool_use", "id": "a", "name": "f", "input": {}}
    thought = Reasoning("a", "sig", extra={"field": "reasoning"})
    assert encode_block(thought, own=False) == {"type": "thinking", "thinking": "a", "signature": "sig"}
    assert encode_block(Refusal("no")) == {"type": "text", "text": "no"}
    named = Blob("document", "application/pdf", "aGk=", extra={"file": {"filename": "a.pdf"}})
    assert encode_block(named, own=False)["title"] == "a.pdf"


@pytest.mark.parametrize(
    "part",
    [
        Blob("audio", "audio/wav", "aGk="),
        Uri("video", "https://x.example"),
        FileRef("audio", "f"),
        Unknown("openai-chat", {}),
        Blob("document", "text/plain", "not base64!"),
    ],
)
def test_what_has_no_counterpart_is_refused(part):
    with pytest.raises(InvalidRequestError) as failure:
        encode_block(part)
    assert failure.value.param == "messages"
