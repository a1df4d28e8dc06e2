from __future__ import annotations

import json
from typing import Any

import pytest

from llmgate.formats import get_format
from llmgate.formats.repeated_calls import told_apart
from llmgate.spec import ChatRequest, Message, Role, Text, ToolCall, ToolCallResponse, ToolDefinition

NAMES = (
    "anthropic-messages",
    "bedrock-converse",
    "cohere-chat",
    "gemini-generate-content",
    "ollama-chat",
    "openai-responses",
)


def calling(*calls: tuple[str, str]) -> Message:
    return Message(Role.ASSISTANT, tuple(ToolCall(one, name, "{}") for one, name in calls))


def result(call_id: str, text: str) -> Message:
    return Message(Role.TOOL, (ToolCallResponse(call_id, (Text(text),)),))


def ids(messages: Any) -> list[str]:
    return [part.id for one in messages for part in one.parts]


def test_calls_that_differ_are_left_alone() -> None:
    messages = (calling(("a", "f"), ("b", "g")), result("a", "1"), result("b", "2"), calling(("a", "f")))
    assert told_apart(messages) is messages


@pytest.mark.parametrize(
    ("given", "made"),
    [
        (["", "", "", ""], ["call_1", "call_2", "call_1", "call_2"]),
        (["x", "x", "x", "x"], ["x", "x_2", "x", "x_2"]),
        (["x", "x_2", "x", "x"], ["x", "x_2", "x_2_", "x"]),
    ],
)
def test_results_go_to_the_calls_in_their_order(given: list[str], made: list[str]) -> None:
    calls = 3 if "x_2" in given else 2
    messages = (
        calling(*((one, "f") for one in given[:calls])),
        *(result(one, str(place)) for place, one in enumerate(given[calls:])),
    )
    assert ids(told_apart(messages)) == made


def test_a_turn_takes_no_results_of_one_before_it() -> None:
    repeated = calling(("x", "f"), ("x", "g"))
    messages = (repeated, result("x", "1"), repeated, result("x", "2"), result("x", "3"), result("x", "4"))
    assert ids(told_apart(messages)) == ["x", "x_2", "x", "x", "x_2", "x", "x_2", "x"]


@pytest.mark.parametrize("call_id", ["", "x"])
@pytest.mark.parametrize("name", NAMES)
def test_every_format_joins_results_to_the_calls_that_asked(name: str, call_id: str) -> None:
    said = Message(Role.USER, (Text("Hi"),))
    messages = (said, calling((call_id, "f"), (call_id, "g")), result(call_id, "one"), result(call_id, "two"))
    request = ChatRequest("m", messages, tools=(ToolDefinition("f"), ToolDefinition("g")), extra_format="openai-chat")
    heard = get_format(name).decode_request(get_format(name).encode_request(request))
    calls = {part.id: part.name for one in heard.messages for part in one.parts if isinstance(part, ToolCall)}
    results = [part for one in heard.messages for part in one.parts if isinstance(part, ToolCallResponse)]
    told = [(calls[one.id], json.dumps([getattr(text, "text", "") for text in one.content])) for one in results]
    assert [tool for tool, _ in told] == ["f", "g"]
    assert ["one" in told[0][1], "two" in told[1][1]] == [True, True]
