"""Counting and cutting: never a character more than the limit, and everything that is not text stays."""

from __future__ import annotations

from hypothesis import given, strategies as st

from llmgate.spec import (
    ChatChoice,
    ChatResponse,
    ChoiceDelta,
    FinishReason,
    GatewayChunk,
    Message,
    Reasoning,
    Role,
    Text,
    ToolCall,
    ToolCallDelta,
    Usage,
)
from llmgate.stages.interceptors.request_rules.cutting import StreamCounter, cut_response, response_characters
from llmgate.testing.samples import sample_chunk


def response(*parts, finish_reason=FinishReason.STOP):
    choices = (ChatChoice(0, Message(Role.ASSISTANT, parts), finish_reason),)
    return ChatResponse(id="1", model="m", choices=choices)


class TestResponses:
    def test_a_short_answer_is_left_alone(self):
        assert cut_response(response(Text("hello")), 5) is None

    def test_a_long_one_is_cut_and_says_so(self):
        cut = cut_response(response(Reasoning("thinking"), Text("hel"), Text("lo world")), 5)
        assert cut.text == "hello"
        assert cut.reasoning == "thinking"
        assert cut.finish_reason is FinishReason.LENGTH

    def test_what_stands_behind_the_cut_goes(self):
        """A tool call that comes after text that was cut would be an answer to something nobody has read."""
        parts = (Text("hello"), ToolCall("1", "f", "{}"))
        cut = cut_response(response(*parts, finish_reason=FinishReason.TOOL_CALLS), 3)
        assert (cut.text, cut.tool_calls, cut.finish_reason) == ("hel", (), FinishReason.LENGTH)

    def test_each_choice_has_the_whole_limit(self):
        def choice(index, text):
            return ChatChoice(index, Message(Role.ASSISTANT, (Text(text),)), FinishReason.STOP)

        cut = cut_response(ChatResponse(id="1", model="m", choices=(choice(0, "long text"), choice(1, "four"))), 4)
        assert [(one.message.text, one.finish_reason) for one in cut.choices] == [
            ("long", FinishReason.LENGTH),
            ("four", FinishReason.STOP),
        ]
        assert response_characters(cut) == 8


class TestStreams:
    @given(st.lists(st.text(max_size=8), max_size=20), st.integers(1, 40))
    def test_the_text_is_cut_at_the_limit_however_it_is_split(self, pieces, limit):
        counter = StreamCounter(limit)
        kept = [counter.take(sample_chunk(piece)) for piece in pieces]
        whole = "".join(pieces)
        assert "".join(chunk.text for chunk in kept if chunk) == whole[:limit]
        assert counter.total == min(len(whole), limit)
        finishes = [choice.finish_reason for chunk in kept if chunk for choice in chunk.choices]
        assert finishes.count(FinishReason.LENGTH) == (len(whole) > limit)

    def test_a_chunk_within_the_limit_is_the_same_object(self):
        counter = StreamCounter(5)
        chunk = sample_chunk("hello")
        assert counter.take(chunk) is chunk

    def test_usage_and_the_end_come_through_after_the_cut(self):
        counter = StreamCounter(2)
        counter.take(sample_chunk("hello"))
        usage = Usage(input_tokens=1, output_tokens=2)
        finish = GatewayChunk(choices=(ChoiceDelta(finish_reason=FinishReason.STOP),), usage=usage, raw=b"x")
        kept = counter.take(finish)
        assert (kept.choices, kept.usage, kept.raw) == ((), usage, b"")
        only_usage, end = GatewayChunk(usage=usage), GatewayChunk(final=True)
        assert counter.take(only_usage) is only_usage
        assert counter.take(end) is end
        assert counter.take(sample_chunk("more")) is None

    def test_tool_calls_after_the_cut_are_withheld(self):
        counter = StreamCounter(2)
        counter.take(sample_chunk("hello"))
        delta = ChoiceDelta(tool_calls=(ToolCallDelta(index=0, id="1", name="f"),))
        assert counter.take(GatewayChunk(choices=(delta,))) is None

    def test_choices_are_counted_apart(self):
        counter = StreamCounter(3)
        both = GatewayChunk(
            choices=tuple(ChoiceDelta(index=n, parts=(Text(text),)) for n, text in enumerate(("abcd", "xy")))
        )
        kept = counter.take(both)
        assert [choice.parts[0].text for choice in kept.choices] == ["abc", "xy"]
        assert counter.total == 5

    def test_without_a_limit_it_only_counts(self):
        counter = StreamCounter(None)
        chunks = [sample_chunk("hello"), sample_chunk(" world")]
        assert [counter.take(chunk) for chunk in chunks] == chunks
        assert counter.total == 11
