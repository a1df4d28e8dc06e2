from __future__ import annotations

import itertools
import time

import pytest
from hypothesis import given, settings, strategies as st

from formats.anthropic_messages.recorded import ANSWER, PING, STOP, block, call, end, event, start, text, thought
from llmgate.codecs import jsons
from llmgate.formats.anthropic_messages import stream as stream_module
from llmgate.formats.anthropic_messages.stream import MessageStreamReader
from llmgate.spec import FinishReason, ProviderProtocolError, Reasoning, Text, Usage

WHOLE = ANSWER + STOP


def decoded(*pieces: bytes):
    reader = MessageStreamReader()
    chunks = [chunk for piece in pieces for chunk in reader.decode(piece)]
    return reader, chunks


def told(chunks) -> dict[str, object]:
    """What an answer's chunks say in all, however they were cut."""
    said: dict[str, object] = {"text": "", "thought": "", "signatures": [], "calls": {}}
    for chunk in chunks:
        for choice in chunk.choices:
            for part in choice.parts:
                said["text"] += part.text if isinstance(part, Text) else ""
                said["thought"] += part.text if isinstance(part, Reasoning) else ""
                said["signatures"] += [part.signature] if isinstance(part, Reasoning) and part.signature else []
            for one in choice.tool_calls:
                known = said["calls"].get(one.index, (None, None, ""))
                said["calls"][one.index] = (one.id or known[0], one.name or known[1], known[2] + one.arguments)
            said["finish"] = choice.finish_reason or said.get("finish")
        said["usage"] = chunk.usage or said.get("usage")
    return said


def test_relays_the_very_bytes():
    reader = MessageStreamReader()
    assert reader.relay(ANSWER) is ANSWER
    assert reader.relay(STOP) == b""
    reader.finish()
    assert reader.terminal == STOP
    outcome = reader.outcome
    assert (outcome.response_id, outcome.model, outcome.finish_reason) == ("msg_1", "claude-x", FinishReason.TOOL_CALLS)
    assert outcome.usage == Usage(15, 20, cache_read=5)
    assert outcome.complete


def test_decodes_every_event():
    reader, chunks = decoded(WHOLE)
    assert b"".join(chunk.raw for chunk in chunks) == WHOLE
    assert [chunk.final for chunk in chunks] == [False] * (len(chunks) - 1) + [True]
    assert told(chunks) == {
        "text": 'Hello wörld 👩‍👩‍👧 \u2028\u2029 "error" \\ \r\n {"type":"error"}',
        "thought": "Hmm \u2028 é",
        "signatures": ["c2ln+/=="],
        "calls": {0: ("toolu_1", "now", "{}"), 1: ("toolu_2", "weather", '{"city": "Zü"}')},
        "finish": FinishReason.TOOL_CALLS,
        "usage": Usage(15, 20, cache_read=5),
    }
    assert all(chunk.choices for chunk in chunks if chunk.usage)
    assert reader.terminal == STOP


SHORT = start() + text(0, "é \u2028 👩‍👩‍👧") + call(1, "t", "f", '{"a":1}') + end("tool_use") + STOP


@pytest.mark.parametrize("ends", [b"\n", b"\r\n", b"\r"])
def test_every_split_reads_alike(ends):
    data = SHORT.replace(b"\n", ends)
    expected = told(decoded(data)[1])
    for place in range(len(data) + 1):
        for read in ("relay", "decode"):
            reader = MessageStreamReader()
            got = [getattr(reader, read)(piece) for piece in (data[:place], data[place:])]
            reader.finish()
            assert reader.outcome.usage == Usage(15, 20, cache_read=5)
            if read == "decode":
                assert told([*got[0], *got[1]]) == expected
            else:
                seen = (got[0] + got[1] + reader.terminal).replace(b"\r\n", b"\n").replace(b"\r", b"\n")
                assert seen.rstrip(b"\n") == SHORT.rstrip(b"\n")


@settings(max_examples=50)
@given(st.lists(st.integers(0, len(WHOLE)), max_size=12))
def test_many_splits_read_alike(places):
    cuts = [0, *sorted(places), len(WHOLE)]
    pieces = [WHOLE[a:b] for a, b in itertools.pairwise(cuts)]
    assert told(decoded(*pieces)[1]) == told(decoded(WHOLE)[1])
    reader = MessageStreamReader()
    assert b"".join(map(reader.relay, pieces)) + reader.terminal == WHOLE


def test_after_the_first_content_plain_deltas_are_not_parsed(monkeypatch):
    reader = MessageStreamReader()
    reader.relay(start() + text(0, "first"))
    parsed: list[bytes] = []
    monkeypatch.setattr(stream_module, "loads", lambda data: parsed.append(data) or jsons.loads(data))
    deltas = [
        event("content_block_delta", index=1, delta={"type": "text_delta", "text": piece})
        for piece in ("word", "message_stop", "event: message_stop\n\n", "{}")
    ]
    assert reader.relay(b"".join(deltas)) == b"".join(deltas)
    assert parsed == []
    reader.relay(end() + STOP)
    assert len(parsed) == 2
    assert reader.outcome.complete


