from __future__ import annotations

import base64

import pytest

from llmgate.formats.ollama_chat.messages import (
    decode_calls,
    decode_messages,
    encode_call,
    encode_messages,
    encode_turn,
)
from llmgate.spec import (
    Blob,
    InvalidRequestError,
    Message,
    Refusal,
    Role,
    Text,
    ToolCall,
    ToolCallResponse,
    Unknown,
    Uri,
)


def test_a_failed_result_says_so_and_keeps_its_picture():
    parts = (
        ToolCallResponse("c", (Text("no"), Blob("image", "image/png", "QUJD")), is_error=True),
        ToolCallResponse("d", (), is_error=True),
        Text("go on"),
    )
    calls = Message(Role.ASSISTANT, (ToolCall("c", "f", "{}"),))
    assert encode_messages([calls, Message(Role.USER, parts)], own=False)[1:] == [
        {"role": "tool", "content": "Error: no", "images": ["QUJD"], "tool_name": "f", "tool_call_id": "c"},
        {"role": "tool", "content": "Error", "tool_call_id": "d"},
        {"role": "user", "content": "go on"},
    ]


def test_texts_become_one():
    plain = Blob("document", "text/plain", base64.b64encode("é".encode()).decode())
    assert encode_turn([Text("a"), Refusal("no"), plain]) == {"content": "a\nno\né"}


@pytest.mark.parametrize(
    "part",
    [
        Uri("image", "https://x/y.png"),
        Unknown("openai-chat", {}),
        Blob("video", "video/mp4", "QUJD"),
        Blob("document", "text/plain", "no base64!"),
    ],
)
def test_what_has_no_place_is_refused(part):
    with pytest.raises(InvalidRequestError) as refused:
        encode_turn([part])
    assert refused.value.code == "unsupported_content"


def test_calls_with_arguments_as_text_are_understood():
    calls = decode_calls(
        [{"id": "a", "function": {"name": "f", "arguments": '{"a": 1}'}}, {"function": {"name": "g"}}], "p", "call_0"
    )
    assert calls == [ToolCall("a", "f", '{"a": 1}'), ToolCall("call_0_1", "g", "{}")]
    assert encode_call(calls[0], 0) == {"id": "a", "function": {"index": 0, "name": "f", "arguments": {"a": 1}}}


def test_roles_in_capitals_and_results_of_unknown_calls():
    one, two = decode_messages([{"role": "USER", "content": "a"}, {"role": "tool", "content": "b", "tool_name": "f"}])
    assert one.role is Role.USER
    assert two.parts == (ToolCallResponse("call_of_f", (Text("b"),), extra={"tool_name": "f"}),)
    assert encode_messages([two]) == [{"role": "tool", "content": "b", "tool_name": "f", "tool_call_id": "call_of_f"}]
