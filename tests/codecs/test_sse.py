"""The event splitter against an oracle: whatever the line ends and the cuts, the events are the same."""

from __future__ import annotations

import itertools
import time

import pytest
from hypothesis import example, given, strategies as st

from llmgate.codecs.sse import EventSplitter, encode_event, event_data, event_name

BOM = b"\xef\xbb\xbf"
LINE_SEPARATOR = "\u2028".encode()
OPENAI = (
    'data: {"choices":[{"delta":{"role":"assistant","content":""}}]}\n\n'
    'data: {"choices":[{"delta":{"content":"Grüße 🌍 \u2028 line? 日本"}}]}\n\n'
    'data: {"choices":[{"delta":{},"finish_reason":"stop"}]}\n\n'
    "data: [DONE]\n\n"
).encode()
ANTHROPIC = (
    'event: message_start\ndata: {"type":"message_start"}\n\n'
    ": keep-alive\n\n"
    'event: content_block_delta\ndata: {"delta":{"text":"été"}}\n\n'
    "event:ping\ndata:{}\nid: 7\nretry: 10\n\n"
    "event: message_stop\ndata: first\ndata\ndata:  third\n\n"
).encode()
UNFINISHED = b'data: {"a":1}\n\ndata: {"a":'
RECORDINGS = {
    "openai": OPENAI,
    "anthropic": ANTHROPIC,
    "unfinished": UNFINISHED,
    "blanks": b"\n\n\ndata: x\n\n\n\n:c\n\n",
}
LINE_ENDS = {"lf": b"\n", "crlf": b"\r\n", "cr": b"\r"}


def oracle(stream: bytes) -> tuple[list[tuple[bytes | None, bytes | None]], bool]:
    """The standard's algorithm on the whole stream: (name, data) of each event, and whether one was cut."""
    text = stream.removeprefix(b"\xef\xbb\xbf").replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    lines = text.split(b"\n")
    cut_line = lines.pop()
    events: list[tuple[bytes | None, bytes | None]] = []
    name: bytes | None = None
    data: list[bytes] = []
    dirty = False
    for line in lines:
        if not line:
            if dirty:
                events.append((name or None, b"\n".join(data) if data else None))
            name, data, dirty = None, [], False
            continue
        dirty = True
        field, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        if field == b"event":
            name = value
        elif field == b"data":
            data.append(value)
    return events, dirty or bool(cut_line)


def split(stream: bytes, cuts: list[int]) -> tuple[list[bytes], bool]:
    splitter = EventSplitter()
    edges = [0, *sorted(min(cut, len(stream)) for cut in cuts), len(stream)]
    raws = [raw for start, end in itertools.pairwise(edges) for raw in splitter.feed(stream[start:end])]
    return raws, splitter.pending


def meaning(raws: list[bytes]) -> list[tuple[bytes | None, bytes | None]]:
    return [(event_name(raw), event_data(raw)) for raw in raws if raw.strip(b"\r\n")]


def check(stream: bytes, cuts: list[int]) -> None:
    raws, pending = split(stream, cuts)
    expected, expected_pending = oracle(stream)
    assert meaning(raws) == expected
    assert pending == expected_pending
    joined = b"".join(raws)
    assert stream.removeprefix(b"\xef\xbb\xbf").startswith(joined)
    if not pending:
        assert joined == stream.removeprefix(b"\xef\xbb\xbf")


@pytest.mark.parametrize("bom", [b"", b"\xef\xbb\xbf"], ids=["plain", "bom"])
@pytest.mark.parametrize("line_end", LINE_ENDS)
@pytest.mark.parametrize("recording", RECORDINGS)
def test_a_recording_cut_anywhere_gives_the_same_events(recording: str, line_end: str, bom: bytes) -> None:
    stream = bom + RECORDINGS[recording].replace(b"\n", LINE_ENDS[line_end])
    for cut in range(len(stream) + 1):
        check(stream, [cut])
    check(stream, list(range(len(stream))))


@given(
    pieces=st.lists(
        st.sampled_from(
            [
                b"\n",
                b"\r",
                b"\r\n",
                b"data: x",
                b"data:",
                b"data",
                b"event: e",
                b": c",
                b"\xe2\x80\xa8",
                b"\xef\xbb\xbf",
                b" ",
                b"y",
            ]
        ),
        max_size=25,
    ),
    cuts=st.lists(st.integers(0, 120), max_size=12),
    bom=st.booleans(),
)
@example(pieces=[b"data: x", b"\r\n", b"\r\n", b"data: y", b"\r\n", b"\r\n"], cuts=[10], bom=False)
@example(pieces=[b"data: x", b"\r", b"\r", b"\n", b"data: y", b"\n", b"\n"], cuts=[9], bom=True)
def test_any_mixture_of_line_ends_cut_anywhere_is_read_as_the_standard_says(
    pieces: list[bytes], cuts: list[int], bom: bool
) -> None:
    body = b"".join(pieces)
    if body.startswith(b"\xef\xbb\xbf"):
        body = b"z" + body  # a second mark is text, and so is not what this test is about
    check((b"\xef\xbb\xbf" if bom else b"") + body, cuts)


