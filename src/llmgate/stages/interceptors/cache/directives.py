"""``Cache-Control`` as a caller or the configuration writes it (RFC 9111, 5.2; RFC 5861 for stale-while-revalidate)."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

import attrs

__all__ = ["UNDERSTOOD", "Directives", "read_directives"]

UNDERSTOOD: Final = (
    "max-age",
    "s-maxage",
    "max-stale",
    "min-fresh",
    "stale-while-revalidate",
    "no-cache",
    "no-store",
    "only-if-cached",
)
"""The directives that do something here."""

_PART: Final = re.compile(r'\s*([A-Za-z0-9_-]+)\s*(?:=\s*("(?:[^"\\]|\\.)*"|[^\s,"]*))?\s*(?:,[,\s]*|$)')
_LONGEST: Final = 2**31
"""What more seconds than that are taken for (RFC 9111, 1.2.2)."""
_SWITCHES: Final = ("no-cache", "no-store", "only-if-cached")


@attrs.frozen
class Directives:
    """What ``Cache-Control`` says; seconds, None where it says nothing.

    Args:
        max_age: How old an answer may be, and for how long one is fresh.
        shared_age: ``s-maxage``: the same for a cache such as this one; it wins over ``max_age``.
        max_stale: For how long past its freshness an answer is still taken; infinity for any.
        min_fresh: For how long it must still be fresh.
        revalidate: ``stale-while-revalidate``: for how long past its freshness it is given while it is fetched anew.
        no_cache: Whether no kept answer is taken; the new one is kept.
        no_store: Whether nothing is taken and nothing is kept.
        only_if_cached: Whether nothing but a kept answer is wanted.
    """

    max_age: float | None = None
    shared_age: float | None = None
    max_stale: float | None = None
    min_fresh: float | None = None
    revalidate: float | None = None
    no_cache: bool = False
    no_store: bool = False
    only_if_cached: bool = False

    @property
    def age(self) -> float | None:
        """The age that counts here."""
        return self.max_age if self.shared_age is None else self.shared_age


_FIELDS: Final[Mapping[str, str]] = {
    "max-age": "max_age",
    "s-maxage": "shared_age",
    "max-stale": "max_stale",
    "min-fresh": "min_fresh",
    "stale-while-revalidate": "revalidate",
    "no-cache": "no_cache",
    "no-store": "no_store",
    "only-if-cached": "only_if_cached",
}


def read_directives(text: str) -> Directives:
    """What a ``Cache-Control`` says; directives that mean nothing here are left out (RFC 9111, 5.2.3).

    Of a directive that is repeated the first counts (4.2.1).

    Raises:
        ValueError: naming what cannot be read.
    """
    found: dict[str, Any] = {}
    for name, argument in _parts(text):
        field = _FIELDS.get(name)
        if field is None or field in found:
            continue
        if name in _SWITCHES:
            found[field] = True
        elif name == "max-stale" and not argument:
            found[field] = math.inf
        elif argument.isascii() and argument.isdecimal():
            found[field] = float(min(int(argument[:11]), _LONGEST))
        else:
            raise ValueError(f"{name} needs a whole number of seconds, not {argument[:40]!r}")
    return Directives(**found)


def _parts(text: str) -> Iterator[tuple[str, str]]:
    place = 0
    text = text.strip(" \t,")
    while place < len(text):
        part = _PART.match(text, place)
        if part is None:
            raise ValueError(f"{text[place : place + 40].strip()!r} is no directive of Cache-Control")
        yield part[1].lower(), (part[2] or "").strip('"')
        place = part.end()
