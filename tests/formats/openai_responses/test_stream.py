from __future__ import annotations

import itertools
import json
import time

import attrs
import pytest
from hypothesis import given, settings, strategies as st

from formats.openai_responses.recorded import (
    ANSWER,
    CALL,
    EVENTS,
    FRAMES,
    STOP,
    TEXT,
    WHOLE,
    call,
    end,
    numbered,
    reasoning,
    search,
    start,
    text,
)
from llmgate.codecs import jsons
from llmgate.formats.openai_responses import stream as stream_module
from llmgate.formats.openai_responses.stream import ResponseStreamReader
from llmgate.spec import FinishReason, ProviderProtocolError, Reasoning, Text, Usage

USAGE = Usage(15, 20, cache_read=5, cache_write_5m=0, reasoning=7, web_searches=1)  # which is no count of theirs
SAID = {
    "text": TEXT,
    "thought": "Hm.\n\nm é \u2028",
    "signatures": ["openai-responses:rs_1:gAAAA=="],
    "calls": {
        0: ("call_1", "weather", '{"city": "Zü"}'),
        1: ("call_2", "now", "{}"),
        2: ("call_3", "apply_patch", '{"input":"*** Begin Patch\\n"}'),
    },
    "finish": FinishReason.TOOL_CALLS,
    "usage": USAGE,
}


def decoded(*pieces: bytes):
    reader = ResponseStreamReader()
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


@pytest.mark.parametrize("noise", [b": still here\n\n", b"<h1>502 Bad gateway</h1>\n\n"])
def test_what_is_no_event_does_not_count_anew(noise):
    reader = ResponseStreamReader()
    assert reader.relay(noise) + reader.relay(ANSWER) + reader.relay(noise) == noise + ANSWER + noise
    assert reader.sequence == len(EVENTS) - 1


def test_a_stream_without_numbers_has_begun_all_the_same():
    reader = ResponseStreamReader()
    reader.relay(b": still here\n\n")
    assert reader.sequence == 0
    reader.relay(b'data: {"type": "response.created", "response": {"id": "resp_1"}}\n\n')
    assert reader.sequence == 1


def test_relays_the_very_bytes():
    reader = ResponseStreamReader()
    assert reader.relay(ANSWER) is ANSWER
    assert reader.sequence == len(EVENTS) - 1
    assert reader.relay(STOP) == b""
    reader.finish()
    assert reader.terminal == STOP
    outcome = reader.outcome
    assert (outcome.response_id, outcome.model, outcome.finish_reason) == ("resp_1", "gpt-x", FinishReason.TOOL_CALLS)
    assert (outcome.usage, outcome.complete) == (USAGE, True)


def test_decodes_every_event():
    reader, chunks = decoded(WHOLE)
    assert b"".join(chunk.raw for chunk in chunks) == WHOLE
    assert [chunk.final for chunk in chunks] == [False] * (len(chunks) - 1) + [True]
    assert told(chunks) == SAID
    assert reader.terminal == STOP


@pytest.mark.parametrize("ends", [b"\n", b"\r\n", b"\r"])
def test_every_split_reads_alike(ends):
    frames = numbered(
        [*start(), *text(0, "é \u2028 👩‍👩‍👧"), *call(1, CALL, '{"city": "', 'Zü"}'), *end(output=[CALL])]
    )
    data = b"".join(frames).replace(b"\n", ends)
    expected = told(decoded(data)[1])
    assert expected["calls"] == {0: ("call_1", "weather", '{"city": "Zü"}')}
    for place in range(0, len(data) + 1, 7 if ends == b"\n" else 31):
        for read in ("relay", "decode"):
            reader = ResponseStreamReader()
            got = [getattr(reader, read)(piece) for piece in (data[:place], data[place:])]
            reader.finish()
            assert reader.outcome.usage == attrs.evolve(USAGE, web_searches=None)
            if read == "decode":
                assert told([*got[0], *got[1]]) == expected
            else:
                seen = (got[0] + got[1] + reader.terminal).replace(b"\r\n", b"\n").replace(b"\r", b"\n")
                assert seen.rstrip(b"\n") == b"".join(frames).rstrip(b"\n")


@settings(max_examples=30)
@given(st.lists(st.integers(0, len(WHOLE)), max_size=12))
def test_many_splits_read_alike(places):
    cuts = [0, *sorted(places), len(WHOLE)]
    pieces = [WHOLE[a:b] for a, b in itertools.pairwise(cuts)]
    assert told(decoded(*pieces)[1]) == SAID
    reader = ResponseStreamReader()
    assert b"".join(map(reader.relay, pieces)) + reader.terminal == WHOLE


def test_after_the_first_content_plain_deltas_are_not_parsed(monkeypatch):
    reader = ResponseStreamReader()
    reader.relay(b"".join(numbered([*start(), *text(0, "first")])))
    parsed: list[bytes] = []
    monkeypatch.setattr(stream_module, "loads", lambda data: parsed.append(data) or jsons.loads(data))
    place = {"item_id": "m", "output_index": 1, "content_index": 0}
    deltas = numbered(
        ("response.output_text.delta", {**place, "delta": piece})
        for piece in ("word", "response.completed", "event: response.completed\n\n", "{}", '"error"')
    )
    assert reader.relay(b"".join(deltas)) == b"".join(deltas)
    assert parsed == []
    reader.relay(STOP)
    assert len(parsed) == 1
    assert reader.outcome.complete


