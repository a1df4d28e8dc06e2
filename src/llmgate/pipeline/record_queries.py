"""Questions about records as people and programs write them: words and texts become a query, or a clear refusal."""

from __future__ import annotations

import base64
import binascii
import datetime as dt
import math
import re
from collections.abc import Mapping, Sequence
from typing import Final

from llmgate.config.durations import seconds
from llmgate.spec import (
    DIMENSIONS,
    PERIODS,
    PROPERTY,
    InvalidRequestError,
    RecordFilter,
    RecordQuery,
    UsageQuery,
    zone_named,
)

__all__ = ["FILTERS", "Asked", "filter_of", "next_cursor", "read_moment", "record_query", "usage_query"]

Asked = Mapping[str, Sequence[str]]
"""What is asked: every word with the texts that were written for it, as in the query of an address."""

FILTERS: Final = (
    *DIMENSIONS,
    "property",
    "since",
    "until",
    "zone",
    "surface",
    "status",
    "error",
    "session",
    "prompt",
    "cache",
    "slower",
    "text",
    "housekeeping",
)
"""The words that say which records are meant."""
_LARGEST_PAGE: Final = 1000
_MOST_GROUPS: Final = 10_000
_MOST_BY: Final = 4
_LONGEST: Final = 1024
_STATUS: Final = re.compile(r"([1-5])(?:xx|([0-9]{2}))")


def record_query(asked: Asked, now: float) -> RecordQuery:
    """A page of records.

    Args:
        asked: ``FILTERS``, ``limit`` and ``cursor``.
        now: Seconds since the epoch.

    Raises:
        InvalidRequestError: a word is not known, or its text says nothing.
    """
    _known(asked, (*FILTERS, "limit", "cursor"))
    return RecordQuery(filter_of(asked, now), _number(asked, "limit", 50, _LARGEST_PAGE), _place(_one(asked, "cursor")))


def usage_query(asked: Asked, now: float) -> UsageQuery:
    """What records add up to.

    Args:
        asked: ``FILTERS``, ``limit`` and ``by``; several dimensions may stand in one ``by``, parted by commas.
        now: Seconds since the epoch.

    Raises:
        InvalidRequestError: a word is not known, or its text says nothing.
    """
    _known(asked, (*FILTERS, "limit", "by"))
    by = [name.strip() for text in asked.get("by", ()) for name in text.split(",") if name.strip()]
    for name in by:
        _dimension(name, "by")
    if len(set(by)) < len(by) or len(by) > _MOST_BY or len(set(by) & set(PERIODS)) > 1:
        raise InvalidRequestError(
            f"by: write up to {_MOST_BY} different dimensions, one of {', '.join(PERIODS)} at most", param="by"
        )
    zone = _zone(asked)
    names = tuple(f"{PROPERTY}{one.removeprefix(PROPERTY).lower()}" if one.startswith(PROPERTY) else one for one in by)
    return UsageQuery(names, filter_of(asked, now), zone, _number(asked, "limit", 1000, _MOST_GROUPS))


def filter_of(asked: Asked, now: float) -> RecordFilter:
    """Which records are meant; see ``record_query``."""
    zone = _zone(asked)
    equal = {name: text for name in DIMENSIONS if (text := _one(asked, name)) is not None}
    for text in asked.get("property", ()):
        name, sign, value = text.partition("=")
        if not sign or not name:
            raise InvalidRequestError(f"property: {text[:64]!r}: write NAME=VALUE", param="property")
        equal[f"{PROPERTY}{name.lower()}"] = value
    since, until = (_moment(asked, name, now, zone) for name in ("since", "until"))
    if since is not None and until is not None and since > until:
        raise InvalidRequestError("since is later than until", param="since")
    return RecordFilter(
        since=since,
        until=until,
        equal=equal,
        surface=_one(asked, "surface"),
        status=_status(_one(asked, "status")),
        error_code=_one(asked, "error"),
        session_id=_one(asked, "session"),
        prompt_id=_one(asked, "prompt"),
        cache=_one(asked, "cache"),
        slower_than=_length(_one(asked, "slower")),
        text=_one(asked, "text"),
        housekeeping=_one(asked, "housekeeping") in ("true", "1", "yes"),
    )


