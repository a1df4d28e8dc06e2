from __future__ import annotations

import json

import attrs
import pytest
from anthropic.types import RawMessageStreamEvent
from hypothesis import given, settings, strategies as st
from pydantic import TypeAdapter

from formats.anthropic_messages.recorded import ANSWER, STOP
from formats.anthropic_messages.test_stream import decoded, told
from llmgate.codecs.sse import EventSplitter, event_data
from llmgate.formats import get_format
from llmgate.formats.anthropic_messages.encoder import PING, MessageStreamEncoder
from llmgate.spec import (
    ChoiceDelta,
    ErrorDetail,
    FinishReason,
    GatewayChunk,
    ProviderError,
    RateLimitError,
    Reasoning,
    Text,
    ToolCallDelta,
    Usage,
)

STOP_WRITTEN = b'event: message_stop\ndata: {"type":"message_stop"}\n\n'
FINAL = GatewayChunk(final=True)


def chunk(*parts, calls=(), finish=None, **fields) -> GatewayChunk:
    return GatewayChunk(
        choices=(ChoiceDelta(parts=parts, tool_calls=calls, finish_reason=finish),), id="c1", model="m", **fields
    )


def written(*chunks: GatewayChunk) -> list[dict]:
    encoder = MessageStreamEncoder()
    data = b"".join(encoder.encode(one) for one in chunks)
    events = []
    for raw in data.split(b"\n\n")[:-1]:
        name, _, line = raw.partition(b"\n")
        value = json.loads(line.removeprefix(b"data: "))
        assert name == b"event: " + value["type"].encode()
        events.append(value)
    return events


def kinds(events) -> list[str]:
    return [one["type"].removeprefix("content_block_") for one in events]


def test_a_text():
    events = written(chunk(Text("Hel")), chunk(Text("lo")), chunk(finish=FinishReason.STOP, usage=Usage(3, 4)), FINAL)
    assert kinds(events) == ["message_start", "start", "delta", "delta", "stop", "message_delta", "message_stop"]
    assert events[0]["message"] | {"id": "c1", "model": "m", "content": [], "stop_reason": None} == events[0]["message"]
    assert events[-2]["delta"] == {"stop_reason": "end_turn", "stop_sequence": None}
    assert events[-2]["usage"] == {"input_tokens": 3, "output_tokens": 4}


def test_nothing_comes_before_the_start_and_empty_pieces_make_no_block():
    assert written(GatewayChunk(id="x"), GatewayChunk()) == []
    events = written(chunk(Text("")), chunk(Reasoning("")), chunk(finish=FinishReason.STOP), FINAL)
    assert kinds(events) == ["message_start", "message_delta", "message_stop"]


def test_usage_that_comes_late_is_waited_for():
    events = written(chunk(Text("a"), finish=FinishReason.STOP), GatewayChunk(usage=Usage(9, 8, cache_read=2)), FINAL)
    assert events[-2]["usage"] == {"input_tokens": 7, "cache_read_input_tokens": 2, "output_tokens": 8}


def test_blocks_change_with_what_is_said():
    thought = Reasoning("", "sig")
    events = written(chunk(Reasoning("Hm")), chunk(thought), chunk(Text("a")), chunk(Reasoning("b")), FINAL)
    starts = [one["content_block"]["type"] for one in events if one["type"] == "content_block_start"]
    assert starts == ["thinking", "text", "thinking"]
    assert [one["index"] for one in events if one["type"] == "content_block_stop"] == [0, 1, 2]


