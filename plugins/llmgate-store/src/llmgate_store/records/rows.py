"""A record as rows of the tables, whatever callers and providers have written into it."""

from __future__ import annotations

import functools
import itertools
import json
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from operator import attrgetter
from typing import Any, Final

from llmgate.codecs.records import written
from llmgate.spec import (
    DIMENSIONS,
    PROPERTY,
    SUMS,
    AttemptRecord,
    Content,
    Record,
    Tally,
    Usage,
    bucket_of,
    client_of,
    is_counted,
    value_in,
)

from .packing import pack
from .tables import SHORT

__all__ = [
    "COLUMNS",
    "DAY",
    "EVERYTHING",
    "HOUR",
    "Cell",
    "Row",
    "Rows",
    "bounded_cost",
    "fitted",
    "microseconds",
    "places_of",
    "rows_of",
    "tallies_of",
]

HOUR: Final = 1
DAY: Final = 24
"""The grains of what is added up, in hours."""
EVERYTHING: Final = ""
"""The dimension in which all exchanges are counted together."""
COLUMNS: Final[Mapping[str, str]] = {**{name: name for name in DIMENSIONS}, "key": "key_id", "user": "end_user"}
"""The columns of ``exchanges`` by the dimensions that they are."""

_MOST_PROPERTIES: Final = 16
"""Properties of one exchange that are added up by; the others are in its record."""
_LONGEST: Final = 1e12
_MOST: Final = 10**13
"""What one record adds to a sum at most, so that no sum overflows: 10,000 USD, 10 trillion tokens, or four months."""
_UNWRITABLE: Final = re.compile("[\x00\ud800-\udfff]")

Row = tuple[Any, ...]
"""A row, in the order of its table's columns."""
Rows = dict[str, list[Row]]
"""Rows by the name of their table."""
Cell = tuple[str, int, int, str]
"""Which row of ``usage_tallies``: dimension, grain, whole hours since the epoch, value."""
_Parts = tuple[list[tuple[int, ...]], list[int], list[int]]
"""What is added up: sums in the order of ``SUMS``, and the buckets of durations and of first contents."""
_Places = tuple[tuple[str, str], ...]
"""Dimensions, and a value in each."""
_said: Final = attrgetter(
    "principal",
    "key_id",
    "team",
    "user",
    "user_agent",
    "router",
    "operation",
    "outcome",
    "request_model",
    "provider_name",
)
_tried: Final = attrgetter("model", "provider_name", "credential_ref")
"""What ``DIMENSIONS`` look at, beside properties."""
_sums: Final[Callable[[Tally], tuple[int, ...]]] = attrgetter(*SUMS)
_NOTHING: Final = Usage()


def microseconds(seconds: float) -> int:
    """Seconds as databases keep them, whole; no number at all is 0."""
    if -_LONGEST < seconds < _LONGEST:
        return round(seconds * 1_000_000)
    return round(max(-_LONGEST, min(_LONGEST, seconds)) * 1_000_000) if seconds == seconds else 0


@functools.lru_cache(maxsize=2048)  # most of what records say, others have said before
def fitted(value: str | None, longest: int = SHORT) -> str | None:
    """A text that every database takes, and tells from others: MySQL does not see spaces at the end."""
    if value is None:
        return None
    if len(value) > longest:
        value = value[:longest]
    return (value if value.isprintable() else _UNWRITABLE.sub("\ufffd", value)).rstrip(" ")


@functools.lru_cache(maxsize=2048)
def _word(value: str | None, longest: int) -> str | None:
    """The same, in ASCII."""
    if value is None:
        return None
    if len(value) <= longest and value.isascii() and "\x00" not in value:
        return value
    return value[:longest].encode("ascii", "replace").decode().replace("\x00", "?")


def _number(value: int | None) -> int | None:
    return value if value is None or -_MOST <= value <= _MOST else max(-_MOST, min(_MOST, value))


def rows_of(record: Record, into: Rows) -> None:
    """Add the rows of a record, those of ``usage_tallies`` left out.

    Args:
        record: The record.
        into: Where they are added.
    """
    record_id = record.id[:64]
    into["exchanges"].append(_exchange(record, record_id))
    into["exchange_records"].append((record_id, _text_of(record)))
    for number, one in enumerate(record.attempts):
        into["exchange_attempts"].append(_attempt(record, record_id, number, one))
    if record.properties:
        values = {fitted(name) or "": fitted(text) or "" for name, text in record.properties.items()}
        into["exchange_properties"] += [(record_id, name, text) for name, text in values.items()]
    if record.content is not None:
        for side, content in (("request", record.content.request), ("response", record.content.response)):
            if content is not None:
                into["payloads"].append(_payload(record, side, content))


def _text_of(record: Record) -> str:
    """The record as JSON in ASCII, without its content; the journal has mostly written it already."""
    if record.content is None:
        line = written(record)
        if line.isascii():
            return line.decode("ascii")
    value = record.as_json()
    value["content"] = None
    return json.dumps(value, separators=(",", ":"))


