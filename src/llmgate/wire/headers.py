"""Response headers as stages see them."""

from __future__ import annotations

from collections.abc import Mapping

__all__ = ["lowered"]


def lowered(headers: Mapping[str, str]) -> dict[str, str]:
    """Headers with lower-case names; repeats joined as RFC 9110, 5.2 says; bytes beyond ASCII as Latin-1."""
    lower: dict[str, str] = {}
    for given, value in headers.items():
        name = given.lower()
        if not value.isascii():
            value = value.encode("utf-8", "surrogateescape").decode("latin-1")
        lower[name] = f"{lower[name]}, {value}" if name in lower else value
    return lower