def test_calls_that_interleave_are_written_one_after_the_other():
    def piece(index, text="", **named):
        return chunk(calls=(ToolCallDelta(index, arguments=text, **named),))

    events = written(
        piece(0, id="a", name="f"),
        piece(1, id="b", name="g"),
        piece(0, '{"x"'),
        piece(1, '{"y"'),
        chunk(Text("beside")),
        piece(1, ":2}"),
        piece(0, ":1}"),
        chunk(finish=FinishReason.TOOL_CALLS),
        FINAL,
    )
    open_block = None
    for one in events:
        if one["type"] == "content_block_start":
            assert open_block is None
            open_block = one["index"]
        elif one["type"] == "content_block_delta":
            assert one["index"] == open_block
        elif one["type"] == "content_block_stop":
            assert one["index"] == open_block
            open_block = None
    said = told(decoded(b"".join(map(_event, events)))[1])
    assert said["calls"] == {0: ("a", "f", '{"x":1}'), 1: ("b", "g", '{"y":2}')}
    assert said["text"] == "beside"
    assert said["finish"] is FinishReason.TOOL_CALLS


def _event(value) -> bytes:
    return f"event: {value['type']}\ndata: {json.dumps(value)}\n\n".encode()


@pytest.mark.parametrize(
    ("calls", "finish", "stop"),
    [
        (True, FinishReason.STOP, "tool_use"),
        (True, None, "tool_use"),
        (True, FinishReason.LENGTH, "max_tokens"),
        (False, FinishReason.TOOL_CALLS, "end_turn"),
        (False, FinishReason.CONTENT_FILTER, "refusal"),
        (False, FinishReason.LENGTH, "max_tokens"),
        (False, None, "end_turn"),
    ],
)
def test_stop_reasons(calls, finish, stop):
    call = (ToolCallDelta(0, id="a", name="f"),) if calls else ()
    assert written(chunk(Text("a"), calls=call), chunk(finish=finish), FINAL)[-2]["delta"]["stop_reason"] == stop


def test_a_refusal_is_text_that_ends_as_one():
    refused = GatewayChunk(choices=(ChoiceDelta(refusal="I will not"), ChoiceDelta(1, parts=(Text("other"),))))
    events = written(refused, chunk(finish=FinishReason.STOP), FINAL)
    assert events[2]["delta"]["text"] == "I will not"
    assert events[-2]["delta"]["stop_reason"] == "refusal"


def test_a_call_whose_name_comes_late_or_never_is_not_lost():
    late = [ToolCallDelta(0, arguments="{"), ToolCallDelta(0, id="a", name="f"), ToolCallDelta(0, arguments="}")]
    events = written(*[chunk(calls=(one,)) for one in late], FINAL)
    assert told(decoded(b"".join(map(_event, events)))[1])["calls"] == {0: ("a", "f", "{}")}
    events = written(chunk(calls=(ToolCallDelta(0, arguments="{}"),)), FINAL)
    assert events[1]["content_block"]["id"]


def test_errors_as_events():
    encoder = MessageStreamEncoder()
    value = json.loads(encoder.error(RateLimitError("slow")).partition(b"data: ")[2])
    assert value == {"type": "error", "error": {"type": "rate_limit_error", "message": "slow"}}
    body = b'{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}'
    assert encoder.error(ProviderError("x", body=body)) == b"event: error\ndata: " + body + b"\n\n"
    shown = encoder.encode(GatewayChunk(error=ErrorDetail("broke", type="api_error")))
    assert shown.startswith(b"event: error\n")
    assert b"broke" in shown


def test_the_heartbeat_is_a_ping():
    assert get_format("anthropic-messages").heartbeat == PING
    assert decoded(PING)[1][0].choices == ()


def test_the_terminal_marker_of_another_format_is_never_written():
    assert MessageStreamEncoder().encode(GatewayChunk(final=True, raw=b"data: [DONE]\n\n")).endswith(STOP_WRITTEN)


def through_openai(chunks):
    chat = get_format("openai-chat")
    encoder = chat.stream_encoder(include_usage=True)
    return chat.stream_reader().decode(b"".join(encoder.encode(one) for one in chunks))


def through_messages(chunks):
    encoder = MessageStreamEncoder()
    reader, read = decoded(b"".join(encoder.encode(one) for one in chunks))
    reader.finish()
    return read


def test_an_answer_survives_both_translations():
    chunks = decoded(ANSWER + STOP)[1]
    assert told(through_openai(chunks)) == told(chunks)
    assert told(through_messages(through_openai(chunks))) == told(chunks)


