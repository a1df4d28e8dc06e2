"""Numbers, money and times as people read them."""

from __future__ import annotations

import datetime as dt
import math

__all__ = ["bytes_of", "count", "exact", "iso", "length", "money", "percent", "when"]

_NONE = "\N{EN DASH}"


def exact(number: int | None) -> str:
    """A count with its thousands parted."""
    return _NONE if number is None else f"{number:,}"


def count(number: float | None) -> str:
    """A count in three digits: ``950``, ``12.3k``, ``4.56M``."""
    if number is None:
        return _NONE
    for unit in ("", "k", "M", "B", "T"):
        if abs(number) < 999.5 or unit == "T":
            break
        number /= 1000
    return f"{number:.0f}" if unit == "" else f"{_three(number)}{unit}"


def money(nano: int | None) -> str:
    """An amount in USD: cents where it is large, three digits where it is small; never 0 for what costs something."""
    if nano is None:
        return "unknown"
    usd = nano / 1e9
    if abs(usd) >= 1000:
        return f"${usd:,.0f}"
    if usd == 0 or abs(usd) >= 1:
        return f"${usd:.2f}"
    return f"${usd:.{2 - math.floor(math.log10(abs(usd)))}f}"


def length(seconds: float | None) -> str:
    """A length of time: ``340 µs``, ``12.3 ms``, ``1.20 s``, ``2 min 5 s``."""
    if seconds is None:
        return _NONE
    if seconds < 0.000_999_5:
        return f"{seconds * 1e6:.0f} µs"
    if seconds < 0.9995:
        return f"{_three(seconds * 1e3)} ms"
    if seconds < 99.95:
        return f"{_three(seconds)} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"


def percent(part: float | None, whole: float = 1) -> str:
    """A share."""
    if part is None or not whole:
        return _NONE
    share = 100 * part / whole
    return f"{share:.0f} %" if share in (0, 100) or share >= 10 else f"{share:.2g} %"


def bytes_of(size: int) -> str:
    """A size."""
    return f"{size} B" if size < 1000 else f"{count(size)}B"


def when(moment: float | None, *, zone: dt.tzinfo, seconds: bool = True) -> str:
    """A moment by the clocks of a zone."""
    if moment is None:
        return _NONE
    return dt.datetime.fromtimestamp(moment, zone).strftime("%Y-%m-%d %H:%M:%S" if seconds else "%Y-%m-%d %H:%M")


def iso(moment: float) -> str:
    """A moment as programs read it."""
    return dt.datetime.fromtimestamp(moment, dt.UTC).isoformat(timespec="milliseconds")


def _three(number: float) -> str:
    return f"{number:.{max(0, 2 - (len(str(int(abs(number)))) - 1))}f}"
