"""Reads records from the database: pages of them, and one with all that is kept of it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import attrs
import sqlalchemy as sa

from llmgate.spec import (
    Content,
    Feedback,
    InvalidRequestError,
    KeptRecord,
    Record,
    RecordContent,
    RecordPage,
    RecordQuery,
)
from llmgate_store.database import Database

from .book import upsert
from .choosing import conditions_of
from .rows import fitted, microseconds
from .tables import exchange_records, exchanges, feedback, payloads

__all__ = ["find_records", "keep_feedback", "read_record"]


async def find_records(database: Database, query: RecordQuery, timeout: float) -> RecordPage:
    """A page of records, the youngest first; see ``RecordReader.find_records``."""
    row = exchanges.c
    wanted = sa.select(row.id).where(*conditions_of(query.filter))
    if query.before is not None:
        moment, record_id = microseconds(query.before[0]), query.before[1]
        wanted = wanted.where(row.started_at <= moment, sa.or_(row.started_at < moment, row.id < fitted(record_id, 64)))
    page = wanted.order_by(row.started_at.desc(), row.id.desc()).limit(query.limit + 1)
    async with database.read(timeout) as connection:
        ids = list((await connection.execute(page)).scalars())
        records = await _records(connection, ids[: query.limit])
    return RecordPage([records[one] for one in ids[: query.limit] if one in records], more=len(ids) > query.limit)


async def _records(connection: Any, ids: Sequence[str]) -> dict[str, Record]:
    known = exchange_records.c
    found = await connection.execute(sa.select(known.exchange_id, known.record).where(known.exchange_id.in_(ids)))
    return {row.exchange_id: Record.from_json(json.loads(row.record)) for row in found}


async def read_record(database: Database, record_id: str, timeout: float) -> KeptRecord | None:
    """One record, whole; see ``RecordReader.read_record``."""
    async with database.read(timeout) as connection:
        whole = await _whole_id(connection, record_id)
        if whole is None:
            return None
        record = (await _records(connection, [whole])).get(whole)
        if record is None:
            return None
        contents = await connection.execute(sa.select(payloads).where(payloads.c.exchange_id == whole))
        sides = {row.side: _content(row) for row in contents}
        said = sa.select(feedback).where(feedback.c.exchange_id == whole)
        opinions = [_feedback(row) for row in await connection.execute(said.order_by(feedback.c.given_at))]
    if sides:
        record = attrs.evolve(record, content=RecordContent(sides.get("request"), sides.get("response")))
    return KeptRecord(record, opinions)


async def _whole_id(connection: Any, record_id: str) -> str | None:
    row = exchanges.c
    if not record_id or len(record_id) > 64 or not record_id.isascii() or not record_id.isprintable():
        return None
    if (await connection.execute(sa.select(row.id).where(row.id == record_id))).first() is not None:
        return record_id
    # Ids are ASCII, in that order on every database: the index finds those that begin so.
    beginning = sa.select(row.id).where(row.id >= record_id, row.id < record_id + "\x7f").limit(2)
    found = list((await connection.execute(beginning)).scalars())
    if len(found) > 1:
        raise InvalidRequestError(f"several records begin with {record_id}: write more of the id", param="id")
    return found[0] if found else None


def _content(row: Any) -> Content:
    return Content(row.size, row.digest, row.media_type, row.body, bool(row.truncated), row.redactions, row.format)


def _feedback(row: Any) -> Feedback:
    giver = (row.issuer, row.given_by)
    return Feedback(row.exchange_id, giver, row.given_at / 1e6, row.name, json.loads(row.value), row.comment)


async def keep_feedback(database: Database, given: Sequence[Feedback], timeout: float) -> None:
    """Keep what is thought of exchanges; see ``RecordReader.keep_feedback``."""
    rows = [
        {
            "exchange_id": one.record_id,
            "issuer": fitted(one.given_by[0], 100),
            "given_by": fitted(one.given_by[1]),
            "name": fitted(one.name, 100),
            "given_at": microseconds(one.given_at),
            "value": json.dumps(one.value),
            "number": None if isinstance(one.value, str) else float(one.value),
            "comment": None if one.comment is None else fitted(one.comment, 100_000),
        }
        for one in sorted(given, key=lambda one: (one.record_id, one.name))
    ]
    if not rows:
        return
    async with database.write(timeout) as connection:
        await connection.execute(upsert(connection, feedback, ("given_at", "value", "number", "comment")), rows)
