from __future__ import annotations

import itertools
import time

import pytest
from hypothesis import given, strategies as st

from llmgate.codecs.jsons import dumps, loads
from llmgate.codecs.ndjson import LineSplitter, encode_line

pieces = st.lists(
    st.binary(max_size=8) | st.sampled_from([b"\n", b"\r\n", b"\r", b"{}", "\u2028é".encode()]), max_size=12
)


@given(pieces)
def test_what_comes_out_is_what_went_in(data):
    splitter = LineSplitter()
    lines = [line for piece in data for line in splitter.feed(piece)]
    whole = b"".join(data)
    complete, _, rest = whole.rpartition(b"\n")
    assert b"".join(lines) == (complete + b"\n" if b"\n" in whole else b"")
    assert all(line.count(b"\n") == 1 and line.endswith(b"\n") for line in lines)
    assert splitter.pending is bool(rest)
    assert splitter.feed(b"\n") == [rest + b"\n"]
    assert not splitter.pending


DATA = '{"a":"é \u2028 👩‍👩‍👧"}\r\n\n{"b":"\r"}\n{"c":1}\n'.encode()


def test_every_split_reads_alike():
    whole = LineSplitter().feed(DATA)
    assert len(whole) == 4
    for first, second in itertools.combinations(range(len(DATA) + 1), 2):
        splitter = LineSplitter()
        got = [line for piece in (DATA[:first], DATA[first:second], DATA[second:]) for line in splitter.feed(piece)]
        assert got == whole


@pytest.mark.parametrize(
    ("limit", "sent"),
    [(4, [b"12345"]), (4, [b"123", b"45"]), (4, [b"1234\n"]), (4, [b"12", b"34\n"]), (4, [b"1\n", b"12345\n"])],
)
def test_a_line_that_is_too_long_is_refused(limit, sent):
    splitter = LineSplitter(max_line_bytes=limit)
    with pytest.raises(ValueError, match="longer than 4 bytes"):
        for piece in sent:
            splitter.feed(piece)


def test_a_line_of_the_greatest_length_passes():
    splitter = LineSplitter(max_line_bytes=4)
    assert splitter.feed(b"12") == []
    assert splitter.feed(b"3\n123\n") == [b"123\n", b"123\n"]


def test_a_slow_drip_is_linear():
    def seconds(size: int) -> float:
        splitter = LineSplitter()
        begin = time.thread_time()
        for _ in range(size):
            splitter.feed(b"x")
        return time.thread_time() - begin

    seconds(1000)
    assert min(seconds(40_000) for _ in range(3)) < 40 * min(seconds(4000) for _ in range(3)) + 0.05


def test_a_line_is_written():
    assert encode_line(b"{}") == b"{}\n"


def test_a_written_line_is_one_line_to_everybody():
    value = {"a": "x\u2028y\u2029z\x85é", "b": "\\u2028"}
    line = encode_line(dumps(value))
    assert line.decode().splitlines() == [line.decode().rstrip("\n")]
    assert loads(line) == value
