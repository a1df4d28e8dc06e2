"""The parts of the calendar that limits may count in: a day from midnight on, a month from its first day on."""

from __future__ import annotations

import datetime as dt
import zoneinfo
from typing import Final

import attrs

from .config import Window

__all__ = ["CalendarWindow", "window_at"]

_FIXED: Final = {"minute": dt.timedelta(minutes=1), "hour": dt.timedelta(hours=1)}
_MONTHS: Final = 12


@attrs.frozen
class CalendarWindow:
    """One part of the calendar; times in seconds since the epoch.

    Args:
        start: When it begins.
        end: When the next one begins.
    """

    start: float
    end: float

    @property
    def id(self) -> str:
        """What tells it from the others."""
        return f"{self.start:.0f}"


def window_at(window: Window, time_zone: str, now: float) -> CalendarWindow:
    """The part of the calendar that a moment is in; weeks begin on Monday.

    Args:
        window: Which part.
        time_zone: Whose midnight counts.
        now: Seconds since the epoch.
    """
    zone = dt.UTC if time_zone == "UTC" else zoneinfo.ZoneInfo(time_zone)
    moment = dt.datetime.fromtimestamp(now, zone)
    if window in _FIXED:
        # By the length of real time: where clocks are put back, an hour of the clock comes twice.
        length = _FIXED[window].total_seconds()
        offset = (moment.utcoffset() or dt.timedelta()).total_seconds()
        start = (now + offset) // length * length - offset
        return CalendarWindow(start, start + length)
    day = moment.date()
    match window:
        case "day":
            first, following = day, day + dt.timedelta(days=1)
        case "week":
            first = day - dt.timedelta(days=day.weekday())
            following = first + dt.timedelta(days=7)
        case "month":
            first = day.replace(day=1)
            year, month = divmod(first.year * _MONTHS + first.month, _MONTHS)
            following = dt.date(year, month + 1, 1)
        case _:
            first, following = dt.date(day.year, 1, 1), dt.date(day.year + 1, 1, 1)
    return CalendarWindow(_midnight(first, zone), _midnight(following, zone))


def _midnight(day: dt.date, zone: dt.tzinfo) -> float:
    return dt.datetime(day.year, day.month, day.day, tzinfo=zone).timestamp()
