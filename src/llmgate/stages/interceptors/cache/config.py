"""What ``cache`` can be told."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import attrs

from .directives import UNDERSTOOD, read_directives

__all__ = ["MOST_BUCKETS", "CacheConfig"]

MOST_BUCKETS: Final = 20
"""Upper bound of the answers that are kept for one request, as in Helicone's cloud."""
_WEEK: Final = 7 * 86400.0
_YEAR: Final = 365 * 86400.0


def _directive(_: object, __: attrs.Attribute[str], value: str) -> None:
    if not value:
        return
    try:
        read_directives(value)
    except ValueError as wrong:
        raise ValueError(f"directive: {wrong}; write for example max-age=3600") from None
    for part in value.split(","):
        name = part.partition("=")[0].strip().lower()
        if name and name not in (*UNDERSTOOD, "public", "private"):
            raise ValueError(f"directive: {name!r} means nothing here: write {', '.join(UNDERSTOOD)}")


def _buckets(_: object, __: attrs.Attribute[int], value: int) -> None:
    if not 1 <= value <= MOST_BUCKETS:
        raise ValueError(f"buckets must be between 1 and {MOST_BUCKETS}, not {value}")


def _positive(_: object, attribute: attrs.Attribute[Any], value: float) -> None:
    if not value > 0:
        raise ValueError(f"{attribute.name.replace('_', '-')} must be above 0, not {value:g}")


def _not_negative(_: object, attribute: attrs.Attribute[Any], value: float) -> None:
    if not value >= 0:
        raise ValueError(f"{attribute.name.replace('_', '-')} must not be below 0, not {value:g}")


def _half_a_second(_: object, __: attrs.Attribute[float], value: float) -> None:
    if not 0 < value <= 0.5:
        raise ValueError(f"store-timeout must be above 0 and at most 500ms, not {value:g} s: a slow cache helps nobody")


@attrs.frozen
class CacheConfig:
    """The config of ``cache``.

    Args:
        directive: ``Cache-Control`` that holds where a request has none of its own: max-age and s-maxage are for how
            long an answer is fresh, and the longest that a caller may ask for.
        buckets: How many different answers are kept for one request; only when all are there is one of them given.
        seed: Keeps the answers of different seeds apart; a caller's own seed is added to it.
        enabled: Whether requests use the cache that do not say; without it they say so in Helicone-Cache-Enabled.
        shared: Whether callers get each other's answers; without it each principal has answers of its own.
        ignore_keys: Fields at the top of a body that two equal requests may differ in.
        state: The state store that keeps the answers.
        max_age: Seconds for which an answer is fresh where nothing else says so.
        longest_age: Upper bound of the seconds for which an answer is kept, whoever asks for more.
        max_entry_size: Bytes above which an answer is not kept.
        wait: Seconds that a request waits for an equal one that is on its way, to take its answer; 0 for not at all.
        store_timeout: Seconds that the store may take; what it does not answer by then is a miss.
        store_pause: Seconds for which a store that has failed is left alone.
    """

    directive: str = attrs.field(default="", validator=_directive)
    buckets: int = attrs.field(default=1, validator=_buckets)
    seed: str = ""
    enabled: bool = True
    shared: bool = False
    ignore_keys: Sequence[str] = ()
    state: str = "memory"
    max_age: float = attrs.field(default=_WEEK, validator=_positive)
    longest_age: float = attrs.field(default=_YEAR, validator=_positive)
    max_entry_size: int = attrs.field(default=4 * 1024 * 1024, validator=_positive)
    wait: float = attrs.field(default=30.0, validator=_not_negative)
    store_timeout: float = attrs.field(default=0.5, validator=_half_a_second)
    store_pause: float = attrs.field(default=5.0, validator=_not_negative)
