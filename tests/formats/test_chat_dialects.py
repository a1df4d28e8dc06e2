"""What a vendor of OpenAI's format calls otherwise, or does not take."""

from __future__ import annotations

import json
from collections.abc import Mapping

import pytest

from llmgate.catalogue import provider_row
from llmgate.formats.chat_dialects import renamed, spoken
from llmgate.spec import ChatRequest, Message, ProviderRow, Role, Text, ToolCall, ToolCallResponse, ToolChoice


def row(fields: Mapping[str, str] | None = None, length: int = 0) -> ProviderRow:
    return ProviderRow("x", "X", None, chat_fields=fields or {}, call_id_length=length)


def test_a_vendor_without_words_of_his_own_gets_the_very_same():
    request = ChatRequest("m", (Message(Role.USER, (Text("x"),)),), user="u", seed=1)
    assert spoken(request, row()) == (request, [])
    assert spoken(request, row())[0] is request
    assert renamed(b'{"seed": 1}', row({"user": "name"})) == b'{"seed": 1}'


def test_what_he_does_not_take_is_left_out_and_named():
    request = ChatRequest(
        "m", (), user="u", metadata={"a": "b"}, stop_sequences=("x",), extra={"safety_identifier": "s"}
    )
    lacking = row(dict.fromkeys(("user", "metadata", "stop", "safety_identifier", "seed", "n"), ""))
    left, lost = spoken(request, lacking)
    assert left == ChatRequest("m", ())
    assert {one.param: one.kind for one in lost} == dict.fromkeys(
        ("user", "metadata", "stop_sequences", "safety_identifier"), "report"
    )


@pytest.mark.parametrize(
    ("wire", "request_"),
    [
        ("n", ChatRequest("m", (), choice_count=2)),
        ("tool_choice", ChatRequest("m", (), tool_choice=ToolChoice("none"))),
    ],
)
def test_what_the_answer_depends_on_is_refused(wire: str, request_: ChatRequest):
    (lost,) = spoken(request_, row({wire: ""}))[1]
    assert (lost.kind, wire in lost.reason) == ("refuse", True)


def test_fields_go_by_his_names_and_the_rest_stays_as_it_was():
    body = b'{ "model": "m" , "max_completion_tokens":9,"seed": 7, "x":1.50}'
    value = json.loads(renamed(body, row({"max_completion_tokens": "max_tokens", "seed": "random_seed", "user": ""})))
    assert value == {"model": "m", "x": 1.5, "max_tokens": 9, "random_seed": 7}
    assert b'"x":1.50' in renamed(body, row({"seed": "random_seed"}))


def test_ids_of_calls_are_as_he_wants_them_and_stay_together():
    call, result = ToolCall("toolu_01", "f", "{}"), ToolCallResponse("toolu_01", (Text("x"),))
    kept = ToolCall("abcDEF123", "f", "{}")
    request = ChatRequest("m", (Message(Role.ASSISTANT, (call, kept)), Message(Role.TOOL, (result,))))
    left, lost = spoken(request, row(length=9))
    (made, same), (answer,) = (message.parts for message in left.messages)
    assert isinstance(made, ToolCall)
    assert isinstance(answer, ToolCallResponse)
    assert made.id == answer.id
    assert (len(made.id), made.id.isalnum(), same is kept, lost) == (9, True, True, [])
    assert spoken(left, row(length=9))[0].messages == left.messages
    other = ToolCall("toolu_02", "f", "{}")
    (again,) = spoken(ChatRequest("m", (Message(Role.ASSISTANT, (other,)),)), row(length=9))[0].messages[0].parts
    assert isinstance(again, ToolCall)
    assert again.id != made.id


def test_mistral_has_words_of_its_own():
    mistral = provider_row("mistral")
    assert mistral is not None
    assert (mistral.chat_fields["max_completion_tokens"], mistral.call_id_length) == ("max_tokens", 9)
