from __future__ import annotations

from typing import Any

import pytest

from llmgate.config import load
from llmgate.config.records import JournalConfig, RecordsConfig
from llmgate.registry import Registry
from llmgate.spec import ConfigError


def records(said: Any) -> RecordsConfig:
    registry = Registry()
    settings = {"providers": {"echo": {}}, "records": said}
    found: RecordsConfig = load(settings, environment={}, find=registry.find, names=registry.names).records
    return found


def test_nothing_is_kept_where_nothing_is_said() -> None:
    assert records({}) == RecordsConfig(journal=None)


def test_a_journal_is_read() -> None:
    assert records({"journal": {"path": "j"}}).journal == JournalConfig("j")
    said = {"path": "j", "sync": "os", "max-size": 2**21, "segment-size": 65536, "on-failure": "refuse"}
    assert records({"journal": said}).journal == JournalConfig("j", "os", 2**21, 65536, "refuse")


def test_what_is_kept_of_contents_is_read() -> None:
    said = {
        "content": "request",
        "content-limit": 1000,
        "redact-keys": ["a"],
        "redact-patterns": ["b+"],
        "stages": True,
    }
    assert records({**said, "stages": True}) == RecordsConfig(None, "request", 1000, ("a",), ("b+",), True)


def test_calls_made_directly_are_taken_unless_switched_off() -> None:
    assert records({}).ingest
    assert not records({"ingest": False}).ingest


@pytest.mark.parametrize(
    ("said", "says"),
    [
        ({"content": "all"}, "all"),
        ({"content-limit": 1}, "content-limit"),
        ({"redact-patterns": ["ok", "("]}, "is no regular expression"),
    ],
)
def test_what_contents_cannot_be_is_refused(said: Any, says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        records(said)


@pytest.mark.parametrize(
    ("journal", "says"),
    [
        ({}, "a journal needs a directory"),
        ({"sync": "os"}, "a journal needs a directory"),
        ({"path": "j", "sync": "never"}, "never"),
        ({"path": "j", "max-size": 100}, "max-size"),
        ({"path": "j", "segment-size": 1}, "segment-size"),
        ({"path": "j", "on-failure": "panic"}, "panic"),
        ({"path": "j", "paht": "k"}, "paht"),
        (7, "journal"),
    ],
)
def test_what_makes_no_sense_is_refused_by_name(journal: Any, says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        records({"journal": journal})
