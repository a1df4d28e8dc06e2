"""Reads what is kept of every exchange: ``records``."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from .bounds import Bounds
from .decoder import UnreadableError
from .records import JournalConfig, RecordsConfig
from .sections import Section
from .stages import StageReader

__all__ = ["read_records"]

_BOUNDS: Final[Mapping[str, Bounds]] = {
    "content-limit": Bounds(minimum=256, maximum=16 * 1024**2),
    "max-size": Bounds(minimum=1024**2, maximum=2**46),
    "segment-size": Bounds(minimum=64 * 1024, maximum=1024**3),
}


def read_records(stages: StageReader, top: Section) -> RecordsConfig:
    """What ``records`` says; the defaults where it says nothing, or nothing that can be read.

    Args:
        stages: What reads stages.
        top: The whole configuration.
    """
    records = top.section("records")
    values = {name: value for name, value in _checked(stages, records).items() if name != "journal"}
    for pattern in values.get("redact_patterns", ()):
        try:
            re.compile(pattern)
        except re.error as error:
            sentence = f"{pattern!r} is no regular expression: {error}"
            stages.decoder.problems.add(records.place("redact-patterns"), sentence)
            return RecordsConfig()
    return RecordsConfig(journal=_journal(stages, records), **values)


def _journal(stages: StageReader, records: Section) -> JournalConfig | None:
    if "journal" not in records.values:
        return None
    journal = records.section("journal")
    values = _checked(stages, journal)
    problems = stages.decoder.problems
    if not values.get("path"):
        sentence = "a journal needs a directory: write path, for example path: journal"
        problems.add(journal.where, sentence)
        return None
    return JournalConfig(**values)


def _checked(stages: StageReader, section: Section) -> dict[str, Any]:
    """The values of a section by the name of the field; what is out of bounds is noted and left out."""
    values: dict[str, Any] = {}
    for key, value in section.values.items():
        bounds = _BOUNDS.get(key)
        try:
            if bounds is not None:
                stages.decoder.check(value, bounds, section.place(key), key)
        except UnreadableError:
            continue  # noted
        values[key.replace("-", "_")] = value
    return values
