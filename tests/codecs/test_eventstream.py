"""The event stream encoding of AWS, compared with botocore's own reader."""

from __future__ import annotations

import itertools
import struct
import uuid
import zlib

import pytest
from botocore.eventstream import EventStreamBuffer
from hypothesis import given, strategies as st

from llmgate.codecs.eventstream import (
    MAX_HEADER_BYTES,
    MAX_MESSAGE_BYTES,
    HeaderValue,
    Message,
    MessageSplitter,
    Timestamp,
    decode_message,
    encode_headers,
    encode_message,
    message_headers,
)

HEADERS = {":message-type": "event", ":event-type": "contentBlockDelta", ":content-type": "application/json"}

NAMES = st.text(st.characters(codec="utf-8"), min_size=1, max_size=12)
VALUES: st.SearchStrategy[HeaderValue] = st.one_of(
    st.booleans(),
    st.integers(-(2**63), 2**63 - 1),
    st.binary(max_size=40),
    st.text(st.characters(codec="utf-8"), max_size=40),
    st.integers(-(2**63), 2**63 - 1).map(Timestamp),
    st.uuids(),
)
MESSAGES = st.builds(Message, st.dictionaries(NAMES, VALUES, max_size=4), st.binary(max_size=200))


def cut(data: bytes, places: list[int]) -> list[bytes]:
    marks = sorted({0, len(data), *(place % (len(data) + 1) for place in places)})
    return [data[start:end] for start, end in itertools.pairwise(marks)]


@given(MESSAGES)
def test_what_is_written_is_read_as_it_was(message: Message) -> None:
    raw = encode_message(message.headers, message.payload)
    assert MessageSplitter().feed(raw) == [raw]
    assert decode_message(raw) == message
    assert [type(one) for one in message_headers(raw).values()] == [type(one) for one in message.headers.values()]


@given(MESSAGES)
def test_botocore_reads_what_is_written(message: Message) -> None:
    buffer = EventStreamBuffer()
    buffer.add_data(encode_message(message.headers, message.payload))
    (read,) = list(buffer)
    assert read.payload == message.payload
    plain = {name: one.bytes if isinstance(one, uuid.UUID) else one for name, one in message.headers.items()}
    assert read.headers == plain


@given(st.lists(MESSAGES, max_size=4), st.lists(st.integers(0, 10_000), max_size=8))
def test_any_split_gives_the_same_messages(messages: list[Message], places: list[int]) -> None:
    whole = [encode_message(one.headers, one.payload) for one in messages]
    splitter = MessageSplitter()
    assert [raw for piece in cut(b"".join(whole), places) for raw in splitter.feed(piece)] == whole
    assert not splitter.pending


def test_every_split_of_a_stream_byte_by_byte() -> None:
    stream = b"".join(encode_message(HEADERS, b'{"n":%d}' % n) for n in range(3))
    splitter = MessageSplitter()
    assert b"".join(raw for n in range(len(stream)) for raw in splitter.feed(stream[n : n + 1])) == stream


def test_a_cut_stream_is_pending() -> None:
    raw = encode_message(HEADERS, b"{}")
    for size in range(1, len(raw)):
        splitter = MessageSplitter()
        assert splitter.feed(raw[:size]) == []
        assert splitter.pending


@given(st.integers(0), st.integers(0, 7))
def test_any_flipped_bit_is_noticed(place: int, bit: int) -> None:
    raw = bytearray(encode_message(HEADERS, b'{"delta":{"text":"hi"}}'))
    raw[place % len(raw)] ^= 1 << bit
    splitter = MessageSplitter()
    with pytest.raises(ValueError, match="checksum"):
        splitter.feed(bytes(raw))


def test_what_came_before_a_broken_message_comes_out_first() -> None:
    good = encode_message(HEADERS, b"{}")
    splitter = MessageSplitter()
    assert splitter.feed(good + good[:-1] + b"\0") == [good]
    assert splitter.pending
    with pytest.raises(ValueError, match="checksum of a message is wrong"):
        splitter.feed(b"")


