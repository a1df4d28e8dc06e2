"""Reads records from a file of JSON lines, so that a gateway without a database can be asked, too."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from llmgate.spec import (
    PERIODS,
    PROPERTY,
    InvalidRequestError,
    KeptRecord,
    Record,
    RecordFilter,
    RecordPage,
    RecordQuery,
    Tally,
    UsageQuery,
    UsageReport,
    UsageRow,
    is_counted,
    period_of,
    value_in,
)

__all__ = ["find_in_file", "matches", "read_from_file", "tally_file"]

_MOST_GROUPS: Final = 100_000
"""Groups that are counted; beyond it the question is refused rather than the memory filled."""
_BLOCK: Final = 256 * 1024


def _lines_backwards(path: Path) -> Iterator[bytes]:
    """The lines of a file from its end, read in blocks."""
    try:
        with path.open("rb") as file:
            position = file.seek(0, 2)
            rest = b""
            while position > 0:
                size = min(_BLOCK, position)
                position -= size
                file.seek(position)
                first, *lines = (file.read(size) + rest).split(b"\n")
                yield from reversed(lines)
                rest = first
            yield rest
    except FileNotFoundError:
        return


def _records(path: Path) -> Iterator[Record]:
    """The records of a file, those written last first; what is no record is left out, such as a line half written."""
    for line in _lines_backwards(path):
        if line:
            try:
                yield Record.from_json(json.loads(line))
            except (ValueError, RecursionError):
                continue


def _equals(record: Record, name: str, value: str) -> bool:
    return (value_in(record, name) or "") == value


def matches(record: Record, wanted: RecordFilter) -> bool:
    """Whether a record is one of those that a filter means."""
    plain = ("surface", "error_code", "session_id", "prompt_id", "cache")
    if any(getattr(wanted, name) not in (None, getattr(record, name)) for name in plain):
        return False
    if wanted.status is not None:
        status = record.status or 0
        if wanted.status not in (status, status // 100):
            return False
    if wanted.owner is not None and wanted.owner != (record.principal_issuer or "", record.principal):
        return False
    return (
        (wanted.since is None or record.started_at >= wanted.since)
        and (wanted.until is None or record.started_at < wanted.until)
        and (wanted.slower_than is None or record.duration >= wanted.slower_than)
        and (wanted.housekeeping or is_counted(record))
        and all(_equals(record, name, value) for name, value in wanted.equal.items())
        and (not wanted.text or _says(record, wanted.text))
    )


def _says(record: Record, text: str) -> bool:
    value = record.as_json()
    value["content"] = None
    return json.dumps(text, ensure_ascii=False)[1:-1].lower() in json.dumps(value, ensure_ascii=False).lower()


def find_in_file(path: Path, query: RecordQuery) -> RecordPage:
    """A page of records; see ``RecordReader.find_records``. Lines are in the order in which exchanges ended."""
    found: dict[str, Record] = {}
    for record in _records(path):
        behind = query.before is None or (record.started_at, record.id) < query.before
        if behind and record.id not in found and matches(record, query.filter):
            found[record.id] = record
            if len(found) > 4 * query.limit + 1000:  # those that began last are among those that ended last
                break
    ordered = sorted(found.values(), key=lambda one: (one.started_at, one.id), reverse=True)
    return RecordPage(ordered[: query.limit], more=len(ordered) > query.limit)


def read_from_file(path: Path, record_id: str) -> KeptRecord | None:
    """One record; see ``RecordReader.read_record``."""
    found: dict[str, Record] = {}
    for record in _records(path):
        if record.id == record_id:
            return KeptRecord(record)
        if record_id and record.id.startswith(record_id):
            found.setdefault(record.id, record)
    if len(found) > 1:
        raise InvalidRequestError(f"several records begin with {record_id[:64]}: write more of the id", param="id")
    return KeptRecord(next(iter(found.values()))) if found else None


def tally_file(path: Path, query: UsageQuery) -> UsageReport:
    """What records add up to; see ``RecordReader.usage``. Each is counted once, however often it was written."""
    groups: dict[tuple[str | None, ...], Tally] = {}
    total, seen = Tally(), set[str]()
    for record in _records(path):
        if record.id in seen or not is_counted(record) or not matches(record, query.filter):
            continue
        seen.add(record.id)
        group = tuple(
            period_of(record.started_at, one, query.zone) if one in PERIODS else value_in(record, one) or None
            for one in query.by
        )
        if any(one.startswith(PROPERTY) and value is None for one, value in zip(query.by, group, strict=True)):
            continue
        total.add(record)
        if group not in groups and len(groups) >= _MOST_GROUPS:
            raise InvalidRequestError(f"more than {_MOST_GROUPS} groups: ask for a shorter time, or use the logger sql")
        groups.setdefault(group, Tally()).add(record)
    period = next((place for place, one in enumerate(query.by) if one in PERIODS), None)

    def rank(group: tuple[str | None, ...]) -> tuple[str, int, int, tuple[str, ...]]:
        tally = groups[group]
        time = "" if period is None else group[period] or ""
        return time, -tally.cost_nano, -tally.requests, tuple(one or "" for one in group)

    order = sorted(groups, key=rank)
    dropped = max(0, len(order) - query.limit)
    shown = order[: query.limit] if period is None else order[dropped:]
    return UsageReport([UsageRow(group, groups[group]) for group in shown], total, dropped)
