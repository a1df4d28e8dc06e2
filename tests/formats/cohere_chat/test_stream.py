from __future__ import annotations

import itertools
import json

import pytest
from hypothesis import given, settings, strategies as st

from formats.cohere_chat.recorded import ANSWER, call, content, end, event, part, plan, start
from llmgate.codecs import jsons
from llmgate.formats.cohere_chat import stream as stream_module
from llmgate.formats.cohere_chat.stream import EventStreamReader
from llmgate.spec import FinishReason, ProviderProtocolError, Reasoning, Text, Usage

WHOLE = ANSWER + end("TOOL_CALL")


def decoded(*pieces: bytes):
    reader = EventStreamReader()
    return reader, [chunk for piece in pieces for chunk in reader.decode(piece)]


def told(chunks) -> dict[str, object]:
    said: dict[str, object] = {"text": "", "plan": "", "thought": "", "calls": {}}
    for chunk in chunks:
        for choice in chunk.choices:
            for one in choice.parts:
                kind = "thought" if isinstance(one, Reasoning) else "plan" if one.extra else "text"
                said[kind] += one.text
            for one in choice.tool_calls:
                known = said["calls"].get(one.index, (None, None, ""))
                said["calls"][one.index] = (one.id or known[0], one.name or known[1], known[2] + one.arguments)
            said["finish"] = choice.finish_reason or said.get("finish")
        said["usage"] = chunk.usage or said.get("usage")
    return said


TOLD = {
    "text": 'Hello wörld 👩‍👩‍👧 "message-end" {"error":1}',
    "plan": "I will look.",
    "thought": "Hmm \u2028 é",
    "calls": {0: ("weather_x1", "weather", '{"city": "Zü"}'), 1: ("now_x2", "now", "{}")},
    "finish": FinishReason.TOOL_CALLS,
    "usage": Usage(231, 41),
}


def test_relays_the_very_bytes():
    reader = EventStreamReader()
    assert reader.relay(ANSWER) is ANSWER
    assert reader.relay(end("TOOL_CALL") + b"data: [DONE]\n\n") == b""
    reader.finish()
    assert reader.terminal == end("TOOL_CALL")
    outcome = reader.outcome
    assert (outcome.response_id, outcome.finish_reason, outcome.usage) == (
        "29f14a5a",
        FinishReason.TOOL_CALLS,
        Usage(231, 41),
    )
    assert (outcome.complete, outcome.content) == (True, True)


def test_decodes_every_event():
    _, chunks = decoded(WHOLE)
    assert told(chunks) == TOLD
    assert b"".join(chunk.raw for chunk in chunks) == WHOLE
    assert [chunk.final for chunk in chunks] == [False] * (len(chunks) - 1) + [True]
    assert (chunks[-2].usage, chunks[-2].raw) == (Usage(231, 41), b"")
    assert {chunk.id for chunk in chunks[:-1]} == {"29f14a5a"}


SHORT = start() + content(0, "text", "é \u2028 👩‍👩‍👧") + call(0, "t", "f", '{"a":1}') + end("TOOL_CALL")


@pytest.mark.parametrize("ends", [b"\n", b"\r\n", b"\r"])
def test_every_split_reads_alike(ends):
    data = SHORT.replace(b"\n", ends)
    expected = told(decoded(data)[1])
    assert expected["usage"] == Usage(231, 41)
    for place in range(len(data) + 1):
        reader = EventStreamReader()
        got = [*reader.decode(data[:place]), *reader.decode(data[place:])]
        reader.finish()
        assert told([*got, *reader.decode(b"")]) == expected
        reader = EventStreamReader()
        seen = reader.relay(data[:place]) + reader.relay(data[place:])
        reader.finish()
        seen = (seen + reader.terminal).replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        assert seen.rstrip(b"\n") == SHORT.rstrip(b"\n")


@settings(max_examples=50)
@given(st.lists(st.integers(0, len(WHOLE)), max_size=12))
def test_many_splits_read_alike(places):
    pieces = [WHOLE[a:b] for a, b in itertools.pairwise([0, *sorted(places), len(WHOLE)])]
    assert told(decoded(*pieces)[1]) == TOLD
    reader = EventStreamReader()
    assert b"".join(map(reader.relay, pieces)) + reader.terminal == WHOLE


