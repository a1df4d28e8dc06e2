from __future__ import annotations

import re

from llmgate.formats.gemini_generate_content.calls import Ledger, invented_id, is_invented
from llmgate.spec import Message, Role, Text, ToolCall, ToolCallResponse


def call(name, call_id="", arguments="{}"):
    return ToolCall(call_id, name, arguments)


def result(name, call_id=""):
    return ToolCallResponse(call_id, (), extra={"name": name})


def paired(*messages):
    ledger = Ledger()
    return [ledger.paired(Message(role, parts)).parts for role, parts in messages]


def test_results_without_ids_belong_to_the_open_calls_of_their_function_in_order():
    calls, results = paired(
        (Role.ASSISTANT, (call("f", arguments="1"), call("g"), call("f", arguments="2"))),
        (Role.USER, (result("f"), result("f"), result("g"))),
    )
    assert [one.id for one in results] == [calls[0].id, calls[2].id, calls[1].id]
    assert len({one.id for one in calls}) == 3
    assert all(one.extra == {} for one in results), "the call says the name"


def test_ids_that_are_there_count():
    calls, results = paired(
        (Role.ASSISTANT, (call("f", "a"), call("f", "b"))), (Role.USER, (result("f", "b"), result("f")))
    )
    assert [one.id for one in calls] == ["a", "b"]
    assert [one.id for one in results] == ["b", "a"]


def test_a_result_without_its_call_keeps_its_name():
    ((orphan,),) = paired((Role.USER, (result("f"),)))
    assert is_invented(orphan.id)
    assert orphan.extra == {"name": "f"}


def test_the_same_conversation_gives_the_same_ids_and_equal_calls_different_ones():
    turns = [(Role.ASSISTANT, (call("f"),)), (Role.USER, (result("f"),)), (Role.ASSISTANT, (call("f"),))]
    first, _, third = paired(*turns)
    assert paired(*turns)[0] == first
    assert first[0].id != third[0].id


def test_invented_ids_are_legal_everywhere_and_known_again():
    one = invented_id("seed", 1, "\ud800")
    assert re.fullmatch(r"[a-zA-Z0-9_-]{1,40}", one)
    assert is_invented(one)
    assert not is_invented("call_1")


def test_a_message_without_calls_is_the_same_object():
    message = Message(Role.USER, (Text("a"),))
    assert Ledger().paired(message) is message
