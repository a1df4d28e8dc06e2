"""Our own ids of exchanges: UUID version 7, so that they sort by time (RFC 9562, section 5.7)."""

from __future__ import annotations

import os

__all__ = ["new_id"]


def new_id(now: float) -> str:
    """A UUIDv7 in its usual text form.

    Args:
        now: Seconds since the epoch.
    """
    milliseconds = int(now * 1000) & 0xFFFF_FFFF_FFFF
    chance = int.from_bytes(os.urandom(10), "big")
    value = milliseconds << 80 | 0x7 << 76 | (chance >> 68 & 0xFFF) << 64 | 0b10 << 62 | chance & 0x3FFF_FFFF_FFFF_FFFF
    text = f"{value:032x}"
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"
