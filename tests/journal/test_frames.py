from __future__ import annotations

import pytest
from hypothesis import given, settings, strategies as st

from llmgate.journal.frames import MAX_PAYLOAD, frame_of, scan

PAYLOADS = [b'{"id":"%d"}' % number for number in range(5)]
WHOLE = b"".join(frame_of(one) for one in PAYLOADS)


def payloads(data: bytes, *, last: bool = True) -> list[bytes]:
    return [one.payload for one in scan(data, last=last).frames]


def test_a_frame_is_a_line_with_length_and_checksum() -> None:
    assert frame_of(b"{}") == b"00000002 a3a6bf43 {}\n"
    assert payloads(WHOLE) == PAYLOADS
    assert scan(WHOLE, last=True).end == len(WHOLE)


def test_as_many_as_are_wanted() -> None:
    found = scan(WHOLE, last=True, most=2)
    assert [one.payload for one in found.frames] == PAYLOADS[:2]
    assert found.end == found.frames[-1].end


@pytest.mark.parametrize("length", range(len(WHOLE) + 1))
def test_what_is_torn_anywhere_costs_no_more_than_itself(length: int) -> None:
    found = scan(WHOLE[:length], last=True)
    whole = list(found.frames)
    assert [one.payload for one in whole] == PAYLOADS[: len(whole)]
    assert found.end == length
    assert found.damaged == length - (whole[-1].end if whole else 0)
    waiting = scan(WHOLE[:length], last=False)
    assert waiting.frames == found.frames
    assert waiting.damaged == 0
    assert waiting.end == (whole[-1].end if whole else 0), "the rest may follow"


@given(st.integers(0, len(WHOLE) - 1), st.integers(1, 255))
@settings(max_examples=300, deadline=None)
def test_a_byte_that_has_changed_costs_its_frame_and_perhaps_the_next(place: int, flip: int) -> None:
    data = bytearray(WHOLE)
    data[place] ^= flip
    found = payloads(bytes(data))
    assert len(found) >= len(PAYLOADS) - 2
    assert all(one in PAYLOADS for one in found)
    assert found == sorted(found)


@given(st.binary(max_size=200))
@settings(max_examples=300, deadline=None)
def test_what_is_no_journal_gives_nothing_and_ends(data: bytes) -> None:
    found = scan(data, last=True)
    assert not found.frames
    assert (found.end, found.damaged) == (len(data), len(data))


def test_a_length_beyond_measure_is_damage_at_once() -> None:
    data = b"%08x 00000000 x\n" % (MAX_PAYLOAD + 1) + frame_of(b"{}")
    found = scan(data, last=False)
    assert [one.payload for one in found.frames] == [b"{}"]
    assert found.damaged > 0
