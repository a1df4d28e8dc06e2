"""Inflating against zlib itself: any split, any number of members, never more than the bounds allow."""

from __future__ import annotations

import gzip
import itertools
import zlib

import pytest
from hypothesis import given, strategies as st

from llmgate.wire.decoding import MAX_RATIO, RATIO_FLOOR, DecodingError, inflater_for


def inflated(encoding: str, pieces: list[bytes]) -> bytes:
    inflater = inflater_for(encoding)
    assert inflater is not None
    out = b"".join(part for piece in pieces if piece for part in inflater.feed(piece))
    inflater.finish()
    return out


def raw_deflate(data: bytes) -> bytes:
    packer = zlib.compressobj(wbits=-15)
    return packer.compress(data) + packer.flush()


PACKERS = {
    "gzip": ("gzip", gzip.compress),
    "x-gzip": (" X-GZIP ", gzip.compress),
    "zlib": ("deflate", zlib.compress),
    "raw": ("deflate", raw_deflate),
}


@pytest.mark.parametrize("kind", PACKERS)
@given(data=st.binary(max_size=2000), cuts=st.lists(st.integers(0, 2000), max_size=5))
def test_any_split_inflates_to_the_same(kind: str, data: bytes, cuts: list[int]) -> None:
    encoding, pack = PACKERS[kind]
    packed = pack(data)
    edges = [0, *sorted(min(cut, len(packed)) for cut in cuts), len(packed)]
    assert inflated(encoding, [packed[a:b] for a, b in itertools.pairwise(edges)]) == data


def test_members_follow_each_other_and_padding_is_ignored() -> None:
    packed = gzip.compress(b"one") + gzip.compress(b"two") + b"\0" * 5
    assert inflated("gzip", [packed]) == b"onetwo"
    assert inflated("gzip", [packed[at : at + 1] for at in range(len(packed))]) == b"onetwo"


def test_no_body_at_all_is_no_truncated_body() -> None:
    assert inflated("gzip", []) == b""


@pytest.mark.parametrize("kind", PACKERS)
def test_every_truncation_is_noticed(kind: str) -> None:
    encoding, pack = PACKERS[kind]
    packed = pack(b"hello " * 20)
    for size in range(1, len(packed)):
        with pytest.raises(DecodingError):
            inflated(encoding, [packed[:size]])


@pytest.mark.parametrize(
    ("encoding", "data"),
    [("gzip", b"not gzip"), ("gzip", gzip.compress(b"x") + b"rest"), ("deflate", zlib.compress(b"x") + b"rest")],
    ids=["damage", "gzip with surplus", "deflate with surplus"],  # the bytes hold the time, and names must not change
)
def test_damage_and_surplus_are_errors(encoding: str, data: bytes) -> None:
    with pytest.raises(DecodingError):
        inflated(encoding, [data])


def test_a_bomb_is_stopped_at_the_ratio_and_comes_in_bounded_pieces() -> None:
    bomb = gzip.compress(b" " * 50_000_000)
    inflater = inflater_for("gzip")
    assert inflater is not None
    pieces: list[bytes] = []
    with pytest.raises(DecodingError, match="100 times"):
        pieces.extend(inflater.feed(bomb))
    assert sum(map(len, pieces)) <= MAX_RATIO * len(bomb)
    assert max(map(len, pieces)) <= 256 * 1024


def test_what_compresses_well_and_is_small_passes() -> None:
    assert inflated("gzip", [gzip.compress(b" " * RATIO_FLOOR)]) == b" " * RATIO_FLOOR


def test_what_compresses_as_text_does_passes_at_any_size() -> None:
    text = "".join(
        f'{{"index": {number}, "text": "word {number * 7919 % 1000}"}}\n' for number in range(100_000)
    ).encode()
    assert inflated("gzip", [gzip.compress(text)]) == text


@pytest.mark.parametrize("encoding", ["", " ", "identity", "Identity"])
def test_nothing_to_undo(encoding: str) -> None:
    assert inflater_for(encoding) is None


@pytest.mark.parametrize("encoding", ["br", "zstd", "gzip, gzip", "gzip;q=1"])
def test_an_encoding_that_is_not_read_is_refused(encoding: str) -> None:
    with pytest.raises(DecodingError, match=encoding):
        inflater_for(encoding)


def test_a_name_made_to_mislead_is_bounded_and_quoted() -> None:
    with pytest.raises(DecodingError) as caught:
        inflater_for("x\n" * 1000)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 160