def read_moment(text: str, now: float, zone: dt.tzinfo) -> float:
    """Seconds since the epoch of ``7d`` (ago), ``now``, ``today``, ``2027-01-31``, ``2027-01-31T12:00`` or a number.

    Args:
        text: What is written.
        now: Seconds since the epoch.
        zone: By whose clocks a date begins, and a time without a zone is meant.

    Raises:
        ValueError: it is none of these.
    """
    text = text.strip()
    ago = seconds(text)
    if ago is not None:
        return now - ago
    if text == "now":
        return now
    if text == "today":
        return dt.datetime.fromtimestamp(now, zone).replace(hour=0, minute=0, second=0, microsecond=0).timestamp()
    try:
        if re.fullmatch(r"\d{9,11}(\.\d{1,9})?", text):
            return float(text)
        moment = dt.datetime.fromisoformat(text)
        return (moment if moment.tzinfo else moment.replace(tzinfo=zone)).timestamp()
    except (ValueError, OverflowError):
        raise ValueError(f"{text[:64]!r} is no time: write 7d, today, 2027-01-31 or 2027-01-31T12:00Z") from None


def next_cursor(moment: float, record_id: str) -> str:
    """What names the page behind a record."""
    return base64.urlsafe_b64encode(f"{moment!r} {record_id}".encode()).decode().rstrip("=")


def _place(cursor: str | None) -> tuple[float, str] | None:
    if cursor is None:
        return None
    try:
        moment, _, record_id = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)).decode().partition(" ")
        began = float(moment)
    except (ValueError, binascii.Error):
        began, record_id = math.nan, ""
    if not math.isfinite(began) or abs(began) > 1e11 or not record_id:
        raise InvalidRequestError("cursor: write the next_cursor of the page before, or none", param="cursor")
    return began, record_id


def _known(asked: Asked, words: Sequence[str]) -> None:
    for name, texts in asked.items():
        if name not in words:
            raise InvalidRequestError(f"{name[:64]!r} is not known here: use {', '.join(words)}", param=name[:64])
        if any(len(text) > _LONGEST for text in texts):
            raise InvalidRequestError(f"{name}: at most {_LONGEST} characters", param=name)


def _one(asked: Asked, name: str) -> str | None:
    texts = asked.get(name, ())
    if len(texts) > 1:
        raise InvalidRequestError(f"{name} is there more than once", param=name)
    return texts[0] if texts else None


def _number(asked: Asked, name: str, default: int, most: int) -> int:
    text = _one(asked, name)
    if text is None:
        return default
    if not (text.isascii() and text.isdigit() and len(text) < 10 and 1 <= int(text) <= most):
        raise InvalidRequestError(f"{name} must be 1 to {most}", param=name)
    return int(text)


def _dimension(name: str, param: str) -> None:
    if name in DIMENSIONS or name in PERIODS or (name.startswith(PROPERTY) and name != PROPERTY):
        return
    known = ", ".join((*DIMENSIONS, f"{PROPERTY}NAME", *PERIODS))
    raise InvalidRequestError(f"{param}: {name[:64]!r} is no dimension: use {known}", param=param)


def _zone(asked: Asked) -> dt.tzinfo:
    try:
        return zone_named(_one(asked, "zone") or "UTC")
    except ValueError as wrong:
        raise InvalidRequestError(f"zone: {wrong}", param="zone") from None


def _moment(asked: Asked, name: str, now: float, zone: dt.tzinfo) -> float | None:
    text = _one(asked, name)
    if text is None:
        return None
    try:
        return read_moment(text, now, zone)
    except ValueError as wrong:
        raise InvalidRequestError(f"{name}: {wrong}", param=name) from None


def _status(text: str | None) -> int | None:
    if text is None:
        return None
    match = _STATUS.fullmatch(text)
    if match is None:
        raise InvalidRequestError(f"status: {text[:16]!r}: write 429 or 4xx", param="status")
    return int(match[1] + (match[2] or ""))


def _length(text: str | None) -> float | None:
    if text is None:
        return None
    length = seconds(text)
    if length is None:
        raise InvalidRequestError(f"slower: {text[:16]!r} is no length of time: write 2s or 500ms", param="slower")
    return length