def test_after_the_first_content_plain_deltas_are_not_parsed(monkeypatch):
    reader = EventStreamReader()
    reader.relay(start() + content(0, "text", "first"))
    parsed: list[bytes] = []
    monkeypatch.setattr(stream_module, "loads", lambda data: parsed.append(data) or jsons.loads(data))
    plain = b"".join(
        part("content-delta", {"content": {"text": said}}, 1) for said in ("word", "event: message-end\n\n", "{}")
    )
    assert reader.relay(plain) == plain
    assert parsed == []
    reader.relay(end())
    assert len(parsed) == 1
    assert reader.outcome.complete


@pytest.mark.parametrize(
    ("data", "committed"),
    [
        (start(), False),
        (part("content-start", {"content": {"type": "text", "text": ""}}, 0), False),
        (part("content-start", {"content": {"type": "text", "text": "a"}}, 0), True),
        (part("content-delta", {"content": {"text": ""}}, 0), False),
        (part("content-delta", {"content": {"text": "a"}}, 0), True),
        (part("content-delta", {"content": {"thinking": "a"}}, 0), True),
        (plan("a"), True),
        (plan(""), False),
        (call(0, "i", "n"), True),
        (b": comment\n\n", False),
        (end(), False),
    ],
)
def test_what_commits_a_stream(data, committed):
    for read in ("relay", "decode"):
        reader = EventStreamReader()
        getattr(reader, read)(data)
        assert reader.outcome.content is committed


ERRORS = [
    (end("ERROR", error="broke"), 500, "broke"),
    (end("TIMEOUT"), 504, "the model did not come to an end: TIMEOUT"),
    (event("message-end", delta={"error": "broke"}), 500, "broke"),
    (b'event: error\ndata: {"message":"broke"}\n\n', None, "broke"),
    (b'data: {"message":"broke"}\n\n', None, "broke"),
    (b"event: error\ndata: broke\n\n", None, "the provider sent an error that is not JSON"),
    (b"event: error\ndata: {}\n\n", None, "the provider sent an error"),
    (b'data: {"error":{"message":"broke"}}\n\n', None, "broke"),
]


@pytest.mark.parametrize(("error", "status", "message"), ERRORS)
@pytest.mark.parametrize("before", [b"", start() + content(0, "text", "Hello")])
def test_a_failure_ends_the_stream(error, status, message, before):
    for read in ("relay", "decode"):
        reader = EventStreamReader()
        got = getattr(reader, read)(before + error + end())
        assert (reader.outcome.error.message, reader.outcome.error.status) == (message, status)
        assert json.loads(reader.outcome.error.body) == {"message": message}
        assert (reader.outcome.complete, reader.terminal) == (False, b"")
        if read == "relay":
            assert got == before
        else:
            assert got[-1].error is reader.outcome.error
        assert not getattr(reader, read)(end())


@pytest.mark.parametrize("data", [b"", start(), ANSWER, ANSWER + b"data: [DONE]\n\n", ANSWER + end()[:-9]])
def test_a_stream_that_ends_early_is_incomplete(data):
    for read in ("relay", "decode"):
        reader = EventStreamReader()
        getattr(reader, read)(data)
        with pytest.raises(ProviderProtocolError) as cut:
            reader.finish()
        assert cut.value.code == "incomplete_stream"


@pytest.mark.parametrize("data", [b"data: <html>\n\n", b"data: [1]\n\n", b"event: content-delta\ndata: {\n\n"])
def test_what_is_no_event_is_a_protocol_error_behind_what_came_before(data):
    before = start() + content(0, "text", "a")
    for read in ("relay", "decode"):
        with pytest.raises(ProviderProtocolError):
            getattr(EventStreamReader(), read)(data)
        reader = EventStreamReader()
        assert getattr(reader, read)(before + data)
        with pytest.raises(ProviderProtocolError):
            getattr(reader, read)(b"")


def test_an_event_of_two_megabytes():
    data = content(0, "text", "x" * 2_000_000)
    reader = EventStreamReader()
    got = b"".join(reader.relay(data[place : place + 65536]) for place in range(0, len(data), 65536))
    assert got == data


@given(st.binary(max_size=60) | st.sampled_from([ANSWER[:150], end()]), st.integers(1, 9))
def test_no_input_raises_anything_else(data, size):
    for read in ("relay", "decode"):
        reader = EventStreamReader()
        try:
            for place in range(0, len(data), size):
                getattr(reader, read)(data[place : place + size])
            reader.finish()
        except ProviderProtocolError:
            pass


def test_a_text_is_told_by_its_parts():
    chunks = decoded(content(0, "text", "a"))[1]
    assert [one for chunk in chunks for choice in chunk.choices for one in choice.parts] == [Text("a")]
