"""How long a provider asks us to wait, whichever of the ways to say it was taken.

Sources: RFC 9110 section 10.2.3 (``retry-after``), OpenAI's SDKs (``retry-after-ms``), google.rpc.RetryInfo.
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


def wait_asked_for(headers: Mapping[str, str], detail: ErrorDetail | None, now: float) -> float | None:
    """Seconds to wait, never negative; None where nothing, or nothing that makes sense, is said.

    Args:
        headers: Response headers, lower-case names.
        detail: What the error body says.
        now: Seconds since the epoch, for dates.
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
