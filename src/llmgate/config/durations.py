"""Lengths of time as people write them: ``10s``, ``500ms``, ``1h30m``."""

from __future__ import annotations

import re
from typing import Final

__all__ = ["seconds", "written"]

_UNITS: Final = {
    **dict.fromkeys(("ns", "nsec"), 1e-9),
    **dict.fromkeys(("us", "usec", "µs"), 1e-6),
    **dict.fromkeys(("ms", "msec", "millis"), 1e-3),
    **dict.fromkeys(("s", "sec", "secs", "second", "seconds"), 1.0),
    **dict.fromkeys(("m", "min", "mins", "minute", "minutes"), 60.0),
    **dict.fromkeys(("h", "hr", "hrs", "hour", "hours"), 3600.0),
    **dict.fromkeys(("d", "day", "days"), 86400.0),
    **dict.fromkeys(("w", "week", "weeks"), 604800.0),
}
_PART: Final = re.compile(r"([0-9]{1,15}(?:\.[0-9]{1,9})?) ?([a-zµ]+)")
_WHOLE: Final = re.compile(rf"{_PART.pattern}(?: ?{_PART.pattern})*")
_LONGEST: Final = 64


def seconds(text: str) -> float | None:
    """The seconds that a duration stands for; None when the text is none (a bare number is not, having no unit)."""
    text = text.strip()
    if len(text) > _LONGEST or not _WHOLE.fullmatch(text):
        return None
    parts = _PART.findall(text)
    if any(unit not in _UNITS for _, unit in parts):
        return None
    return round(sum(float(number) * _UNITS[unit] for number, unit in parts), 9)


def written(value: float) -> str:
    """Seconds in the shortest usual form: ``15m``, ``0.25s`` as ``250ms``."""
    for unit, size in (("h", 3600), ("m", 60)):
        if value >= size and value % size == 0:
            return f"{value / size:g}{unit}"
    return f"{value * 1000:g}ms" if 0 < value < 1 else f"{value:g}s"
