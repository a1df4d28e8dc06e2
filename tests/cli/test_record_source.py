"""Where commands find records: options become words, and the first logger that can be asked is asked."""

from __future__ import annotations

import argparse

import pytest

from llmgate.cli.record_source import add_config, add_filters, asked_of, open_records
from llmgate.spec import ConfigError, RecordQuery

from .recorded import place, some


def parsed(*words: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    add_filters(parser, since="7d")
    add_config(parser)
    return parser.parse_args(words)


def test_options_become_words():
    assert asked_of(parsed()) == {"since": ["7d"]}
    asked = asked_of(
        parsed("--model", "m", "--property", "a=b", "--property", "c=d", "--housekeeping", "--since", "1h")
    )
    assert asked == {"since": ["1h"], "model": ["m"], "property": ["a=b", "c=d"], "housekeeping": ["true"]}


async def test_the_first_logger_that_can_be_asked_is_asked(here):
    loggers = [{"use": "python-logging"}, {"use": "json-lines"}, {"use": "json-lines", "path": "records.jsonl"}]
    place(here, *some(3), loggers=loggers)
    async with open_records(None) as reader:
        assert len((await reader.find_records(RecordQuery())).records) == 3


async def test_a_file_that_is_not_there_yet_has_no_records_and_is_not_made(here):
    place(here)
    async with open_records(here / "llmgate.yaml") as reader:
        assert (await reader.find_records(RecordQuery())).records == []
    assert not (here / "records.jsonl").exists()


async def test_without_one_it_is_said(here):
    place(here, loggers=[{"use": "json-lines"}])
    with pytest.raises(ConfigError, match="use: sql"):
        async with open_records(None):
            pass
