"""Parts of the calendar: months of every length, years that leap, and days of 23 and 25 hours."""

from __future__ import annotations

import datetime as dt
import zoneinfo

import pytest
from hypothesis import given, strategies as st

from llmgate.stages.interceptors.rate_limit.windows import window_at

BERLIN = zoneinfo.ZoneInfo("Europe/Berlin")


def at(*moment, zone=dt.UTC):
    return dt.datetime(*moment, tzinfo=zone).timestamp()


@pytest.mark.parametrize(
    ("window", "moment", "start", "end"),
    [
        ("minute", (2024, 5, 1, 10, 5, 59), (2024, 5, 1, 10, 5), (2024, 5, 1, 10, 6)),
        ("hour", (2024, 5, 1, 10, 5), (2024, 5, 1, 10), (2024, 5, 1, 11)),
        ("day", (2024, 2, 29, 23, 59, 59), (2024, 2, 29), (2024, 3, 1)),
        ("week", (2024, 5, 1), (2024, 4, 29), (2024, 5, 6)),
        ("month", (2024, 2, 29), (2024, 2, 1), (2024, 3, 1)),
        ("month", (2023, 2, 28, 23, 59, 59), (2023, 2, 1), (2023, 3, 1)),
        ("month", (2023, 12, 31, 23, 59, 59), (2023, 12, 1), (2024, 1, 1)),
        ("month", (2023, 11, 30), (2023, 11, 1), (2023, 12, 1)),
        ("year", (2024, 12, 31, 23), (2024, 1, 1), (2025, 1, 1)),
    ],
)
def test_windows_of_universal_time(window, moment, start, end):
    found = window_at(window, "UTC", at(*moment))
    assert (found.start, found.end) == (at(*start), at(*end))


@pytest.mark.parametrize(("day", "hours"), [((2024, 3, 31), 23), ((2024, 10, 27), 25), ((2024, 5, 1), 24)])
def test_days_are_as_long_as_clocks_make_them(day, hours):
    found = window_at("day", "Europe/Berlin", at(*day, 12, zone=BERLIN))
    assert found.start == at(*day, zone=BERLIN)
    assert found.end - found.start == hours * 3600


def test_hours_of_zones_that_are_half_an_hour_off():
    found = window_at("hour", "Asia/Kolkata", at(2024, 5, 1, 10, 15))
    assert (found.start, found.end) == (at(2024, 5, 1, 9, 30), at(2024, 5, 1, 10, 30))


@given(
    now=st.floats(0, 4e9),
    window=st.sampled_from(["minute", "hour", "day", "week", "month", "year"]),
    zone=st.sampled_from(["UTC", "Europe/Berlin", "America/St_Johns", "Asia/Kathmandu", "Pacific/Apia"]),
)
def test_each_moment_is_in_one_window_and_they_follow_one_another(now, window, zone):
    found = window_at(window, zone, now)
    assert found.start <= now < found.end
    assert window_at(window, zone, found.start) == found
    following = window_at(window, zone, found.end)
    assert following.start == found.end
    assert following.id != found.id
