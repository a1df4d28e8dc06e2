from __future__ import annotations

import pytest

from llmgate.formats.openai_chat.chunks import choices_in, decode_chunk, encode_choices, is_usage_only, usage_in
from llmgate.spec import ChoiceDelta, FinishReason, Reasoning, Text, ToolCallDelta, Usage

COUNTS = {"prompt_tokens": 1, "completion_tokens": 2}


def delta(**fields: object) -> ChoiceDelta:
    return decode_chunk({"choices": [{"index": 0, "delta": fields}]}, b"").choices[0]


def test_usage_in_every_place_where_vendors_put_it():
    for value in ({"choices": [], "usage": COUNTS}, {"choices": [{}], "usage": COUNTS}, {"x_groq": {"usage": COUNTS}}):
        assert usage_in(value) == Usage(1, 2)
    assert usage_in({"usage": None}) is None


def test_usage_only():
    assert is_usage_only({"choices": [], "usage": COUNTS})
    assert is_usage_only({"usage": COUNTS})
    assert not is_usage_only({"choices": [{}], "usage": COUNTS})
    assert not is_usage_only({"choices": [], "usage": None})
    assert not is_usage_only({"choices": [], "prompt_filter_results": []})


def test_tool_calls_as_servers_write_them():
    assert delta(tool_calls=[{"index": 1, "id": "", "function": {"arguments": "{"}}]).tool_calls == (
        ToolCallDelta(1, arguments="{"),
    )
    without_index = delta(tool_calls=[{"id": "a", "function": {"name": "f", "arguments": {"x": 1}}}, {"id": "b"}])
    assert without_index.tool_calls == (ToolCallDelta(0, "a", "f", '{"x":1}'), ToolCallDelta(1, "b"))


@pytest.mark.parametrize("field", ["reasoning", "reasoning_content"])
def test_reasoning(field):
    read = delta(**{field: "hm", "content": "a"})
    assert [part.text for part in read.parts] == ["hm", "a"]
    assert isinstance(read.parts[0], Reasoning)
    assert encode_choices([read])[0]["delta"] == {"content": "a", field: "hm"}


def test_reasoning_as_a_list_of_parts():
    parts = [{"type": "thinking", "thinking": [{"type": "text", "text": "hm"}]}, {"type": "text", "text": "a"}, 1]
    assert delta(content=parts).parts == (Reasoning("hm"), Text("a"))


def test_fields_nobody_knows_keep_their_place():
    value = {"index": 0, "delta": {"content": "a", "x": 1}, "logprobs": {"content": []}, "finish_reason": "stop"}
    choice = decode_chunk({"choices": [value]}, b"").choices[0]
    assert choice.finish_reason is FinishReason.STOP
    assert encode_choices([choice]) == [value]


@pytest.mark.parametrize("value", [{}, {"choices": None}, {"choices": [None, 1]}, {"choices": [{"delta": None}]}])
def test_chunks_without_anything(value):
    chunk = decode_chunk(value, b"raw")
    assert not chunk.has_content
    assert chunk.raw == b"raw"
    assert len(choices_in(value)) == len(chunk.choices)
