from __future__ import annotations

import json

import pytest

from formats.cohere_chat.recorded import call, part
from llmgate.codecs.sse import event_data
from llmgate.formats.cohere_chat.events import EventReader
from llmgate.spec import ToolCallDelta


def arguments(data: bytes) -> str:
    reader = EventReader()
    values = [json.loads(event_data(raw + b"\n\n")) for raw in data.split(b"\n\n") if raw]
    read = [reader.read(value["type"], value) for value in values]
    return "".join(one.arguments for delta in read if delta for one in delta.tool_calls)


@pytest.mark.parametrize(
    ("pieces", "said"),
    [
        ((), "{}"),
        (("",), "{}"),
        (("null",), "{}"),
        (("nu", "ll"), "{}"),
        ((" ",), "{}"),
        (("null", "x"), "nullx"),
        (('{"a":', "null}"), '{"a":null}'),
        (("{}",), "{}"),
        (("n", "o"), "no"),
    ],
)
def test_a_call_without_arguments_has_an_empty_object(pieces, said):
    assert arguments(call(0, "i", "f", *pieces)) == said


def test_calls_as_a_list_and_arguments_with_the_start():
    reader = EventReader()
    begun = [{"id": "", "function": {"name": "f", "arguments": '{"a":1}'}}]
    delta = reader.read("tool-call-start", {"index": 3, "delta": {"message": {"tool_calls": begun}}})
    assert delta.tool_calls == (ToolCallDelta(0, "call_0", "f", '{"a":1}'),)
    assert reader.read("tool-call-end", {"index": 3}) is None


@pytest.mark.parametrize("message", [None, 3, [], {"content": 3}, {"tool_calls": 3}, {"content": {"text": 3}}])
@pytest.mark.parametrize(
    "kind", ["content-start", "content-delta", "tool-plan-delta", "tool-call-delta", "citation-start", "x"]
)
def test_what_says_nothing(kind, message):
    assert EventReader().read(kind, {"delta": {"message": message}}) is None
    assert EventReader().read(kind, {"delta": message}) is None


def test_interleaved_calls_are_told_apart():
    reader = EventReader()
    deltas = [
        reader.read(
            "tool-call-start",
            json.loads(event_data(call(index, f"i{index}", "f")[: -len(part("tool-call-end", index=index))])),
        )
        for index in (0, 1)
    ]
    pieces = [
        reader.read(
            "tool-call-delta", {"index": i, "delta": {"message": {"tool_calls": {"function": {"arguments": a}}}}}
        )
        for i, a in ((1, "{"), (0, "["), (1, "}"), (0, "]"))
    ]
    said = [(one.index, one.arguments) for delta in pieces for one in delta.tool_calls]
    assert [delta.tool_calls[0].id for delta in deltas] == ["i0", "i1"]
    assert said == [(1, "{"), (0, "["), (1, "}"), (0, "]")]