@pytest.mark.parametrize(
    ("data", "content"),
    [
        (start() + PING, False),
        (event("content_block_start", index=0, content_block={"type": "text", "text": ""}), False),
        (event("content_block_start", index=0, content_block={"type": "text", "text": "a"}), True),
        (event("content_block_start", index=0, content_block={"type": "thinking", "thinking": ""}), False),
        (event("content_block_start", index=0, content_block={"type": "redacted_thinking", "data": "x"}), True),
        (event("content_block_start", index=0, content_block={"type": "tool_use", "id": "a", "name": "b"}), True),
        (event("content_block_delta", index=0, delta={"type": "text_delta", "text": ""}), False),
        (event("content_block_delta", index=0, delta={"type": "thinking_delta", "thinking": "a"}), True),
        (event("content_block_delta", index=0, delta={"type": "signature_delta", "signature": "a"}), False),
        (event("content_block_delta", index=0, delta={"type": "input_json_delta", "partial_json": "{"}), True),
        (end(), False),
        (event("future_event", text="a"), False),
        (b": comment\n\n", False),
    ],
)
def test_what_commits_a_stream(data, content):
    for read in ("relay", "decode"):
        reader = MessageStreamReader()
        getattr(reader, read)(data)
        assert reader.outcome.content is content


ERRORS = [
    event("error", error={"type": "overloaded_error", "message": "broke"}),
    b'event: error\ndata: {"error":{"type":"overloaded_error","message":"broke"}}\n\n',
    b'data: {"type":"error","error":{"type":"overloaded_error","message":"broke"}}\n\n',
    b'event: content_block_delta\ndata: {"type":"error","error":{"type":"overloaded_error","message":"broke"}}\n\n',
]


@pytest.mark.parametrize("error", ERRORS)
@pytest.mark.parametrize("before", [b"", start(), start() + text(0, "Hello")])
def test_an_error_event_ends_the_stream(error, before):
    for ending in (error, error.replace(b"\n", b"\r\n")):
        reader = MessageStreamReader()
        assert reader.relay(before + ending + end() + STOP) == before
        assert (reader.outcome.error.message, reader.outcome.error.status) == ("broke", 529)
        assert reader.relay(PING) == b""
        assert not reader.outcome.complete
        chunks = MessageStreamReader().decode(before + ending + STOP)
        assert chunks[-1].error.message == "broke"
        assert b"".join(chunk.raw for chunk in chunks[:-1]) == before


def test_an_error_event_is_kept_as_an_error_body():
    reader = MessageStreamReader()
    reader.relay(ERRORS[0])
    assert jsons.loads(reader.outcome.error.body) == {
        "type": "error",
        "error": {"type": "overloaded_error", "message": "broke"},
    }
    reader = MessageStreamReader()
    reader.relay(b"event: error\ndata: not json\n\n")
    assert reader.outcome.error.body is None


@pytest.mark.parametrize(
    "data", [b"event: message_start\ndata: {\n\n", b"data: [1]\n\n", b"data: \xff\n\n", b'data: "x"\n\n']
)
def test_garbage_breaks_the_stream(data):
    for read in ("relay", "decode"):
        reader = MessageStreamReader()
        with pytest.raises(ProviderProtocolError):
            getattr(reader, read)(data)
        reader = MessageStreamReader()
        assert getattr(reader, read)(PING + data)
        with pytest.raises(ProviderProtocolError):
            reader.finish()


@pytest.mark.parametrize("data", [b"", start(), ANSWER, ANSWER + STOP[:-3]])
def test_an_end_without_the_terminal_marker_is_an_error(data):
    reader = MessageStreamReader()
    reader.relay(data)
    with pytest.raises(ProviderProtocolError) as failure:
        reader.finish()
    assert failure.value.code == "incomplete_stream"


@pytest.mark.parametrize("missing", [1, 2])
def test_a_terminal_marker_whose_blank_line_is_missing_counts(missing):
    reader = MessageStreamReader()
    reader.relay(ANSWER + STOP[:-missing])
    reader.finish()
    assert reader.outcome.complete
    assert reader.terminal.startswith(STOP[:-missing])


def test_a_server_that_names_no_events_is_understood():
    nameless = b"".join(line + b"\n\n" for line in WHOLE.split(b"\n") if line.startswith(b"data: "))
    reader, chunks = decoded(nameless)
    assert told(chunks) == told(decoded(WHOLE)[1])
    reader = MessageStreamReader()
    assert reader.relay(nameless) + reader.terminal == nameless


def test_usage_at_the_end_overrides_by_field():
    reader, _ = decoded(start(input_tokens=0, output_tokens=0), text(0, "a"), end(input_tokens=7), STOP)
    assert reader.outcome.usage == Usage(12, 20, cache_read=5)


def test_a_text_that_begins_in_its_start_is_not_lost():
    _, chunks = decoded(start(), block(0, {"type": "text", "text": "He"}, {"type": "text_delta", "text": "llo"}), STOP)
    assert told(chunks)["text"] == "Hello"


def test_a_thought_that_is_hidden_travels_whole():
    hidden = {"type": "redacted_thinking", "data": "opaque=="}
    _, chunks = decoded(start(), block(0, hidden), thought(1, "b"), STOP)
    parts = [part for chunk in chunks for choice in chunk.choices for part in choice.parts]
    assert parts[0] == Reasoning("", extra=hidden)


def test_many_calls_and_drips_take_linear_time():
    def seconds(count: int) -> float:
        data = start() + b"".join(call(index, f"c{index}", "f", "{}") for index in range(count)) + STOP
        begun = time.thread_time()
        decoded(*[data[place : place + 7] for place in range(0, len(data), 7)])
        return time.thread_time() - begun

    seconds(50)
    assert min(seconds(800) for _ in range(2)) < 32 * min(seconds(100) for _ in range(2))
