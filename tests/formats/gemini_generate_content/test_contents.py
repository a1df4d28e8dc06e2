from __future__ import annotations

import pytest
from google.genai import types

from llmgate.catalogue import facts_of
from llmgate.formats.fields import ShapeError
from llmgate.formats.gemini_generate_content.contents import (
    UNSIGNED,
    decode_contents,
    decode_system,
    encode_conversation,
)
from llmgate.formats.thought_signatures import marked_id, signed
from llmgate.spec import UNKNOWN_MODEL, Blob, Message, Reasoning, Role, Text, ToolCall, ToolCallResponse

NEW, OLD = facts_of("gemini-3-flash-preview"), facts_of("gemini-2.5-flash")


def user(*parts):
    return Message(Role.USER, parts)


def model(*parts, **fields):
    return Message(Role.ASSISTANT, parts, **fields)


def call(call_id, name="f", **extra):
    return ToolCall(call_id, name, "{}", extra=extra)


def result(call_id, text="ok"):
    return ToolCallResponse(call_id, (Text(text),))


def written(*messages, facts=NEW):
    system, contents = encode_conversation(messages, facts, own=False)
    for content in contents:
        types.Content.model_validate(content)
    return system, [(one["role"], one["parts"]) for one in contents]


def test_roles_and_shapes_are_read_as_google_reads_them():
    messages = decode_contents(
        [{"parts": {"text": "a"}}, {"role": "model", "parts": [{"text": "b"}]}, {"role": "function", "parts": []}]
    )
    assert [one.role for one in messages] == [Role.USER, Role.ASSISTANT, Role.USER]
    _, contents = encode_conversation(messages, UNKNOWN_MODEL)
    assert contents == [
        {"parts": [{"text": "a"}]},
        {"role": "model", "parts": [{"text": "b"}]},
        {"role": "function", "parts": []},
    ]
    with pytest.raises(ShapeError, match=r"contents\[0\].role"):
        decode_contents([{"role": "assistant", "parts": []}])


def test_the_pieces_of_a_streamed_turn_are_one_turn():
    pieces = [{"role": "model", "parts": [{"functionCall": {"name": name}}]} for name in "fg"]
    (message,) = decode_contents(pieces)
    assert [part.name for part in message.parts] == ["f", "g"]


def test_a_system_instruction_is_a_content_or_a_text():
    assert decode_system("be brief") == decode_system({"parts": {"text": "be brief"}})
    assert decode_system(None) == ()


def test_system_messages_lead_or_are_notes():
    system, turns = written(
        Message(Role.SYSTEM, (Text("a"),)),
        Message(Role.DEVELOPER, (Text("b"), Text(""))),
        user(Text("c")),
        model(Text("d")),
        Message(Role.SYSTEM, (Text("e"),)),
    )
    assert system == {"parts": [{"text": "a"}, {"text": "b"}]}
    assert turns[-1] == ("user", [{"text": "System note: e"}])


def test_turns_of_one_role_become_one_and_empty_texts_are_left_out():
    _, turns = written(user(Text("a"), Text("")), user(Text("b")), model(Text("c")), model(Text("d")), user(Text("e")))
    assert turns == [
        ("user", [{"text": "a"}, {"text": "b"}]),
        ("model", [{"text": "c"}, {"text": "d"}]),
        ("user", [{"text": "e"}]),
    ]


def test_the_user_speaks_first_even_where_nobody_did():
    assert written()[1] == [("user", [{"text": " "}])]
    assert [role for role, _ in written(model(Text("a")), user(Text("b")))[1]] == ["user", "model", "user"]


def test_results_stand_alone_in_the_order_of_the_calls():
    tool = [Message(Role.TOOL, (result("b", "second"),)), Message(Role.TOOL, (result("a", "first"),))]
    _, turns = written(user(Text("q")), model(call("a"), call("b")), *tool, user(Text("and?")))
    assert [role for role, _ in turns] == ["user", "model", "user", "user"]
    said = [one["functionResponse"]["response"]["output"] for one in turns[2][1]]
    assert said == ["first", "second"]
    assert turns[3][1] == [{"text": "and?"}]


