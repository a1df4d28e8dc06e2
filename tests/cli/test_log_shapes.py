"""Each log goes its own way, in the shape that was asked for; whatever is said is one line."""

from __future__ import annotations

import json
import logging
import re
import sys
import warnings

import pytest

from llmgate.cli.log_shapes import CompactFormatter, JSONFormatter, start_logging

pytestmark = pytest.mark.usefixtures("own_logging")

HOSTILE = 'a\nb\x1b[31m\u2028c\x00 {"level":"info"}'


def failing() -> logging.LogRecord:
    try:
        raise ValueError("first\n2026-01-01 INFO llmgate: forged")
    except ValueError:
        return logging.LogRecord("llmgate.x", logging.ERROR, "", 0, "%s", (HOSTILE,), sys.exc_info())


def say() -> None:
    logging.getLogger("llmgate.pipeline").info("hidden")
    logging.getLogger("llmgate.pipeline").warning("a\nb")
    logging.getLogger("some.library").warning("of a library")
    logging.getLogger("llmgate.access").info('{"a":1}')


def test_pretty_has_date_and_level(capsys):
    start_logging("warning", "pretty", access=True)
    say()
    captured = capsys.readouterr()
    assert captured.out == '{"a":1}\n'
    first, second = captured.err.splitlines()
    assert re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3} WARNING llmgate\.pipeline: a\\nb", first)
    assert second.endswith("WARNING some.library: of a library")


def test_compact_has_time_and_letter(capsys):
    start_logging("info", "compact", access=False)
    say()
    captured = capsys.readouterr()
    assert captured.out == "", "the access log is off"
    assert [line[9:] for line in captured.err.splitlines()] == [
        "I llmgate.pipeline: hidden",
        "W llmgate.pipeline: a\\nb",
        "W some.library: of a library",
    ]


def test_json_has_one_object_a_line_for_everything_that_is_said(capsys):
    start_logging("info", "json", access=True, worker=3)
    say()
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        start_logging("info", "json", access=True, worker=3)
        warnings.warn("odd\nthing", UserWarning, stacklevel=1)
    entries = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    assert [(entry["level"], entry["logger"]) for entry in entries] == [
        ("info", "llmgate.pipeline"),
        ("warning", "llmgate.pipeline"),
        ("warning", "some.library"),
        ("warning", "py.warnings"),
    ]
    assert entries[1]["message"] == "a\nb"
    assert {entry["worker"] for entry in entries} == {3}
    assert all(isinstance(entry["time"], float) for entry in entries)


def test_a_json_line_is_plain_ascii_whatever_is_in_it():
    text = JSONFormatter().format(failing())
    assert text.isascii()
    assert text.isprintable()
    entry = json.loads(text)
    assert entry["message"] == HOSTILE
    assert entry["level"] == "error"
    assert entry["exception"].endswith("ValueError: first\n2026-01-01 INFO llmgate: forged")
    assert "worker" not in entry


def test_a_compact_line_is_one_line_and_names_the_error():
    text = CompactFormatter().format(failing())
    assert text.isprintable()
    assert text.endswith("(ValueError: first\\n2026-01-01 INFO llmgate: forged)")


def test_messages_have_a_bound():
    record = logging.LogRecord("llmgate.x", logging.ERROR, "", 0, "x" * 1_000_000, (), None)
    assert len(JSONFormatter().format(record)) < 40_000