pieces = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=6)
argument_texts = st.dictionaries(pieces, pieces, max_size=2).map(json.dumps)
answers = st.tuples(
    st.lists(pieces, max_size=3),
    st.lists(st.tuples(pieces, st.sampled_from(["f", "g"]), argument_texts), max_size=3),
    st.sampled_from([FinishReason.STOP, FinishReason.STOP_SEQUENCE, FinishReason.LENGTH, FinishReason.CONTENT_FILTER]),
)


@settings(max_examples=100)
@given(answers, st.integers(1, 5), st.randoms())
def test_chat_chunks_to_events_and_back_is_the_identity(answer, width, random):
    texts, calls, finish = answer
    chunks = [chunk(Text(piece)) for piece in texts]
    lanes = []
    for index, (call_id, name, arguments) in enumerate(calls):
        cut = [arguments[place : place + width] for place in range(0, len(arguments), width)]
        head = ToolCallDelta(index, id=call_id, name=name)
        lanes.append([head, *[ToolCallDelta(index, arguments=one) for one in cut]])
    chunks += [chunk(calls=(lane[0],)) for lane in lanes]
    rest = [lane[1:] for lane in lanes]
    while any(rest):
        chunks.append(chunk(calls=(random.choice([lane for lane in rest if lane]).pop(0),)))
    reason = FinishReason.TOOL_CALLS if calls else finish
    chunks += [chunk(finish=reason), GatewayChunk(usage=Usage(20, 3)), FINAL]
    assert told(through_messages(chunks)) == told(chunks)


def relayed(change) -> bytes:
    """What a client gets of a relayed stream in which a stage changes chunks; a changed one has no bytes of its own."""
    encoder, data = MessageStreamEncoder(), b""
    for one in decoded(ANSWER + STOP)[1]:
        seen = change(one)
        if one.final or seen is one:
            data += encoder.passed(one) + one.raw
        else:
            data += encoder.encode(seen)
    return data


def test_what_passes_unchanged_stays_byte_for_byte():
    assert relayed(lambda one: one) == ANSWER + STOP


def test_a_changed_chunk_stands_in_the_block_that_is_open():
    def louder(one):
        if one.text:
            return attrs.evolve(one, choices=(ChoiceDelta(parts=(Text(one.text.upper()),)),), raw=b"")
        calls = [call for choice in one.choices for call in choice.tool_calls if call.arguments]
        if calls:
            return attrs.evolve(one, choices=(ChoiceDelta(tool_calls=tuple(calls)),), raw=b"")
        return one

    plain, loud = told(decoded(ANSWER + STOP)[1]), told(decoded(relayed(louder))[1])
    assert loud == {**plain, "text": plain["text"].upper()}
    assert relayed(louder).count(b"event: content_block_start") == ANSWER.count(b"event: content_block_start")
    assert relayed(louder).count(b"event: content_block_stop") == ANSWER.count(b"event: content_block_stop")
    assert relayed(louder).count(b"event: message_delta") == 1


def test_a_changed_end_is_written_at_the_end():
    def cut(one):
        if any(choice.finish_reason for choice in one.choices):
            return attrs.evolve(one, choices=(ChoiceDelta(finish_reason=FinishReason.LENGTH),), raw=b"")
        return one

    said = told(decoded(relayed(cut))[1])
    assert (said["finish"], said["usage"]) == (FinishReason.LENGTH, Usage(15, 20, cache_read=5))


def test_the_vendors_own_types_take_what_is_written():
    answers = TypeAdapter(RawMessageStreamEvent)
    encoder = MessageStreamEncoder()
    written_events = b"".join(map(encoder.encode, through_openai(decoded(ANSWER + STOP)[1])))
    kinds_seen = set()
    for raw in EventSplitter().feed(written_events):
        event = answers.validate_python(json.loads(event_data(raw)))
        kinds_seen.add(event.type)
    assert {"message_start", "content_block_start", "content_block_delta", "message_delta", "message_stop"} < kinds_seen
