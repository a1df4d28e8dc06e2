"""Records in words: money, times, colours, and nothing that could move a terminal's cursor."""

from __future__ import annotations

import datetime as dt

import pytest

from llmgate.cli.record_words import Paint, coloured, head_of, length_of, line_of, money_of, safe
from llmgate.testing.samples import sample_record

PLAIN = Paint(False)


@pytest.mark.parametrize(
    ("nano", "unknown", "text"),
    [
        (0, 0, "$0"),
        (1, 0, "$0.000000001"),
        (1_500_000, 0, "$0.0015"),
        (123_456_789, 0, "$0.1235"),
        (12_345_678_901, 0, "$12.35"),
        (-2_000_000_000, 0, "-$2.0000"),
        (None, 0, "?"),
        (0, 3, "?"),
        (2_000_000_000, 1, "$2.0000+?"),
    ],
)
def test_money(nano: int | None, unknown: int, text: str):
    assert money_of(nano, unknown) == text


@pytest.mark.parametrize(
    ("seconds", "text"), [(None, "-"), (0.0012, "1.2ms"), (0.25, "250ms"), (1.5, "1.50s"), (120.4, "120s")]
)
def test_lengths(seconds: float | None, text: str):
    assert length_of(seconds) == text


def test_nothing_moves_the_cursor():
    hostile = "a\x1b[2J\r\n\x00\u202e\u2028b"
    assert safe(hostile) == "a\\x1b[2J\\r\\n\\x00\\u202e\\u2028b"
    assert len(safe("x" * 500)) == 200
    record = sample_record(
        user=hostile, request_model=hostile, response_model=None, error_code=hostile, operation=hostile
    )
    line = line_of(record, PLAIN, dt.UTC)
    assert line.isprintable()


def test_colours_are_for_terminals(monkeypatch: pytest.MonkeyPatch):
    assert coloured("always")("x", "red") == "\x1b[31mx\x1b[0m"
    assert coloured("never")("x", "red") == coloured("auto")("x", "red") == "x"
    monkeypatch.setattr("sys.stdout.isatty", lambda: True, raising=False)
    assert coloured("auto")("x", "red", "bold") == "\x1b[31;1mx\x1b[0m"
    monkeypatch.setenv("NO_COLOR", "1")
    assert coloured("auto")("x", "red") == "x"


def test_moments():
    assert head_of(0.0, dt.UTC) == "1970-01-01 00:00:00"
    assert head_of(0.0, dt.UTC, day=False) == "00:00:00"
