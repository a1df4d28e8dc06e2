"""What is left of a provider's limits, from the headers of one family of vendors to those of another.

Sources: OpenAI documentation, "Rate limits in headers" (``x-ratelimit-remaining-tokens``, times as ``6m0s``); Anthropic
documentation, "Response headers" (``anthropic-ratelimit-tokens-remaining``, times of RFC 3339).
"""

from __future__ import annotations

import datetime as dt
import math
import re
from collections.abc import Mapping
from typing import Final

import attrs

__all__ = [
    "Allowance",
    "limit_header_names",
    "read_rate_limits",
    "reset_text",
    "time_to_refill",
    "translated_limits",
    "write_rate_limits",
]

_ANTHROPIC: Final = "anthropic-ratelimit-"
_OPENAI: Final = "x-ratelimit-"
_SUBJECTS: Final = ("requests", "tokens", "input-tokens", "output-tokens")
_NUMBER: Final = re.compile(r"[0-9]{1,15}", re.ASCII)
_DURATION: Final = re.compile(
    r"(?:(?P<d>[0-9]{1,5})d)?(?:(?P<h>[0-9]{1,6})h)?(?:(?P<m>[0-9]{1,6})m(?!s))?(?:(?P<s>[0-9]{1,9}(?:\.[0-9]{1,9})?)s)?"
    r"(?:(?P<ms>[0-9]{1,9}(?:\.[0-9]{1,9})?)ms)?",
    re.ASCII,
)
_SECONDS: Final[Mapping[str, float]] = {"d": 86400, "h": 3600, "m": 60, "s": 1, "ms": 0.001}
_REMAINING: Final = tuple(
    name for subject in _SUBJECTS for name in (f"{_OPENAI}remaining-{subject}", f"{_ANTHROPIC}{subject}-remaining")
)
_LONGEST: Final = 64
"""Characters of a value that are looked at."""


@attrs.frozen
class Allowance:
    """How much of one thing may be used; None where it is not said.

    Args:
        limit: How much in all.
        remaining: How much is left.
        reset: Seconds until all of it is there again.
    """

    limit: int | None = None
    remaining: int | None = None
    reset: float | None = None


def read_rate_limits(headers: Mapping[str, str], now: float) -> Mapping[str, Allowance]:
    """The allowances that response headers tell, by their subject: requests, tokens, input-tokens, output-tokens.

    Args:
        headers: Response headers by lower-case name, of either family.
        now: Seconds since the epoch.
    """
    found = {}
    for subject in _SUBJECTS:
        allowance = _of_openai(headers, subject)
        if allowance == Allowance():
            allowance = _of_anthropic(headers, subject, now)
        if allowance != Allowance():
            found[subject] = allowance
    return found


def time_to_refill(headers: Mapping[str, str], now: float) -> float | None:
    """Seconds until all is there again of the allowances that are used up; None when none is, or it is not said when.

    Args:
        headers: Response headers by lower-case name, of either family.
        now: Seconds since the epoch.
    """
    if "0" not in map(headers.get, _REMAINING):
        return None
    spent = [one.reset for one in read_rate_limits(headers, now).values() if one.remaining == 0]
    return max((reset for reset in spent if reset is not None), default=None)


def write_rate_limits(allowances: Mapping[str, Allowance], family: str | None, now: float) -> dict[str, str]:
    """Allowances as the headers of a family; none where it has no such headers.

    Args:
        allowances: What is left, by subject; subjects that the family does not know are left out.
        family: ``openai``, ``anthropic`` or None.
        now: Seconds since the epoch.
    """
    headers: dict[str, str] = {}
    for subject, one in allowances.items():
        names = limit_header_names(family, subject)
        if names is not None:
            reset = None if one.reset is None else reset_text(family, one.reset, now)
            values = zip(names, (one.limit, one.remaining, reset), strict=True)
            headers |= {name: str(value) for name, value in values if value is not None}
    return headers


def limit_header_names(family: str | None, subject: str) -> tuple[str, str, str] | None:
    """What a family calls the headers of a subject's limit, what is left, and its reset; None where it has none."""
    if family == "anthropic":
        return (f"{_ANTHROPIC}{subject}-limit", f"{_ANTHROPIC}{subject}-remaining", f"{_ANTHROPIC}{subject}-reset")
    if family == "openai" and subject in ("requests", "tokens"):
        return (f"{_OPENAI}limit-{subject}", f"{_OPENAI}remaining-{subject}", f"{_OPENAI}reset-{subject}")
    return None


def reset_text(family: str | None, seconds: float, now: float) -> str:
    """When all is there again, as a family writes it.

    Args:
        family: ``openai`` or ``anthropic``.
        seconds: Seconds from now.
        now: Seconds since the epoch.
    """
    return _moment(now + seconds) if family == "anthropic" else _duration(seconds)


def translated_limits(headers: Mapping[str, str], family: str | None, now: float) -> dict[str, str]:
    """What headers of any family tell of limits, in those of another; see ``write_rate_limits``."""
    return write_rate_limits(read_rate_limits(headers, now), family, now) if family is not None else {}


def _of_openai(headers: Mapping[str, str], subject: str) -> Allowance:
    limit, remaining, reset = (headers.get(f"{_OPENAI}{what}-{subject}") for what in ("limit", "remaining", "reset"))
    return Allowance(_whole(limit), _whole(remaining), _from_duration(reset))


def _of_anthropic(headers: Mapping[str, str], subject: str, now: float) -> Allowance:
    limit, remaining, reset = (headers.get(f"{_ANTHROPIC}{subject}-{what}") for what in ("limit", "remaining", "reset"))
    return Allowance(_whole(limit), _whole(remaining), _until(reset, now))


def _whole(text: str | None) -> int | None:
    text = (text or "").strip()
    return int(text) if _NUMBER.fullmatch(text) else None


def _from_duration(text: str | None) -> float | None:
    """Seconds of a duration such as ``6m0s`` or ``20ms``; a bare number is seconds."""
    text = (text or "").strip()[:_LONGEST]
    if not text:
        return None
    if _NUMBER.fullmatch(text):
        return float(text)
    found = _DURATION.fullmatch(text)
    if found is None:
        return None
    return sum(float(value) * _SECONDS[unit] for unit, value in found.groupdict().items() if value is not None)


def _until(text: str | None, now: float) -> float | None:
    """Seconds until a moment of RFC 3339, never negative."""
    text = (text or "").strip()
    if not text or len(text) > _LONGEST:
        return None
    try:
        moment = dt.datetime.fromisoformat(text)
        return max(0.0, (moment if moment.tzinfo else moment.replace(tzinfo=dt.UTC)).timestamp() - now)
    except (ValueError, OverflowError):
        return None


def _moment(seconds: float) -> str:
    """A moment of RFC 3339 in whole seconds, not before the one meant."""
    latest = 253_402_300_799  # the last second that has four digits for its year
    return dt.datetime.fromtimestamp(min(math.ceil(seconds), latest), dt.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _duration(seconds: float) -> str:
    """A duration as OpenAI writes it: ``20ms``, ``1.5s``, ``6m0s``, ``2h0m0s``."""
    if seconds < 1:
        return f"{math.ceil(seconds * 1000)}ms"
    minutes, rest = divmod(round(seconds, 3), 60)
    hours, minutes = divmod(int(minutes), 60)
    text = f"{rest:g}s"
    if hours or minutes:
        text = f"{minutes}m{text}"
    return f"{hours}h{text}" if hours else text