def test_a_note_between_calls_and_results_waits():
    note = Message(Role.SYSTEM, (Text("careful"),))
    _, turns = written(user(Text("q")), model(call("a")), note, user(result("a")))
    assert "functionResponse" in turns[2][1][0]
    assert turns[3][1] == [{"text": "System note: careful"}]


def test_ids_go_to_models_that_have_them_unless_they_were_made_here():
    asked = (user(Text("q")), model(call("a"), call("gcall_0123456789abcdef", "g")), user(result("a")))
    _, turns = written(*asked)
    assert turns[1][1][0]["functionCall"]["id"] == turns[2][1][0]["functionResponse"]["id"] == "a"
    assert "id" not in turns[1][1][1]["functionCall"]
    _, turns = written(*asked, facts=OLD)
    assert "id" not in turns[1][1][0]["functionCall"]
    assert turns[2][1][0]["functionResponse"]["name"] == "f"


def test_a_signature_returns_with_its_call_whichever_way_it_travelled():
    signature = "CisB+/4pZw=="
    marked = marked_id("a", signed(signature))
    for one in (call("a", **signed(signature)), call(marked)):
        _, turns = written(user(Text("q")), model(one, call("b")), user(result(one.id), result("b")))
        first, second = turns[1][1]
        assert first["thoughtSignature"] == signature
        assert "thoughtSignature" not in second
        assert (first["functionCall"]["id"], turns[2][1][0]["functionResponse"]["id"]) == ("a", "a")


def test_a_history_that_nobody_signed_says_so_to_models_that_ask():
    history = (user(Text("q")), model(Text("hm"), call("a"), call("b")), user(result("a"), result("b")))
    _, turns = written(*history)
    assert [part.get("thoughtSignature") for part in turns[1][1]] == [None, UNSIGNED, None]
    _, turns = written(*history, facts=OLD)
    assert all("thoughtSignature" not in part for part in turns[1][1])


def test_the_signature_of_a_text_stands_on_the_message_for_others():
    _, turns = written(user(Text("q")), model(Text("a"), extra=signed("c2ln")), user(Text("b")))
    assert turns[1][1] == [{"text": "a", "thoughtSignature": "c2ln"}]
    _, turns = written(user(Text("q")), model(call("c"), extra=signed("c2ln")), user(Text("b")))
    assert turns[1][1][-1] == {"text": "", "thoughtSignature": "c2ln"}


def test_thoughts_go_back_only_signed():
    thoughts = (Reasoning("plain"), Reasoning("theirs", "sig"), Reasoning("own", extra=signed("c2ln")))
    _, turns = written(user(Text("q")), model(*thoughts, Text("a")), user(Text("b")))
    assert turns[1][1] == [{"text": "own", "thought": True, "thoughtSignature": "c2ln"}, {"text": "a"}]


def test_a_result_without_its_call_is_told_in_words():
    _, turns = written(user(Text("q"), result("lost", "ok")))
    assert turns == [("user", [{"text": "q"}, {"text": "Tool result for lost:"}, {"text": "ok"}])]


def test_pictures_in_results_go_inside_or_behind():
    picture = ToolCallResponse("a", (Text("see"), Blob("image", "image/png", "AAAA")))
    asked = (user(Text("q")), model(call("a")), user(picture))
    _, turns = written(*asked)
    assert turns[2][1][0]["functionResponse"]["parts"] == [{"inlineData": {"mimeType": "image/png", "data": "AAAA"}}]
    _, turns = written(*asked, facts=OLD)
    assert "parts" not in turns[2][1][0]["functionResponse"]
    assert turns[3][1][1] == {"inlineData": {"mimeType": "image/png", "data": "AAAA"}}


def test_ids_that_come_again_in_later_turns_are_new_calls():
    turn = (model(call("0", "f"), call("1", "g")), user(result("1", "g1"), result("0", "f1")))
    again = (model(call("0", "h")), user(result("0", "h2")))
    _, turns = written(user(Text("q")), *turn, *again)
    results = [part["functionResponse"] for _, parts in turns for part in parts if "functionResponse" in part]
    assert [(one["name"], one["response"]["output"]) for one in results] == [("f", "f1"), ("g", "g1"), ("h", "h2")]
