"""``python-logging``: one line of text, the whole record beside it, at the level that was asked for."""

from __future__ import annotations

import logging
import threading

import pytest

from llmgate.spec import Usage
from llmgate.stages.loggers.python_logging import PythonLogging, PythonLoggingConfig, line_of
from llmgate.testing.samples import sample_record


async def test_levels_and_logger_are_the_configured_ones(caplog):
    caplog.set_level(logging.DEBUG, logger="mine")
    stage = PythonLogging(PythonLoggingConfig(logger="mine", level="DEBUG", failure_level="error"))
    await stage.record(sample_record())
    await stage.record(sample_record(outcome="error", status=502))
    assert [(one.name, one.levelname) for one in caplog.records] == [("mine", "DEBUG"), ("mine", "ERROR")]


async def test_the_whole_record_comes_with_the_line(caplog):
    caplog.set_level(logging.INFO)
    record = sample_record()
    await PythonLogging(PythonLoggingConfig()).record(record)
    assert caplog.records[0].exchange == record.as_json()


async def test_handlers_do_not_run_on_the_event_loop(caplog):
    """A handler may write to a disk or a network that is slow."""
    caplog.set_level(logging.INFO)
    await PythonLogging(PythonLoggingConfig()).record(sample_record())
    assert caplog.records[0].thread != threading.get_ident()


async def test_a_level_that_is_off_costs_nothing(caplog):
    caplog.set_level(logging.ERROR, logger="llmgate.exchange")
    await PythonLogging(PythonLoggingConfig()).record(sample_record())
    assert caplog.records == []


def test_the_line_says_what_a_reader_looks_for():
    record = sample_record(
        outcome="error", status=502, error_code="provider_unreachable", error_message="not reachable"
    )
    assert line_of(record) == (
        f"exchange {record.id} error 502 model=gpt-4o-mini provider=openai principal=alice attempts=1 "
        "duration=0.450s tokens=9/3 error=provider_unreachable: not reachable"
    )


def test_what_is_unknown_is_not_nought():
    assert "tokens=9/?" in line_of(sample_record(usage=Usage(input_tokens=9)))
    assert "tokens" not in line_of(sample_record(usage=None))


@pytest.mark.parametrize("field", ["level", "failure_level"])
def test_only_known_levels_are_taken(field):
    with pytest.raises(ValueError, match=f"{field.replace('_', '-')}: 'loud' is not one of debug, info"):
        PythonLoggingConfig(**{field: "loud"})
