"""Numbers as people read them."""

from __future__ import annotations

import datetime as dt

import pytest
from llmgate_dashboard import amounts

NONE = "\N{EN DASH}"


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (None, NONE),
        (0, "0"),
        (999, "999"),
        (1000, "1.00k"),
        (12_345, "12.3k"),
        (999_999, "1.00M"),
        (4_560_000_000, "4.56B"),
    ],
)
def test_counts(number: int | None, text: str) -> None:
    assert amounts.count(number) == text


@pytest.mark.parametrize(
    ("nano", "text"),
    [
        (None, "unknown"),
        (0, "$0.00"),
        (1, "$0.00000000100"),
        (12_300_000, "$0.0123"),
        (999_000_000, "$0.999"),
        (1_500_000_000, "$1.50"),
        (1_234_567_000_000_000, "$1,234,567"),
    ],
)
def test_money_is_never_nothing_where_something_was_spent(nano: int | None, text: str) -> None:
    assert amounts.money(nano) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(None, NONE), (0.000_34, "340 µs"), (0.0123, "12.3 ms"), (1.2, "1.20 s"), (125, "2 min 5 s"), (3660, "1 h 1 min")],
)
def test_lengths(seconds: float | None, text: str) -> None:
    assert amounts.length(seconds) == text


def test_shares_sizes_and_moments() -> None:
    assert [amounts.percent(*pair) for pair in [(0, 5), (1, 3), (1, 200), (5, 5)]] == ["0 %", "33 %", "0.5 %", "100 %"]
    assert (amounts.percent(1, 0), amounts.percent(None)) == (NONE, NONE)
    assert (amounts.bytes_of(999), amounts.bytes_of(1_500_000), amounts.exact(12_345)) == ("999 B", "1.50MB", "12,345")
    assert amounts.when(0, zone=dt.UTC) == "1970-01-01 00:00:00"
    assert (amounts.when(None, zone=dt.UTC), amounts.iso(0)) == (NONE, "1970-01-01T00:00:00.000+00:00")
