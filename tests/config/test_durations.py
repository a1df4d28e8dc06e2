"""Durations as the older dialect writes them."""

from __future__ import annotations

import pytest
from hypothesis import given, strategies as st

from llmgate.config.durations import seconds, written


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("10s", 10), ("15m", 900), ("500ms", 0.5), ("1h", 3600), ("1h30m", 5400), ("1h 30m", 5400), ("2 days", 172800),
        ("250us", 0.00025), ("1.5s", 1.5), ("1w", 604800), ("90sec", 90),
    ],
)  # fmt: skip
def test_durations(text: str, value: float) -> None:
    assert seconds(text) == pytest.approx(value)


@pytest.mark.parametrize("text", ["", "10", "s", "10 parsecs", "-1s", "1s,", "1e3s", "10S", "9" * 100 + "s", "1..5s"])
def test_no_durations(text: str) -> None:
    assert seconds(text) is None


@pytest.mark.parametrize(("value", "text"), [(900, "15m"), (0.25, "250ms"), (3600, "1h"), (75, "75s"), (0, "0s")])
def test_written(value: float, text: str) -> None:
    assert written(value) == text


@given(st.integers(1, 10**6))
def test_what_is_written_is_read_back(value: int) -> None:
    assert seconds(written(value / 10)) == pytest.approx(value / 10, rel=1e-4)
