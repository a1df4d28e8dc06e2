"""Which exchanges a question is about, as conditions on the tables."""

from __future__ import annotations

import json
import math
from typing import Any, Final

import sqlalchemy as sa

from llmgate.spec import HOUSEKEEPING, PROPERTY, RecordFilter

from .rows import COLUMNS, fitted, microseconds
from .tables import exchange_records, exchanges, properties

__all__ = ["conditions_of"]

_ASKING: Final = tuple(sorted(HOUSEKEEPING))
_ESCAPE: Final = "!"


def conditions_of(wanted: RecordFilter) -> list[sa.ColumnElement[bool]]:
    """The conditions that the rows of ``exchanges`` meet."""
    row = exchanges.c
    found: list[sa.ColumnElement[bool]] = []
    if wanted.since is not None:
        found.append(row.started_at >= microseconds(wanted.since))
    if wanted.until is not None:
        found.append(row.started_at < microseconds(wanted.until))
    if wanted.owner is not None:
        issuer, principal = wanted.owner
        found += [row.principal == fitted(principal), row.issuer == fitted(issuer)]
    if wanted.status is not None:
        first, last = (
            (wanted.status, wanted.status + 1)
            if wanted.status > 9
            else (wanted.status * 100, wanted.status * 100 + 100)
        )
        found += [row.status >= first, row.status < last]
    plain: dict[str, Any] = {
        name: getattr(wanted, name) for name in ("surface", "error_code", "session_id", "prompt_id", "cache")
    }
    found += [row[name] == fitted(value) for name, value in plain.items() if value is not None]
    found += [_equal(name, value) for name, value in wanted.equal.items()]
    if wanted.slower_than is not None and math.isfinite(wanted.slower_than):
        found.append(row.duration_us >= microseconds(min(wanted.slower_than, 1e12)))
    if wanted.text:
        found.append(_says(wanted.text))
    if not wanted.housekeeping:
        found.append(row.operation.not_in(_ASKING))
    return found


def _equal(name: str, value: str) -> sa.ColumnElement[bool]:
    """That an exchange has a value in a dimension; the empty one is that of exchanges without."""
    if not name.startswith(PROPERTY):
        column = exchanges.c[COLUMNS[name]]
        return column == fitted(value) if value else sa.or_(column.is_(None), column == "")
    known = properties.c
    same = [known.exchange_id == exchanges.c.id, known.name == fitted(name.removeprefix(PROPERTY).lower())]
    return sa.exists().where(*same, known.value == fitted(value))


def _says(text: str) -> sa.ColumnElement[bool]:
    """That a text stands in the record, which is JSON in ASCII: other letters are escaped, in one case or the other."""
    known = exchange_records.c
    written = sa.func.lower(known.record)
    found = [written.like(_pattern(one), escape=_ESCAPE) for one in sorted({text, text.lower(), text.upper()})]
    return sa.exists().where(known.exchange_id == exchanges.c.id, sa.or_(*found))


def _pattern(text: str) -> str:
    written = json.dumps(text)[1:-1].lower()
    for sign in (_ESCAPE, "%", "_"):
        written = written.replace(sign, _ESCAPE + sign)
    return f"%{written}%"
