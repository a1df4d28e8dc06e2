from __future__ import annotations

from llmgate.formats.anthropic_messages.events import BlockReader, Counts, stop_of
from llmgate.spec import FinishReason, Reasoning, ToolCallDelta, Usage


def test_counts_are_cumulative_by_field():
    counts = Counts()
    assert counts.add({"input_tokens": 5, "output_tokens": 1}) == Usage(5, 1)
    assert counts.add({"input_tokens": None, "output_tokens": 4, "cache_read_input_tokens": 3}) == Usage(
        8, 4, cache_read=3
    )
    assert counts.add(None) is None


def start(kind, index=0, **fields):
    return {"index": index, "content_block": {"type": kind, **fields}}


def test_calls_are_counted_apart_from_blocks():
    reader = BlockReader()
    assert reader.read("content_block_start", start("text", 0, text="")) is None
    for index, number in ((1, 0), (4, 1)):
        delta = reader.read("content_block_start", start("tool_use", index, id="a", name="f", input={}))
        assert delta.tool_calls == (ToolCallDelta(number, id="a", name="f"),)
    silent = reader.read("content_block_stop", {"index": 4})
    assert silent.tool_calls == (ToolCallDelta(1, arguments="{}"),)
    assert reader.read("content_block_stop", {"index": 4}) is None
    assert reader.read("content_block_stop", {}) is None


def test_arguments_of_tools_that_the_vendor_runs_are_nobodys():
    reader = BlockReader()
    reader.read("content_block_start", start("server_tool_use", 0, id="s", name="web_search", input={}))
    delta = {"type": "input_json_delta", "partial_json": "{}"}
    assert reader.read("content_block_delta", {"index": 0, "delta": delta}) is None


def test_thoughts_say_that_they_are_pieces_of_a_block():
    delta = {"type": "thinking_delta", "thinking": "hm"}
    read = BlockReader().read("content_block_delta", {"index": 0, "delta": delta})
    assert read.parts == (Reasoning("hm", extra={"type": "thinking"}),)


def test_the_end_is_a_choice_of_its_own_even_without_a_reason():
    assert stop_of({"delta": {"stop_reason": "refusal"}}).finish_reason is FinishReason.CONTENT_FILTER
    assert stop_of({}).finish_reason is None
