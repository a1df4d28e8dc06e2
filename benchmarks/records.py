"""How long questions about a million records take; run it by hand: ``python -m benchmarks.records sqlite:////tmp/x.db``.

The database is to be empty; it is filled first, which takes some minutes. Records are spread over 90 days, with twenty
models, five providers, a thousand users and three properties.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NoReturn

import attrs
from llmgate_store import DatabaseConfig, SqlRecords, SqlRecordsConfig

from llmgate.spec import Record, RecordFilter, RecordQuery, StageContext, SystemClock, Usage, UsageQuery, zone_named
from llmgate.testing.samples import sample_record
from llmgate.testing.transport import ScriptedTransport

BATCH = 5000
DAY = 86400.0


def records(count: int, now: float) -> Iterator[Record]:
    """Records in the order of time."""
    dice = random.Random(1)
    sample = sample_record()
    (attempt, *_) = sample.attempts
    for number in range(count):
        model = min(19, int(dice.expovariate(0.25)))
        duration = dice.lognormvariate(0.3, 0.8)
        cost = dice.randrange(10**5, 10**8)
        yield attrs.evolve(
            sample,
            id=f"bench-{number:012d}",
            started_at=now - 90 * DAY + 90 * DAY * number / count,
            duration=duration,
            first_content=duration / 4,
            outcome="ok" if dice.random() > 0.02 else "error",
            attempts=(attrs.evolve(attempt, model=f"model-{model}", provider_name=f"provider-{model % 5}"),),
            usage=Usage(dice.randrange(4000), dice.randrange(900)),
            cost_nano=cost,
            user=f"user-{dice.randrange(1000)}",
            principal=f"app-{model % 7}",
            properties={"env": dice.choice(["prod", "dev"]), "team": f"t{dice.randrange(20)}"},
        )


async def measure(url: str, count: int) -> None:
    """Fill the database where it is empty, and ask."""
    logger = SqlRecords(SqlRecordsConfig(database=DatabaseConfig(url=url, timeout=60), batch=BATCH, keep=None))
    await logger.open(_context())
    now = time.time()
    there = (await logger.usage(UsageQuery())).total.requests
    if there < count:
        begun = time.perf_counter()
        for record in records(count, now):
            await logger.record(record)
        await logger.flush()
        seconds = time.perf_counter() - begun
        print(f"written: {count} records in {seconds:.0f} s, {count / seconds:.0f}/s")
    for name, query in _questions(now):
        times = []
        for _ in range(5):
            begun = time.perf_counter()
            report = await logger.usage(query)
            times.append(time.perf_counter() - begun)
        print(f"{name:<44} {len(report.rows):>6} rows  {_told(times)}")
    times = []
    for _ in range(5):
        begun = time.perf_counter()
        await logger.find_records(RecordQuery(RecordFilter(since=now - 30 * DAY, equal={"user": "user-7"}), limit=50))
        times.append(time.perf_counter() - begun)
    print(f"{'the latest 50 of a user':<44} {'':>11}  {_told(times)}")
    await logger.aclose()


def _questions(now: float) -> Sequence[tuple[str, UsageQuery]]:
    week, quarter = RecordFilter(since=now - 7 * DAY), RecordFilter(since=now - 89.7 * DAY)
    return [
        ("all, 90 days", UsageQuery(filter=quarter)),
        ("by model, 7 days", UsageQuery(("model",), week)),
        ("by model, 90 days", UsageQuery(("model",), quarter)),
        ("by provider, 90 days", UsageQuery(("provider",), quarter)),
        ("by property, 90 days", UsageQuery(("property:env",), quarter)),
        ("by user (1000), 7 days", UsageQuery(("user",), week, limit=100)),
        ("by user (1000), 90 days", UsageQuery(("user",), quarter, limit=100)),
        ("by day, 90 days", UsageQuery(("day",), quarter)),
        ("by day in Berlin, 90 days", UsageQuery(("day",), quarter, zone_named("Europe/Berlin"))),
        ("by hour, 7 days", UsageQuery(("hour",), week)),
        ("by day and model, 90 days", UsageQuery(("day", "model"), quarter, limit=10_000)),
        ("by model and user, 7 days (from exchanges)", UsageQuery(("model", "user"), week)),
    ]


def _told(times: Sequence[float]) -> str:
    ordered = sorted(times)
    return f"median {ordered[len(ordered) // 2] * 1000:7.1f} ms  worst {ordered[-1] * 1000:7.1f} ms"


def _context() -> StageContext:
    async def no_secret(_: Any) -> NoReturn:
        raise LookupError("no secret is needed")

    def no_state(_: str) -> NoReturn:
        raise LookupError("no state store is needed")

    return StageContext(
        id="loggers[0]",
        clock=SystemClock(),
        transport=ScriptedTransport(),
        fetch_secret=no_secret,
        state=no_state,
        directory=Path.cwd(),
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("url")
    parser.add_argument("--count", type=int, default=1_000_000)
    arguments = parser.parse_args()
    asyncio.run(measure(arguments.url, arguments.count))
