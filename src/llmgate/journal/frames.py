"""The frames of a journal: a line each, with length and checksum before the JSON, so that a torn one is known as such.

``00000123 9ae0daaf {"id":...}`` and a line end: eight hex digits of the payload's length in bytes, eight of its CRC-32,
the payload. A file is read with any pager, and what is damaged costs no frame but itself.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Sequence
from typing import Final

import attrs

__all__ = ["MAX_PAYLOAD", "Frame", "Scan", "frame_of", "scan"]

MAX_PAYLOAD: Final = 64 * 1024 * 1024
"""Bytes of one payload; a length beyond it is damage."""
_HEAD: Final = re.compile(rb"([0-9a-f]{8}) ([0-9a-f]{8}) ")
_HEAD_BYTES: Final = 18


@attrs.frozen
class Frame:
    """One frame as it was read; ``end`` is where it ends, as an offset in what was read."""

    payload: bytes
    end: int


@attrs.frozen
class Scan:
    """What a piece of a segment holds.

    Args:
        frames: The whole frames in it, in order.
        end: Up to where it is understood; reading goes on from there.
        damaged: Bytes that are no frames.
    """

    frames: Sequence[Frame]
    end: int
    damaged: int = 0


def frame_of(payload: bytes) -> bytes:
    """The frame around a payload that holds no line end."""
    return b"%08x %08x %b\n" % (len(payload), zlib.crc32(payload), payload)


def scan(data: bytes, *, last: bool, most: int | None = None) -> Scan:
    """The frames in a piece of a segment that begins where a frame begins.

    Args:
        data: The piece.
        last: Whether nothing follows it: what is begun in it and not ended is then torn, not on its way.
        most: How many frames are wanted; None for all.
    """
    frames: list[Frame] = []
    position = damaged = 0
    while position < len(data) and (most is None or len(frames) < most):
        found = _frame_at(data, position)
        if isinstance(found, Frame):
            frames.append(found)
            position = found.end
            continue
        if found and not last:
            break  # the rest of it may follow
        line_end = data.find(b"\n", position)
        if line_end < 0:
            if last or len(data) - position > MAX_PAYLOAD:
                damaged += len(data) - position
                position = len(data)
            break
        damaged += line_end + 1 - position
        position = line_end + 1
    return Scan(frames, position, damaged)


def _frame_at(data: bytes, position: int) -> Frame | bool:
    """The frame that begins there; where none does, whether one may still become whole."""
    head = _HEAD.match(data, position)
    if head is None:
        rest = data[position : position + _HEAD_BYTES]
        return len(rest) < _HEAD_BYTES and b"\n" not in rest
    length = int(head[1], 16)
    end = position + _HEAD_BYTES + length + 1
    if length > MAX_PAYLOAD:
        return False
    if end > len(data):
        return True
    payload = data[position + _HEAD_BYTES : end - 1]
    if data[end - 1] != 0x0A or zlib.crc32(payload) != int(head[2], 16):
        return False
    return Frame(payload, end)
