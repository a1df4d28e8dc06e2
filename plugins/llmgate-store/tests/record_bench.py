"""What the tests of records share: records of every sort, and what they should add up to."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any

import attrs
from llmgate_store.config import DatabaseConfig, SqlRecordsConfig
from llmgate_store.records.logger import SqlRecords

from llmgate.spec import (
    PERIODS,
    AttemptRecord,
    Record,
    RecordFilter,
    StageContext,
    Tally,
    Usage,
    UsageQuery,
    is_counted,
    period_of,
    value_in,
)
from llmgate.testing.samples import sample_record

NOON = 1_800_000_000.0 - 1_800_000_000.0 % 86400 + 43200
"""Noon, UTC, of a day in January 2027."""


def make_records(count: int, *, days: float = 3.0, seed: int = 7) -> list[Record]:
    """Records like those of a real gateway, over some days before noon; the same ones for the same seed."""
    dice = random.Random(seed)
    return [_record(dice, number, days, seed) for number in range(count)]


def _record(dice: random.Random, number: int, days: float, seed: int) -> Record:
    sample = sample_record()
    model = dice.choice(["gpt-4o", "claude-sonnet", "gemini-flash"])
    failed = dice.random() < 0.1
    cost = None if dice.random() < 0.05 else dice.randrange(1, 10**9)
    one: AttemptRecord = attrs.evolve(
        sample.attempts[0],
        model=model,
        provider_name={"g": "openai", "c": "anthropic"}.get(model[0], "gemini"),
        credential_ref=dice.choice(["env:A", "vault:b"]),
        cost_nano=cost,
    )
    user = dice.choice(["ann", "bob", "čapek 🔑", None])
    duration = dice.lognormvariate(0, 1)
    return attrs.evolve(
        sample,
        id=f"{seed:08x}-{number:08x}",
        operation=dice.choice(["chat", "chat", "embeddings", "models"]),
        started_at=NOON - dice.random() * days * 86400,
        duration=duration,
        first_content=None if failed else duration / 3,
        outcome="error" if failed else "ok",
        status=502 if failed else 200,
        error_code="provider_error" if failed else None,
        principal=dice.choice(["alice", "carol"]),
        principal_issuer="static-keys",
        usage=None
        if failed
        else Usage(input_tokens=dice.randrange(1000), output_tokens=dice.randrange(500), cache_read=3),
        attempts=(one, attrs.evolve(one, started=0.5))[: dice.choice([1, 1, 2])],
        cost_nano=cost,
        user=user,
        team=dice.choice(["red", None]),
        key_id="k1",
        session_id=f"s{number % 5}",
        user_agent="OpenAI/Python 3.1.0",
        properties={"env": dice.choice(["prod", "dev"])} if dice.random() < 0.7 else {},
        cache="hit" if dice.random() < 0.1 else None,
    )


def expected(records: Sequence[Record], query: UsageQuery) -> dict[tuple[str | None, ...], Tally]:
    """What records add up to, counted one by one."""
    found: dict[tuple[str | None, ...], Tally] = {}
    for record in records:
        if not is_counted(record) or not meets(record, query.filter):
            continue
        group = [
            period_of(record.started_at, one, query.zone) if one in PERIODS else value_in(record, one)
            for one in query.by
        ]
        if any(one.startswith("property:") and not value for one, value in zip(query.by, group, strict=True)):
            continue
        found.setdefault(tuple(group), Tally()).add(record)
    return found


def meets(record: Record, wanted: RecordFilter) -> bool:
    """Whether a record is meant, as far as the tests filter."""
    return (
        (wanted.since is None or record.started_at >= wanted.since)
        and (wanted.until is None or record.started_at < wanted.until)
        and all((value_in(record, name) or "") == value for name, value in wanted.equal.items())
        and (wanted.owner is None or (record.principal_issuer, record.principal) == wanted.owner)
        and (wanted.housekeeping or is_counted(record))
    )


async def open_logger(url: str, context: StageContext, *, patience: float = 30.0, **fields: Any) -> SqlRecords:
    """The logger, open."""
    logger = SqlRecords(SqlRecordsConfig(database=DatabaseConfig(url=url, timeout=patience), **fields))
    await logger.open(context)
    return logger


async def put(logger: SqlRecords, records: Sequence[Record]) -> None:
    """Hand over records as the pipeline does."""
    for one in records:
        await logger.record(one)
    await logger.flush()