@pytest.mark.parametrize(
    ("events", "content"),
    [
        (start(), False),
        (text(0, "")[:2], False),
        ([("response.output_text.delta", {"delta": ""})], False),
        ([("response.output_text.delta", {"delta": "a"})], True),
        (reasoning(0)[:1], True),
        (call(0, CALL)[:1], True),
        (search(0)[:1], True),
        ([("response.refusal.delta", {"delta": "a"})], True),
        ([("keepalive", {})], False),
        (end(), False),
    ],
)
def test_what_commits_a_stream(events, content):
    for read in ("relay", "decode"):
        reader = ResponseStreamReader()
        getattr(reader, read)(b"".join(numbered(events)))
        assert reader.outcome.content is content


FAILED = {"code": "rate_limit_exceeded", "message": "broke"}
ERRORS = [
    end("failed", error=FAILED, output=[]),
    [("error", {**FAILED, "param": None})],
    [("error", {"error": FAILED})],
]


@pytest.mark.parametrize("events", ERRORS)
@pytest.mark.parametrize("before", [[], start(), [*start(), *text(0, "Hello")]])
def test_an_error_ends_the_stream(events, before):
    before, error = b"".join(numbered(before)), numbered(events)[0]
    for ending in (error, error.replace(b"\n", b"\r\n")):
        reader = ResponseStreamReader()
        assert reader.relay(before + ending + STOP) == before
        found = reader.outcome.error
        assert (found.message, found.code, found.status) == ("broke", "rate_limit_exceeded", 429)
        assert json.loads(found.body)["error"]["message"] == "broke"
        assert not reader.outcome.complete
        chunks = ResponseStreamReader().decode(before + ending + STOP)
        assert chunks[-1].error.message == "broke"


def test_what_no_piece_has_told_is_taken_from_where_it_is_told_next():
    left_out = (".delta", ".added")
    assert told(decoded(b"".join(numbered(one for one in EVENTS if not one[0].endswith(left_out))))[1]) == SAID
    only_done = [one for one in EVENTS if not one[0].endswith(".delta")]
    assert told(decoded(b"".join(numbered(only_done)))[1]) == SAID
    items = [one for one in EVENTS if one[0] == "response.output_item.done"]
    assert told(decoded(b"".join(numbered([*start(), *items, *end()])))[1]) == SAID


def test_events_without_a_name_are_read_by_their_type():
    bare = b"".join(frame.partition(b"\n")[2] for frame in FRAMES)
    assert told(decoded(bare)[1]) == SAID


@pytest.mark.parametrize(
    ("reason", "finish"),
    [
        ("max_output_tokens", FinishReason.LENGTH),
        ("content_filter", FinishReason.CONTENT_FILTER),
        ("steered", FinishReason.LENGTH),
    ],
)
def test_an_incomplete_response_is_an_end(reason, finish):
    reader, chunks = decoded(b"".join(numbered([*start(), *end("incomplete", incomplete_details={"reason": reason})])))
    assert (told(chunks)["finish"], chunks[-1].final, reader.outcome.usage) == (finish, True, USAGE)


@pytest.mark.parametrize("data", [b"event: response.created\ndata: {\n\n", b"data: [1]\n\n", b"data: \xff\n\n"])
def test_garbage_breaks_the_stream(data):
    for read in ("relay", "decode"):
        reader = ResponseStreamReader()
        with pytest.raises(ProviderProtocolError):
            getattr(reader, read)(data)


@pytest.mark.parametrize("data", [b"", FRAMES[0], ANSWER, ANSWER + STOP[:-3]])
def test_an_end_without_the_terminal_marker_is_an_error(data):
    reader = ResponseStreamReader()
    reader.relay(data)
    with pytest.raises(ProviderProtocolError) as failure:
        reader.finish()
    assert failure.value.code == "incomplete_stream"


@pytest.mark.parametrize("missing", [1, 2])
def test_a_terminal_marker_whose_blank_line_is_missing_counts(missing):
    reader = ResponseStreamReader()
    reader.relay(ANSWER + STOP[:-missing])
    reader.finish()
    assert (reader.outcome.complete, reader.outcome.usage) == (True, USAGE)


@settings(max_examples=100)
@given(st.binary(max_size=400))
def test_any_bytes_are_read_or_refused(data):
    for read in ("relay", "decode"):
        reader = ResponseStreamReader()
        try:
            getattr(reader, read)(data)
            reader.finish()
        except ProviderProtocolError:
            pass


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 3) | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from(
        ["item", "type", "delta", "text", "output_index", "content_index", "response", "status", "summary", "id",
         "content", "call_id", "name", "arguments", "input", "output", "error", "code", "usage", "action"]
    ), inner, max_size=4),
    max_leaves=8,
)  # fmt: skip


@settings(max_examples=50)
@given(st.lists(st.tuples(st.sampled_from(sorted({kind for kind, _ in EVENTS})), json_values), max_size=6))
def test_events_of_any_shape_are_read_or_refused(events):
    shaped = [(kind, fields if isinstance(fields, dict) else {"item": fields}) for kind, fields in events]
    for read in ("relay", "decode"):
        reader = ResponseStreamReader()
        try:
            getattr(reader, read)(b"".join(numbered(shaped)))
            reader.finish()
        except ProviderProtocolError:
            pass


def test_a_drip_of_a_large_event_is_linear():
    frame = numbered([("response.output_text.delta", {"delta": "x" * 2_000_000})])[0]
    reader = ResponseStreamReader()
    began = time.process_time()
    pieces = [frame[at : at + 4096] for at in range(0, len(frame), 4096)]
    assert sum(len(chunk.text) for piece in pieces for chunk in reader.decode(piece)) == 2_000_000
    assert time.process_time() - began < 5