def test_whole_lf_events_come_out_in_the_bytes_they_came_in() -> None:
    assert EventSplitter().feed(b"data: 1\n\nevent: e\ndata: 2\n\n") == [b"data: 1\n\n", b"event: e\ndata: 2\n\n"]


def test_an_event_ended_by_a_cr_is_not_kept_waiting_for_the_lf() -> None:
    splitter = EventSplitter()
    assert splitter.feed(b"data: 1\r\n\r") == [b"data: 1\r\n\r"]
    assert not splitter.pending
    assert splitter.feed(b"\ndata: 2\r\n\r\n") == [b"\n", b"data: 2\r\n\r\n"]


def test_a_crlf_cut_between_its_bytes_is_one_line_end() -> None:
    splitter = EventSplitter()
    assert splitter.feed(b"event: e\r") == []
    assert splitter.feed(b"\ndata: 1\r") == []
    assert splitter.feed(b"\n\r\n") == [b"event: e\r\ndata: 1\r\n\r\n"]


def test_the_unicode_line_separators_are_text() -> None:
    text = "a\u2028b\u2029c\x85d\x0be\x0cf\x1cg".encode()
    [raw] = EventSplitter().feed(b"data: " + text + b"\r\n\r\n")
    assert event_data(raw) == text


def test_a_cut_event_is_pending_and_never_comes_out() -> None:
    splitter = EventSplitter()
    assert splitter.feed(b"data: 1\n") == []
    assert splitter.pending


def test_a_half_byte_order_mark_is_pending_and_a_false_one_is_text() -> None:
    splitter = EventSplitter()
    assert splitter.feed(b"\xef\xbb") == []
    assert splitter.pending
    assert splitter.feed(b"!data\n\n") == [b"\xef\xbb!data\n\n"]


@pytest.mark.parametrize("line_end", LINE_ENDS)
@pytest.mark.parametrize("step", [1, 7, 1000])
def test_an_overlong_event_is_refused_and_one_at_the_bound_passes(step: int, line_end: str) -> None:
    end = LINE_ENDS[line_end] * 2
    fits = b"data: " + b"x" * (100 - 6 - len(end)) + end
    splitter = EventSplitter(max_event_bytes=100)

    def drip(stream: bytes) -> list[bytes]:
        return [raw for at in range(0, len(stream), step) for raw in splitter.feed(stream[at : at + step])]

    assert b"".join(drip(fits)) == fits
    with pytest.raises(ValueError, match="longer than 100 bytes"):
        drip(b"data: " + b"x" * 100 + end)


@pytest.mark.parametrize("line_end", LINE_ENDS)
def test_a_drip_of_single_bytes_takes_linear_time(line_end: str) -> None:
    def seconds(size: int) -> float:
        stream = b"data: " + b"x" * size + LINE_ENDS[line_end] * 2
        splitter = EventSplitter()
        began = time.process_time()
        raws = [raw for at in range(len(stream)) for raw in splitter.feed(stream[at : at + 1])]
        assert b"".join(raws) == stream
        return time.process_time() - began

    seconds(1_000)
    small, large = seconds(40_000), seconds(320_000)
    assert large < 8 * small * 4 + 0.1  # eight times the bytes; quadratic time would be sixty-four times


def test_ten_megabytes_of_small_events_take_less_than_a_second() -> None:
    stream = b'data: {"choices":[{"delta":{"content":"word"}}]}\n\n' * 200_000
    splitter = EventSplitter()
    began = time.process_time()
    count = sum(len(splitter.feed(stream[at : at + 65_536])) for at in range(0, len(stream), 65_536))
    assert count == 200_000
    assert time.process_time() - began < 1


@pytest.mark.parametrize(
    ("raw", "name", "data"),
    [
        (b"data: x\n\n", None, b"x"),
        (b"data:x\n\n", None, b"x"),
        (b"data:  x\n\n", None, b" x"),
        (b"data\n\n", None, b""),
        (b"data:\n\n", None, b""),
        (b"data: a\ndata: b\n\n", None, b"a\nb"),
        (b"event: e\r\ndata: a\r\ndata: b\r\n\r\n", b"e", b"a\nb"),
        (b"data: a\revent: first\revent: e\r\r", b"e", b"a"),
        (b"event:\ndata: a\n\n", None, b"a"),
        (b": comment\n\n", None, None),
        (b"dataset: x\nDATA: y\n data: z\n\n", None, None),
        (b"\n", None, None),
        (b"data: [DONE]\ny", None, b"[DONE]"),
    ],
)
def test_name_and_data_of_an_event(raw: bytes, name: bytes | None, data: bytes | None) -> None:
    assert event_name(raw) == name
    assert event_data(raw) == data


@given(data=st.binary(), name=st.none() | st.binary(min_size=1).filter(lambda name: not {10, 13} & set(name)))
def test_what_is_written_is_read_back(data: bytes, name: bytes | None) -> None:
    [raw] = [raw for raw in EventSplitter().feed(encode_event(data, name)) if raw.strip(b"\r\n")]
    assert event_data(raw) == data.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    assert event_name(raw) == name


def test_a_name_with_a_line_end_is_refused() -> None:
    with pytest.raises(ValueError, match="line end"):
        encode_event(b"x", b"a\nb")
