"""Plain scalars follow the YAML 1.2 core schema, not the older one."""

from __future__ import annotations

import math

import pytest

from llmgate.config.scalars import resolve


@pytest.mark.parametrize(
    "text", ["no", "off", "yes", "on", "y", "12:30", "1_000", "0777x", "+", ".", "nan", "e5", "0b1"]
)
def test_words_that_older_yaml_changes_stay_text(text: str) -> None:
    assert resolve(text) == text


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("", None), ("~", None), ("null", None), ("true", True), ("FALSE", False), ("12", 12), ("-3", -3), ("0o17", 15),
        ("0xfF", 255), ("1.5", 1.5), (".5", 0.5), ("1e3", 1000.0), ("-.inf", -math.inf), ("010", 10),
    ],
)  # fmt: skip
def test_values(text: str, value: object) -> None:
    found = resolve(text)
    assert found == value
    assert type(found) is type(value)


def test_not_a_number_is_a_number() -> None:
    assert math.isnan(resolve(".nan"))  # type: ignore[arg-type]


def test_a_number_of_thousands_of_digits_stays_text() -> None:
    assert resolve("9" * 5000) == "9" * 5000
