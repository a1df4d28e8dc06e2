"""A record as rows of JSON."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any, Final

import attrs

from llmgate.spec import AttemptRecord, Content, Record, Usage

from .schema import ATTEMPTS, CONTENT, EXCHANGES, TABLES

__all__ = ["lines_of", "parts_of"]

_BETWEEN: Final = b"\0"
"""Between the lines for one table and those for the next; JSON escapes it."""
_PLAIN_EXCHANGE: Final = tuple(EXCHANGES.keys() & {one.name for one in attrs.fields(Record)} - {"started_at", "stages"})
_PLAIN_ATTEMPT: Final = tuple(ATTEMPTS.keys() & {one.name for one in attrs.fields(AttemptRecord)})
_PLAIN_USAGE: Final = tuple(EXCHANGES.keys() & {one.name for one in attrs.fields(Usage)} - {"cost_nano"})


def lines_of(record: Record) -> bytes:
    """All rows of a record: lines for each table, in the order of ``TABLES``."""
    started_at = f"{record.started_at:.6f}"
    rows = {
        "attempts": [_attempt(record, number, started_at) for number in range(len(record.attempts))],
        "content": list(_content(record, started_at)),
        "exchanges": [_exchange(record, started_at)],
    }
    return _BETWEEN.join(b"".join(map(_line, rows[table])) for table in TABLES)


def parts_of(body: bytes) -> Mapping[str, bytes]:
    """The lines for each table of what ``lines_of`` has made."""
    return dict(zip(TABLES, body.split(_BETWEEN), strict=True))


def _exchange(record: Record, started_at: str) -> Mapping[str, Any]:
    row = {name: getattr(record, name) for name in _PLAIN_EXCHANGE} | _usage(record.usage)
    row |= {"started_at": started_at, "properties": dict(record.properties), "metadata": dict(record.metadata)}
    row["trace_id"] = record.trace.trace_id if record.trace is not None else ""
    row["cost_estimated"] = record.cost_estimated
    row["stages"] = json.dumps([attrs.asdict(stage) for stage in record.stages]) if record.stages else ""
    return _without_nothing(row)


def _attempt(record: Record, number: int, started_at: str) -> Mapping[str, Any]:
    attempt = record.attempts[number]
    row = {name: getattr(attempt, name) for name in _PLAIN_ATTEMPT} | _usage(attempt.usage)
    return _without_nothing(row) | {"exchange_id": record.id, "number": number, "started_at": started_at}


def _content(record: Record, started_at: str) -> Iterator[Mapping[str, Any]]:
    if record.content is None:
        return
    row: dict[str, Any] = {"exchange_id": record.id, "started_at": started_at}
    sides: Mapping[str, Content | None] = {"request": record.content.request, "response": record.content.response}
    for side, content in sides.items():
        if content is not None:
            row |= {f"{side}_{one.name}": getattr(content, one.name) for one in attrs.fields(Content)}
    yield _without_nothing({name: value for name, value in row.items() if name in CONTENT})


def _usage(usage: Usage | None) -> dict[str, Any]:
    return {} if usage is None else {name: getattr(usage, name) for name in _PLAIN_USAGE}


def _without_nothing(row: Mapping[str, Any]) -> dict[str, Any]:
    """The row without what is unknown: the column's own default stands for it, which is NULL for every number."""
    return {name: value for name, value in row.items() if value is not None}


def _line(row: Mapping[str, Any]) -> bytes:
    text = json.dumps(row, ensure_ascii=True, separators=(",", ":"), default=str)
    if "\\ud" in text:
        # Half of a pair alone is no character, and the server refuses the row; whole pairs come back as they were.
        text = json.dumps(_whole(row), ensure_ascii=True, separators=(",", ":"), default=str)
    return text.encode("ascii") + b"\n"


def _whole(value: Any) -> Any:
    if isinstance(value, str):
        return value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    if isinstance(value, dict):
        return {_whole(name): _whole(one) for name, one in value.items()}
    return value
