"""Times as people write them on a command line."""

from __future__ import annotations

import argparse
import datetime as dt
import re
from typing import Final

__all__ = ["duration", "moment_text", "read_moment", "written"]

_UNITS: Final = {"s": 1, "m": 60, "h": 3600, "d": 86400}
_DURATION: Final = re.compile(r"(\d{1,9})([smhd]?)")


def duration(text: str) -> float:
    """Seconds of ``90``, ``90s``, ``15m``, ``24h`` or ``30d``.

    Raises:
        argparse.ArgumentTypeError: the text is none of these.
    """
    match = _DURATION.fullmatch(text.strip())
    if match is None:
        raise argparse.ArgumentTypeError(f"{text[:64]!r} is no length of time: write 90s, 15m, 24h or 30d")
    return int(match[1]) * float(_UNITS[match[2] or "s"])


def moment_text(text: str) -> str:
    """A length of time from now, or an ISO 8601 date or time; as it is written.

    Raises:
        argparse.ArgumentTypeError: the text is neither.
    """
    read_moment(text, 0.0)
    return text


def read_moment(text: str, now: float) -> float:
    """Seconds since the epoch of ``30d`` from now, ``2027-01-31`` or ``2027-01-31T12:00:00Z``.

    Raises:
        argparse.ArgumentTypeError: the text is none of these.
    """
    if _DURATION.fullmatch(text.strip()):
        return now + duration(text)
    try:
        moment = dt.datetime.fromisoformat(text.strip())
    except ValueError:
        raise argparse.ArgumentTypeError(
            f"{text[:64]!r} is no time: write 30d, 2027-01-31 or 2027-01-31T12:00:00Z"
        ) from None
    return (moment if moment.tzinfo else moment.replace(tzinfo=dt.UTC)).timestamp()


def written(seconds: float | None) -> str:
    """A time for people, UTC; ``-`` for none."""
    if seconds is None:
        return "-"
    return dt.datetime.fromtimestamp(seconds, dt.UTC).strftime("%Y-%m-%d %H:%M")
