"""The checksum that Secret Manager sends beside a secret.

Source: RFC 3720, appendix B.4 (CRC32C, reflected polynomial 0x82F63B78).
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Final

__all__ = ["crc32c"]

_POLYNOMIAL: Final = 0x82F63B78


def crc32c(data: bytes) -> int:
    """The CRC32C of some bytes."""
    table, value = _table(), 0xFFFFFFFF
    for byte in data:
        value = table[(value ^ byte) & 0xFF] ^ (value >> 8)
    return value ^ 0xFFFFFFFF


@functools.cache
def _table() -> Sequence[int]:
    table = []
    for value in range(256):
        for _ in range(8):
            value = (value >> 1) ^ (_POLYNOMIAL if value & 1 else 0)
        table.append(value)
    return table
