"""Sections are read by the key table."""

from __future__ import annotations

from llmgate.config.decoder import Decoder
from llmgate.config.problems import Problems
from llmgate.config.sections import read_section
from llmgate.config.source import parse_yaml


def read(text: str, path: str, **options: tuple[str, ...]) -> tuple[object, list[str]]:
    problems = Problems()
    section = read_section(Decoder(problems), parse_yaml(text, "f", problems), path, path, **options)
    return section, problems.lines()


def test_values_nested_sections_and_places() -> None:
    problems = Problems()
    node = parse_yaml("timeout: 5s\nconnection_timeout: 1\n", "f", problems)
    section = read_section(Decoder(problems), node, "dispatcher", "dispatcher")
    assert dict(section.values) == {"timeout": 5.0, "connection-timeout": 1.0}
    assert str(section.place("connection-timeout")) == "f:2:1"
    assert str(section.place("absent")) == "f:1:1"
    assert section.section("absent").get("x", 1) == 1


def test_mistakes() -> None:
    assert read("[a]", "dispatcher")[1] == ["f:1:1: 'dispatcher' must be a mapping, not a list"]
    assert read("factor: 2s", "global.retries")[1] == ["f:1:9: 'factor' must be a number, not '2s'"]
    assert read("exporter: smoke", "telemetry")[1] == [
        "f:1:11: 'exporter' must be one of stdout, otlp, both, not 'smoke'"
    ]
    assert read("health: {}\nx: 1", "discover.monitor")[1] == ["f:2:1: unknown key 'x' in discover.monitor"]


def test_keys_left_to_the_caller_are_not_looked_at() -> None:
    section, problems = read("timeout: [x]\nmine: 1", "dispatcher", raw=("timeout",), extra=("mine",))
    assert problems == []
    assert set(section.nodes) == {"timeout", "mine"}  # type: ignore[attr-defined]
