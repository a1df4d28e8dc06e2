"""Histograms as text, made so that what stands behind each other is added up: databases merge them by appending."""

from __future__ import annotations

from collections.abc import Mapping

__all__ = ["pack", "unpack_into"]


def pack(counts: Mapping[int, int]) -> str:
    """The counts by bucket as text: ``57 3 58 1 `` for three in bucket 57 and one in bucket 58."""
    return "".join([f"{bucket} {count} " for bucket, count in counts.items()])


def unpack_into(packed: str, counts: dict[int, int]) -> None:
    """Add packed counts to others."""
    parts = packed.split()
    found: dict[str, int] = {}
    known = found.get  # there are many more parts than buckets, so buckets become numbers last
    for bucket, count in zip(parts[::2], map(int, parts[1::2]), strict=True):
        found[bucket] = known(bucket, 0) + count
    for bucket, count in found.items():
        number = int(bucket)
        counts[number] = counts.get(number, 0) + count