def prelude(total: int, headers: int) -> bytes:
    lengths = struct.pack(">II", total, headers)
    return lengths + struct.pack(">I", zlib.crc32(lengths))


@pytest.mark.parametrize(
    ("total", "headers", "match"),
    [
        (MAX_MESSAGE_BYTES + 1, 0, "longer than"),
        (15, 0, "contradict"),
        (0, 0, "contradict"),
        (100, 85, "contradict"),
        (2 * MAX_HEADER_BYTES, MAX_HEADER_BYTES + 1, "contradict"),
    ],
)
def test_a_length_that_cannot_be_is_refused_as_soon_as_it_is_told(total: int, headers: int, match: str) -> None:
    with pytest.raises(ValueError, match=match):
        MessageSplitter().feed(prelude(total, headers))


def test_the_bound_of_a_message_can_be_set() -> None:
    raw = encode_message({}, b"x" * 100)
    assert MessageSplitter(len(raw)).feed(raw) == [raw]
    with pytest.raises(ValueError, match=f"longer than {len(raw) - 1} bytes"):
        MessageSplitter(len(raw) - 1).feed(raw)


def with_headers(headers: bytes) -> bytes:
    lengths = struct.pack(">II", 16 + len(headers), len(headers))
    body = lengths + struct.pack(">I", zlib.crc32(lengths)) + headers
    return body + struct.pack(">I", zlib.crc32(body))


@pytest.mark.parametrize(
    "headers",
    [
        b"\x00\x00",  # no name
        b"\x01a",  # no type
        b"\x01a\x0a",  # a type that nobody knows
        b"\x01a\x07\x00\x05ab",  # a text that is cut
        b"\x01a\x07\x00",  # a length that is cut
        b"\x01a\x05\x00\x00",  # a number that is cut
        b"\x01a\x09\x00",  # a UUID that is cut
        b"\x05ab",  # a name that is cut
        b"\x01a\x07\x00\x01\xff",  # no UTF-8
        b"\x01\xff\x00",  # a name that is no UTF-8
        b"\x01a\x00\x01a\x01",  # the same name twice
    ],
)
def test_broken_headers_are_refused(headers: bytes) -> None:
    (raw,) = MessageSplitter().feed(with_headers(headers))
    with pytest.raises(ValueError, match="a header of a message"):
        decode_message(raw)


@given(st.binary(max_size=300))
def test_garbage_is_refused_or_waits(data: bytes) -> None:
    splitter = MessageSplitter()
    try:
        for raw in splitter.feed(data):
            decode_message(raw)
    except ValueError:
        return
    assert splitter.pending or not data


@given(st.binary(max_size=60))
def test_any_headers_are_read_or_refused(headers: bytes) -> None:
    try:
        decode_message(with_headers(headers))
    except ValueError as error:
        assert "header" in str(error)  # noqa: PT017 - any other error is the failure


@pytest.mark.parametrize(
    "headers",
    [{"": True}, {"a" * 256: True}, {"a": "x" * 0x8000}, {"a": 2**63}, {f"h{n}": "x" * 0x7FFF for n in range(5)}],
)
def test_what_the_encoding_cannot_hold_is_not_written(headers: dict[str, HeaderValue]) -> None:
    with pytest.raises(ValueError, match="header"):
        encode_message(headers)


def test_headers_can_be_written_beforehand() -> None:
    assert encode_message(encode_headers(HEADERS), b"{}") == encode_message(HEADERS, b"{}")


def test_long_headers_are_read_too() -> None:
    raw = encode_message({"a": "x" * 1000, **HEADERS})
    assert message_headers(raw)["a"] == "x" * 1000
    assert message_headers(encode_message(HEADERS)) is message_headers(encode_message(HEADERS, b"other"))
