"""How long a provider asks us to wait, whichever of the ways to say it was taken.

Sources: RFC 9110 section 10.2.3 (``retry-after``), OpenAI's SDKs (``retry-after-ms``), google.rpc.RetryInfo, and what
messages of refusals say: OpenAI and Groq "Please try again in 6m0s", Azure "Please retry after 26 seconds", Google
"Please retry in 34.07s".
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from datetime import UTC
from email.utils import parsedate_to_datetime
from typing import Final

from llmgate.spec import ErrorDetail

__all__ = ["wait_asked_for"]

_NUMBER: Final = re.compile(r"[+-]?[0-9]{1,15}(?:\.[0-9]{0,9})?")
_LONGEST_DATE: Final = 64
_PART: Final = r"[0-9]{1,9}(?:\.[0-9]{1,12})? ?(?:ms|milliseconds?|s|sec(?:ond)?s?|m|min(?:ute)?s?|h|hours?)(?![a-z])"
_TOLD: Final = re.compile(rf"\b(?:try again|retry) (?:in|after) ((?:{_PART} ?){{1,4}})", re.ASCII | re.IGNORECASE)
_PIECE: Final = re.compile(r"([0-9.]+) ?(ms|mil|m|s|h)", re.ASCII | re.IGNORECASE)
_UNITS: Final[Mapping[str, float]] = {"ms": 0.001, "mil": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}
_LONGEST_MESSAGE: Final = 2000
_REFUSALS: Final = frozenset({429, 503, 529})
"""Statuses whose messages are the provider's own words; those of others may repeat what the caller has written."""


def wait_asked_for(
    headers: Mapping[str, str], detail: ErrorDetail | None, now: float, status: int | None = None
) -> float | None:
    """Seconds to wait, never negative; None where nothing, or nothing that makes sense, is said.

    Args:
        headers: Response headers, lower-case names.
        detail: What the error body says.
        now: Seconds since the epoch, for dates.
        status: The status of the answer; the message counts only of one that says to come later.
    """
    milliseconds = _number(headers.get("retry-after-ms", ""))
    if milliseconds is not None:
        return max(0.0, milliseconds / 1000)
    said = headers.get("retry-after", "").strip()
    seconds = _number(said)
    if seconds is None:
        seconds = _until(said, now)
    if seconds is None and detail is not None:
        seconds = detail.retry_after
        if seconds is None and status in _REFUSALS:
            seconds = _told(detail.message)
    return None if seconds is None or not math.isfinite(seconds) else max(0.0, seconds)


def _number(text: str) -> float | None:
    text = text.strip()
    return float(text) if _NUMBER.fullmatch(text) else None


def _until(text: str, now: float) -> float | None:
    """Seconds until an HTTP date."""
    if not text or len(text) > _LONGEST_DATE:
        return None
    try:
        moment = parsedate_to_datetime(text)
        if moment.tzinfo is None:
            moment = moment.replace(tzinfo=UTC)
        return moment.timestamp() - now
    except (ValueError, TypeError, IndexError, OverflowError):
        return None


def _told(message: str) -> float | None:
    """Seconds that the text of an error asks to wait."""
    found = _TOLD.search(message[:_LONGEST_MESSAGE])
    if found is None:
        return None
    return sum(float(number) * _UNITS[unit.lower()] for number, unit in _PIECE.findall(found[1]))