def _exchange(record: Record, record_id: str) -> Row:
    usage, started_at, first = record.usage or _NOTHING, microseconds(record.started_at), record.first_content
    writes = [one for one in (usage.cache_write_5m, usage.cache_write_1h) if one is not None]
    return (
        record_id,
        started_at,
        started_at // 900_000_000,
        _word(record.operation, 64),
        _word(record.surface, 64),
        _word(record.outcome, 32),
        record.status,
        _word(record.error_code, 100),
        fitted(record.principal),
        fitted(record.principal_issuer),
        fitted(record.key_id),
        fitted(record.team),
        fitted(record.user),
        fitted(client_of(record.user_agent)),
        _word(record.client_address, 64),
        fitted(record.router),
        fitted(record.request_model),
        fitted(record.response_model),
        *[fitted(value_in(record, name)) for name in ("model", "provider", "credential")],
        record.stream,
        _word(record.finish_reason, 64),
        _word(record.cache, 64),
        fitted(record.session_id),
        fitted(record.session_path),
        fitted(record.session_name),
        fitted(record.prompt_id),
        len(record.attempts),
        _number(usage.input_tokens),
        _number(usage.output_tokens),
        _number(usage.cache_read),
        _number(sum(writes) if writes else None),
        _number(usage.reasoning),
        _number(record.cost_nano),
        _number(microseconds(record.duration)),
        None if first is None else microseconds(first),
        bucket_of(record.duration),
        None if first is None else bucket_of(first),
    )


def _attempt(record: Record, record_id: str, number: int, one: AttemptRecord) -> Row:
    return (
        record_id,
        number,
        fitted(one.deployment),
        fitted(one.provider_name),
        fitted(one.model),
        microseconds(record.started_at + one.started),
        None if one.duration is None else microseconds(one.duration),
        one.status,
        _word(one.error_code, 100),
        fitted(one.credential_ref),
        fitted(one.credential_version),
        _word(one.credential_fingerprint, 64),
        _number(one.usage.input_tokens if one.usage else None),
        _number(one.usage.output_tokens if one.usage else None),
        _number(one.cost_nano),
        one.abandoned,
        one.lost,
    )


def _payload(record: Record, side: str, content: Content) -> Row:
    return (
        record.id[:64],
        side,
        microseconds(record.started_at),
        content.size,
        _word(content.digest, 64),
        fitted(content.media_type),
        None if content.text is None else _UNWRITABLE.sub("\ufffd", content.text),
        content.truncated,
        content.redactions,
        _word(content.format, 64),
    )


def tallies_of(records: Iterable[Record]) -> list[Row]:
    """What records add to the rows of ``usage_tallies`` that they belong to, in the order of its keys."""
    cells: dict[Cell, list[_Parts]] = defaultdict(list)
    for (hour, places), alike in _alike(records).items():
        day = hour - hour % DAY
        for dimension, value in places:
            cells[dimension, HOUR, hour, value].append(alike)
            cells[dimension, DAY, day, value].append(alike)
    return [(*cell, *_added(cells[cell])) for cell in sorted(cells)]


def _added(every: Sequence[_Parts]) -> Row:
    if len(every) == 1:
        (sums,), durations, first_contents = every[0]
        return (*sums, pack(Counter(durations)), pack(Counter(first_contents)))
    durations = [bucket for one in every for bucket in one[1]]
    first_contents = [bucket for one in every for bucket in one[2]]
    together = map(sum, zip(*[one[0][0] for one in every], strict=True))
    return (*together, pack(Counter(durations)), pack(Counter(first_contents)))


def places_of(record: Record) -> Iterator[Cell]:
    """The rows of ``usage_tallies`` that a record is counted in; none where it is no usage."""
    if is_counted(record):
        hour = microseconds(record.started_at) // 3_600_000_000
        for dimension, value in _places(record):
            yield dimension, HOUR, hour, value
            yield dimension, DAY, hour - hour % DAY, value


def bounded_cost(nano: int | None) -> int:
    """What a record's cost adds to a sum."""
    return max(-_MOST, min(_MOST, nano or 0))


def _alike(records: Iterable[Record]) -> dict[tuple[int, _Places], _Parts]:
    """Records of one hour that are counted in the same places, put together: of most there are many."""
    known: dict[tuple[Any, ...], _Places] = {}
    found: dict[tuple[int, _Places], _Parts] = {}
    for record in records:
        if not is_counted(record):
            continue
        said = (_said(record), _tried(record.attempts[-1]) if record.attempts else None, *record.properties.items())
        places = known.get(said)
        if places is None:
            places = known[said] = tuple(_places(record))
        key = (microseconds(record.started_at) // 3_600_000_000, places)
        parts = found.get(key)
        if parts is None:
            parts = found[key] = ([], [], [])
        one = Tally()
        one.add(record)
        sums = _sums(one)
        if max(sums) > _MOST or min(sums) < -_MOST:
            sums = tuple(max(-_MOST, min(_MOST, each)) for each in sums)
        parts[0].append(sums)
        parts[1].extend(one.durations)
        parts[2].extend(one.first_contents)
    for every, _, _ in found.values():
        if len(every) > 1:
            every[:] = [tuple(map(sum, zip(*every, strict=True)))]
    return found


def _places(record: Record) -> Iterator[tuple[str, str]]:
    """The dimensions in which a record is counted, with its values there."""
    yield EVERYTHING, ""
    for name, find in DIMENSIONS.items():
        value = find(record)
        yield name, "" if value is None else fitted(value) or ""
    for name, value in itertools.islice(record.properties.items(), _MOST_PROPERTIES):
        yield f"{PROPERTY}{fitted(name, 128)}", fitted(value) or ""
