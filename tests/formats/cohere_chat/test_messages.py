from __future__ import annotations

import pytest

from llmgate.formats.cohere_chat.messages import decode_message, decode_turn, encode_calls, encode_messages, plan_in
from llmgate.formats.fields import ShapeError
from llmgate.spec import Blob, Message, Refusal, Role, Text, ToolCall, ToolCallResponse

CALL = {"id": "c", "type": "function", "function": {"name": "f", "arguments": '{"a": 1}'}}


def test_a_plan_stands_beside_the_calls():
    value = {"role": "assistant", "tool_plan": "I will look.", "tool_calls": [CALL], "citations": [{"start": 1}]}
    message = decode_message(value, "m")
    plan = Text("I will look.", extra={"field": "tool_plan"})
    assert message.parts == (plan, ToolCall("c", "f", '{"a": 1}'))
    assert plan_in(message.parts, own=True) == [plan]
    assert encode_messages([message]) == [value]


def test_text_beside_calls_of_another_format_is_the_plan():
    message = Message(Role.ASSISTANT, (Text("I will "), Refusal("look."), ToolCall("c", "f", "")))
    (sent,) = encode_messages([message], own=False)
    assert sent == {
        "role": "assistant",
        "tool_plan": "I will look.",
        "tool_calls": [{"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}],
    }
    assert encode_messages([Message(Role.ASSISTANT, (Text("a"),))], own=False) == [
        {"role": "assistant", "content": "a"}
    ]


def test_results_come_first_and_their_pictures_after_them():
    picture = Blob("image", "image/png", "QUJD")
    results = (
        Text("and?"),
        ToolCallResponse("c", (Text("no"), picture), is_error=True),
        ToolCallResponse("d", (), is_error=True),
        ToolCallResponse("e", ()),
    )
    sent = encode_messages([Message(Role.USER, results)], own=False)
    assert [one["role"] for one in sent] == ["tool", "tool", "tool", "user", "user"]
    assert [one["content"] for one in sent[:3]] == ["Error: no", "Error", ""]
    assert sent[3]["content"][1]["type"] == "image_url"
    assert sent[4]["content"] == "and?"


def test_what_some_models_write_for_nothing():
    source = {
        "tool_calls": [{"function": {"name": "f", "arguments": "null"}}, {"function": {"arguments": {"a": 1}}}, {}]
    }
    assert decode_turn(source, "m") == [
        ToolCall("call_0", "f", "{}"),
        ToolCall("call_1", "", '{"a":1}'),
        ToolCall("call_2", "", ""),
    ]
    assert encode_calls([ToolCall("a", "f", "", extra={"x": 1})], own=False)[0].keys() == {"id", "type", "function"}


def test_roles():
    assert decode_message({"role": "SYSTEM", "content": "a"}, "m").role is Role.SYSTEM
    assert encode_messages([Message(Role.DEVELOPER, (Text("a"),))])[0]["role"] == "system"
    for wrong in ({"role": "king"}, {"role": "tool", "content": "a"}, {}):
        with pytest.raises(ShapeError):
            decode_message(wrong, "m")
