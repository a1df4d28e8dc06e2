from __future__ import annotations

import pytest

from llmgate.formats.fields import ShapeError
from llmgate.formats.openai_chat.messages import decode_message, encode_messages
from llmgate.spec import Blob, Message, Reasoning, Role, Text, ToolCall, ToolCallResponse, Unknown


def both_ways(wire: dict[str, object]) -> Message:
    message = decode_message(wire, "m")
    assert encode_messages([message]) == [wire]
    return message


def test_tool_calls_keep_their_text_and_their_extras():
    call = {
        "id": "c1",
        "type": "function",
        "function": {"name": "f", "arguments": '{ "a":1}'},
        "extra_content": {"google": {"thought_signature": "s"}},
    }
    message = both_ways({"role": "assistant", "content": None, "tool_calls": [call]})
    assert message.parts == (
        ToolCall("c1", "f", '{ "a":1}', extra={"extra_content": {"google": {"thought_signature": "s"}}}),
    )


def test_a_call_of_another_kind_survives():
    call = {"id": "c1", "type": "custom", "custom": {"name": "sql", "input": "select 1"}}
    message = both_ways({"role": "assistant", "content": "x", "tool_calls": [call]})
    assert message.parts == (Text("x"), ToolCall("c1", "sql", '{"input":"select 1"}', {"own": call, "custom": True}))
    odd = {"id": "c1", "type": "custom", "custom": {"name": "sql"}}
    message = both_ways({"role": "assistant", "content": "x", "tool_calls": [odd]})
    assert message.parts == (Text("x"), Unknown("openai-chat", {"tool_call": odd}))


def test_arguments_that_are_an_object_become_text():
    wire = {"role": "assistant", "tool_calls": [{"function": {"name": "f", "arguments": {"a": 1}}}]}
    assert decode_message(wire, "m").parts == (ToolCall("", "f", '{"a":1}'),)


@pytest.mark.parametrize("field", ["reasoning_content", "reasoning"])
def test_reasoning_goes_back_under_the_name_it_came_by(field):
    message = both_ways({"role": "assistant", "content": "391", field: "17 * 23"})
    assert [part.text for part in message.parts if isinstance(part, Reasoning)] == ["17 * 23"]


def test_signed_reasoning_travels_whole():
    blocks = [
        {"type": "thinking", "thinking": "hm", "signature": "sig"},
        {"type": "redacted_thinking", "data": "opaque"},
    ]
    wire = {"role": "assistant", "content": "a", "reasoning_content": "hm", "thinking_blocks": blocks}
    assert both_ways(wire).parts[0] == Reasoning("hm", "sig")


def test_signatures_do_not_leave_in_a_request_of_another_format():
    message = Message(Role.ASSISTANT, (Reasoning("hm", "sig"), Text("a", extra={"citations": []})))
    assert encode_messages([message], own=False) == [{"role": "assistant", "content": "a", "reasoning_content": "hm"}]


def test_unknown_fields_of_a_message_survive():
    assert both_ways({"role": "user", "content": "a", "x_cache": True}).extra == {"x_cache": True}


def test_results_come_before_the_rest_and_media_after():
    picture = Blob("image", "image/png", "aGk=")
    turn = Message(
        Role.USER,
        (
            Text("and now?"),
            ToolCallResponse("c1", (Text("one"), picture)),
            ToolCallResponse("c2", (Text("broke"),), is_error=True),
        ),
    )
    written = encode_messages([turn])
    assert [message["role"] for message in written] == ["tool", "tool", "user", "user"]
    assert [message.get("tool_call_id") for message in written[:2]] == ["c1", "c2"]
    assert [message["content"] for message in written[:2]] == ["one", "Error: broke"]
    assert written[2]["content"][1]["image_url"]["url"] == "data:image/png;base64,aGk="
    assert written[3]["content"] == "and now?"


def test_media_in_the_last_result_is_not_lost():
    written = encode_messages([Message(Role.TOOL, (ToolCallResponse("c", (Blob("image", "image/png", ""),)),))])
    assert [message["role"] for message in written] == ["tool", "user"]
    assert written[0]["content"] == ""


@pytest.mark.parametrize(
    ("wire", "path"),
    [
        ("hi", "m"),
        ({"content": "a"}, "m.role"),
        ({"role": "function", "content": "a"}, "m.role"),
        ({"role": "user", "content": 1}, "m.content"),
        ({"role": "user", "content": [1]}, "m.content[0]"),
        ({"role": "user", "content": "a", "name": 1}, "m.name"),
        ({"role": "tool", "content": "a"}, "m.tool_call_id"),
        ({"role": "assistant", "tool_calls": {}}, "m.tool_calls"),
        ({"role": "assistant", "tool_calls": [{"id": "a"}]}, "m.tool_calls[0].function"),
        ({"role": "assistant", "refusal": []}, "m.refusal"),
    ],
)
def test_names_what_is_wrong(wire, path):
    with pytest.raises(ShapeError) as caught:
        decode_message(wire, "m")
    assert caught.value.path == path
