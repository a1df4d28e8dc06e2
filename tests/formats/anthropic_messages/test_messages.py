"""Conversations of other formats, put into the order that this one demands."""

from __future__ import annotations

import pytest

from llmgate.formats.anthropic_messages.messages import encode_conversation
from llmgate.spec import Message, Reasoning, Refusal, Role, Text, ToolCall, ToolCallResponse


def user(*parts):
    return Message(Role.USER, tuple(Text(one) if isinstance(one, str) else one for one in parts))


def assistant(*parts):
    return Message(Role.ASSISTANT, tuple(Text(one) if isinstance(one, str) else one for one in parts))


def system(text):
    return Message(Role.SYSTEM, (Text(text),))


def call(name="a", arguments="{}"):
    return ToolCall(name, "f", arguments)


def result(name="a", text="r", **more):
    return Message(Role.TOOL, (ToolCallResponse(name, (Text(text),) if text else (), **more),))


def turns(*messages, **options):
    return encode_conversation(messages, own=False, **options)[1]


def use(name, **value):
    return {"type": "tool_use", "id": name, "name": "f", "input": value}


def answer(name, text="r"):
    return {"type": "tool_result", "tool_use_id": name, "content": text}


def said(text):
    return {"type": "text", "text": text}


def test_leading_system_messages_are_the_system_prompt():
    prompt, conversation = encode_conversation(
        [system("a"), Message(Role.DEVELOPER, (Text("b"), Text(""))), user("c")], own=False
    )
    assert prompt == [said("a"), said("b")]
    assert conversation == [{"role": "user", "content": "c"}]


def test_a_system_message_in_the_midst_stays_in_place():
    conversation = [user("a"), assistant("b"), system("c"), user("d")]
    assert turns(*conversation, system_turns=True)[2] == {"role": "system", "content": "c"}
    assert turns(*conversation, system_turns=False)[2] == {
        "role": "user",
        "content": [said("System note: c"), said("d")],
    }


@pytest.mark.parametrize("system_turns", [True, False])
def test_nothing_stands_between_a_call_and_its_result(system_turns):
    written = turns(user("a"), assistant(call()), system("note"), result(), user("d"), system_turns=system_turns)
    assert written[2]["content"][0] == answer("a")
    assert "note" in str(written[2:])


def test_turns_of_one_role_become_one():
    written = turns(user("a"), user("b"), assistant("c"), assistant("d"), user("e"))
    assert [turn["role"] for turn in written] == ["user", "assistant", "user"]
    assert written[0]["content"] == [said("a"), said("b")]


def test_results_come_first_in_one_turn_and_in_the_order_of_the_calls():
    written = turns(user("q"), assistant("t", call("a"), call("b")), result("b"), user("then"), result("a"))
    assert written[1]["content"] == [said("t"), use("a"), use("b")]
    assert written[2]["content"] == [answer("a"), answer("b"), said("then")]


def test_an_empty_result_has_no_content_and_an_error_is_one():
    written = turns(user("q"), assistant(call()), result(text="", is_error=True))
    assert written[2]["content"] == [{"type": "tool_result", "tool_use_id": "a", "is_error": True}]


def test_a_result_without_its_call_becomes_text():
    written = turns(user("q"), result("lost"))
    assert written == [{"role": "user", "content": [said("q"), said("Tool result for lost:"), said("r")]}]
    late = turns(user("q"), assistant(call()), result(), assistant("b"), result())
    assert late[-1]["content"] == [said("Tool result for a:"), said("r")]


def test_ids_are_made_legal_and_unique_on_both_sides():
    written = turns(
        *(user("q"), assistant(call("a.b:1")), result("a.b:1"), assistant(call("x")), result("x", "one")),
        *(assistant(call("x")), result("x", "two"), assistant(call("")), result("", "three")),
    )
    ids = [turn["content"][0]["id"] for turn in written[1::2]]
    assert len(set(ids)) == 4
    assert all(one and one.replace("_", "").replace("-", "").isalnum() for one in ids)
    assert [turn["content"][0]["tool_use_id"] for turn in written[2::2]] == ids
    assert ids[1] == "x"


def test_arguments_that_are_no_object_are_wrapped():
    assert turns(user("q"), assistant(call(arguments="nope")))[1]["content"] == [use("a", INVALID_JSON="nope")]


def test_what_says_nothing_is_left_out():
    written = turns(
        user("a", " \n"), assistant(""), user(""), assistant(Refusal("no"), Reasoning("unsigned")), user("b")
    )
    assert written == [
        {"role": "user", "content": "a"},
        {"role": "assistant", "content": "no"},
        {"role": "user", "content": "b"},
    ]


def test_signed_thoughts_come_first_and_unchanged():
    written = turns(user("q"), assistant("t", call(), Reasoning("hm", "c2ln+/==")), result())
    assert written[1]["content"][0] == {"type": "thinking", "thinking": "hm", "signature": "c2ln+/=="}


def test_the_first_turn_is_the_users():
    assert turns(system("only")) == [{"role": "user", "content": "."}]
    assert turns(assistant("hi"), user("a"))[0] == {"role": "user", "content": "."}


def test_a_last_turn_of_the_assistant_is_gone_on_with_or_answered():
    assert turns(user("a"), assistant("b \n"), prefill=True)[-1] == {"role": "assistant", "content": "b"}
    assert turns(user("a"), assistant("b \n"), prefill=False)[-1] == {"role": "user", "content": "Continue."}


def test_a_cache_mark_on_a_message_is_one_on_its_last_block():
    mark = {"cache_control": {"type": "ephemeral"}}
    marked = Message(Role.USER, (Text("a"), Text("b")), extra=mark)
    assert turns(marked)[0]["content"] == [said("a"), {**mark, **said("b")}]


def test_a_conversation_of_its_own_is_written_as_it_was():
    conversation = [system("s"), assistant("a"), assistant("b", Reasoning("x", "sig")), user("", "c")]
    prompt, written = encode_conversation(conversation, own=True)
    assert prompt == "s"
    assert [turn["role"] for turn in written] == ["assistant", "assistant", "user"]
    assert written[2]["content"] == [said(""), said("c")]
