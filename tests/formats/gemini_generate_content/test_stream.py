"""Any split of a stream reads alike; it is complete when its answers have ended and the server has closed."""

from __future__ import annotations

import itertools
import time

import pytest
from hypothesis import given, settings, strategies as st

from llmgate.formats.gemini_generate_content.stream import ContentStreamReader
from llmgate.spec import FinishReason, ProviderProtocolError, Usage

from .recorded import BLOCKED, CALLS, ERROR, HELLO, TEXT, WORLD, event

WHOLE = b"".join(TEXT)


def pieces(data, cuts):
    places = [0, *sorted(cuts), len(data)]
    return [data[start:end] for start, end in itertools.pairwise(places)]


def decoded(data, cuts=()):
    reader = ContentStreamReader()
    chunks = [chunk for piece in pieces(data, cuts) for chunk in reader.decode(piece)]
    return [chunk for chunk in chunks if chunk.choices or chunk.usage], reader


@settings(max_examples=60)
@given(st.sets(st.integers(0, len(WHOLE)), max_size=8))
def test_any_split_relays_every_byte_and_tells_the_same(cuts):
    reader = ContentStreamReader()
    assert b"".join(reader.relay(piece) for piece in pieces(WHOLE, cuts)) == WHOLE
    assert not reader.outcome.complete, "the server may send more"
    reader.finish()
    assert (reader.outcome.complete, reader.terminal) == (True, b"")
    assert (reader.outcome.response_id, reader.outcome.model) == ("r-1", "gemini-3-flash-preview")
    assert reader.outcome.usage == Usage(9, 12, reasoning=7)
    assert reader.outcome.finish_reason is FinishReason.STOP


@settings(max_examples=60)
@given(st.sets(st.integers(0, len(WHOLE)), max_size=8))
def test_any_split_decodes_alike(cuts):
    chunks, reader = decoded(WHOLE, cuts)
    reader.finish()
    assert "".join(chunk.text for chunk in chunks) == "Hello wörld \u2028"
    assert [chunk.choices[0].finish_reason for chunk in chunks] == [None, None, None, FinishReason.STOP]
    assert b"".join(chunk.raw for chunk in chunks).replace(b"\n", b"") == WHOLE.replace(b"\n", b"")


def test_calls_are_numbered_over_the_stream():
    chunks, reader = decoded(b"".join(CALLS))
    reader.finish()
    calls = [call for chunk in chunks for call in chunk.choices[0].tool_calls]
    assert [(call.index, call.name, call.arguments) for call in calls] == [
        (0, "weather", '{"city":"Oslo"}'),
        (1, "weather", '{"city":"Rome"}'),
    ]
    assert calls[0].id == "fc1"
    assert calls[1].id.startswith("gcall_")
    assert chunks[-1].choices[0].finish_reason is reader.outcome.finish_reason is FinishReason.TOOL_CALLS
    assert reader.outcome.content


@pytest.mark.parametrize("method", ["relay", "decode"])
def test_a_cut_stream_is_incomplete(method):
    reader = ContentStreamReader()
    getattr(reader, method)(HELLO + WORLD)
    with pytest.raises(ProviderProtocolError) as failure:
        reader.finish()
    assert failure.value.code == "incomplete_stream"
    assert reader.outcome.usage == Usage(9, 0)


def test_a_torn_event_behind_the_end_is_no_good_end():
    reader = ContentStreamReader()
    reader.relay(WHOLE + b'data: {"cand')
    with pytest.raises(ProviderProtocolError):
        reader.finish()


def test_a_last_event_without_its_blank_line_is_one():
    reader = ContentStreamReader()
    down = reader.relay(WHOLE[:-4])
    reader.finish()
    assert (down + reader.terminal).rstrip() == WHOLE.rstrip()


def test_every_answer_must_have_ended():
    reader = ContentStreamReader()
    other = event({"text": "b"}).replace(b'"index": 0', b'"index": 1')
    reader.relay(TEXT[-1] + other)
    with pytest.raises(ProviderProtocolError):
        reader.finish()
    reader = ContentStreamReader()
    reader.relay(other + event(finish="STOP").replace(b'"index": 0', b'"index": 1') + TEXT[-1])
    reader.finish()


def test_a_blocked_prompt_is_a_whole_answer():
    chunks, reader = decoded(BLOCKED)
    reader.finish()
    assert chunks[0].choices[0].finish_reason is reader.outcome.finish_reason is FinishReason.CONTENT_FILTER
    assert (reader.outcome.content, reader.outcome.usage) == (False, Usage(4, 0))


@pytest.mark.parametrize("method", ["relay", "decode"])
@pytest.mark.parametrize("shape", [b"%s", b"[%s]"])
def test_an_error_ends_the_stream(method, shape):
    reader = ContentStreamReader()
    data = ERROR.replace(ERROR[6:-2], shape % ERROR[6:-2])
    getattr(reader, method)(HELLO + data + WORLD)
    assert (reader.outcome.error.status, reader.outcome.error.type) == (503, "UNAVAILABLE")
    assert not reader.outcome.complete


@pytest.mark.parametrize("method", ["relay", "decode"])
@pytest.mark.parametrize("data", [b"data: {\n\n", b"data: 7\n\n", b"data: []\n\n"])
def test_garbage_is_a_broken_stream_that_keeps_what_came_before(method, data):
    reader = ContentStreamReader()
    assert getattr(reader, method)(HELLO + data)
    with pytest.raises(ProviderProtocolError, match="generateContent"):
        getattr(reader, method)(WORLD)


def test_comments_and_blank_lines_are_relayed_and_tell_nothing():
    reader = ContentStreamReader()
    noise = b": keep-alive\n\n\n"
    assert reader.relay(noise + WHOLE) == noise + WHOLE
    reader.finish()


def test_an_event_of_two_megabytes_takes_linear_time():
    big = event({"text": "x" * 2_000_000}, finish="STOP")
    reader = ContentStreamReader()
    began = time.process_time()
    out = b"".join(reader.relay(big[start : start + 1024]) for start in range(0, len(big), 1024))
    assert out == big
    assert time.process_time() - began < 5
    reader.finish()
