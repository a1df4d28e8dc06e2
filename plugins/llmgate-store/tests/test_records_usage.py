"""What records add up to, from hours, days and single exchanges, against a count one by one."""

from __future__ import annotations

import contextlib
import datetime as dt
import itertools
import sqlite3
from collections.abc import Sequence
from typing import Any
from zoneinfo import ZoneInfo

import pytest
import sqlalchemy as sa
from llmgate_store.records.spans import Span, hours_fit, stretch_of
from record_bench import NOON, expected, make_records, open_logger, put

from llmgate.spec import RecordFilter, StageContext, UsageQuery

BERLIN, KOLKATA = ZoneInfo("Europe/Berlin"), ZoneInfo("Asia/Kolkata")
RECORDS = make_records(600)

QUERIES = [
    UsageQuery(),
    UsageQuery(by=("model",)),
    UsageQuery(by=("user",)),
    UsageQuery(by=("property:env",)),
    UsageQuery(by=("key",)),
    UsageQuery(by=("client", "operation")),
    UsageQuery(by=("model", "user", "team")),
    UsageQuery(by=("hour",)),
    UsageQuery(by=("day", "provider")),
    UsageQuery(by=("credential", "day"), zone=BERLIN),
    UsageQuery(by=("day",), zone=KOLKATA),
    UsageQuery(by=("hour", "model"), zone=KOLKATA),
    UsageQuery(by=("month", "router")),
    UsageQuery(by=("property:env", "model")),
    UsageQuery(by=("day", "property:env")),
    UsageQuery(by=("model",), filter=RecordFilter(since=NOON - 100_000)),
    UsageQuery(by=("model",), filter=RecordFilter(since=NOON - 100_000.5, until=NOON - 3_333.25)),
    UsageQuery(by=("outcome",), filter=RecordFilter(since=NOON - 1000, until=NOON - 900)),
    UsageQuery(by=("outcome",), filter=RecordFilter(since=NOON - 1000, until=NOON - 2000)),
    UsageQuery(by=("day",), filter=RecordFilter(since=NOON - 200_000, equal={"user": "čapek 🔑"})),
    UsageQuery(by=("model",), filter=RecordFilter(equal={"user": ""})),
    UsageQuery(by=("user",), filter=RecordFilter(equal={"user": "ann"})),
    UsageQuery(by=("model",), filter=RecordFilter(equal={"property:env": "prod"})),
    UsageQuery(by=(), filter=RecordFilter(equal={"property:env": "prod"}, since=NOON - 90_000)),
    UsageQuery(by=("model",), filter=RecordFilter(owner=("static-keys", "alice"))),
    UsageQuery(by=("operation",), filter=RecordFilter(owner=("other", "alice"))),
]


@pytest.mark.parametrize("later", [0.0, 40 * 86400.0], ids=["now", "later"])
async def test_every_question_is_answered_as_if_counted_one_by_one(
    url: str, context: StageContext, later: float, monkeypatch
):
    logger = await open_logger(url, context, batch=97)
    await put(logger, RECORDS)
    await put(logger, RECORDS[::3])  # given twice, counted once
    monkeypatch.setattr(type(context.clock), "now", lambda _: NOON + later)
    for query in QUERIES:
        report = await logger.usage(query)
        wanted = expected(RECORDS, query)
        assert {tuple(row.group): row.tally for row in report.rows} == wanted, query
        assert len(report.rows) == len(wanted), query
        assert report.total.requests == sum(one.requests for one in wanted.values()), query
        assert report.total.cost_nano == sum(one.cost_nano for one in wanted.values()), query
        assert sum(report.total.durations.values()) == report.total.requests, query
    await logger.aclose()


async def test_the_dearest_groups_come_first_and_the_latest_times_stay(url: str, context: StageContext):
    logger = await open_logger(url, context)
    await put(logger, RECORDS)
    dearest = await logger.usage(UsageQuery(by=("user",), limit=2))
    costs = sorted((one.cost_nano for one in expected(RECORDS, UsageQuery(by=("user",))).values()), reverse=True)
    assert [row.tally.cost_nano for row in dearest.rows] == costs[:2]
    assert (dearest.left_out, dearest.total.cost_nano) == (2, sum(costs))
    latest = await logger.usage(UsageQuery(by=("day",), limit=2))
    days = sorted(group[0] or "" for group in expected(RECORDS, UsageQuery(by=("day",))))
    assert [row.group for row in latest.rows] == [(one,) for one in days[-2:]]
    await logger.aclose()


@pytest.mark.parametrize(
    "by", [("model",), ("user",), ("property:env",), ("day",), ("property:env", "property:x")], ids="-".join
)
async def test_sqlite_reads_no_more_rows_than_a_question_is_about(by: Sequence[str], context: StageContext, tmp_path):
    logger = await open_logger(f"sqlite:///{tmp_path}/plans.db", context)
    await put(logger, RECORDS[:50])
    asked: list[tuple[str, Any]] = []
    engine = logger._database._open_engine.sync_engine
    sa.event.listen(engine, "before_cursor_execute", lambda *a: asked.append((a[2], a[3])))
    await logger.usage(UsageQuery(by=by, filter=RecordFilter(since=NOON - 200_000.5)))
    await logger.aclose()
    with contextlib.closing(sqlite3.connect(tmp_path / "plans.db")) as database:
        steps = [row[3] for words, values in asked for row in database.execute(f"EXPLAIN QUERY PLAN {words}", values)]
    looks = [one for one in steps if one.startswith(("SCAN", "SEARCH"))]
    assert any("exchanges USING INDEX ix_exchanges_started_at" in one for one in looks)
    assert not [one for one in looks if one.startswith("SCAN")]
    assert all("dimension=? AND grain=? AND starts_at>?" in one for one in looks if "usage_tallies" in one)
    assert all("exchange_id=?" in one for one in looks if "properties" in one)


@pytest.mark.parametrize(
    ("since", "until"), [(0, None), (5, 90), (5.5, 90.25), (5.1, 5.2), (23.9, 24.1), (48, 72), (7, 8)]
)
def test_a_stretch_is_covered_once_without_gaps(since: float, until: float | None):
    wanted = RecordFilter(since=since * 3600.0, until=None if until is None else until * 3600.0)
    stretch = stretch_of(UsageQuery(filter=wanted), None, 80 * 3600.0)
    end = until or 200.0
    covered = [(float(one.first), min(end, float(one.end))) for one in stretch.spans]
    covered = sorted(covered + [(first / 3600, last / 3600) for first, last in stretch.edges])
    assert (covered[0][0], covered[-1][1]) == pytest.approx((since, end))
    assert all(one[1] == pytest.approx(two[0]) for one, two in itertools.pairwise(covered))


def test_whole_days_are_read_as_days():
    stretch = stretch_of(UsageQuery(filter=RecordFilter(since=5 * 3600.0)), None, 80 * 3600.0)
    assert Span(24, 24, 72) in stretch.spans


def test_zones_whose_hours_begin_elsewhere_are_known():
    assert hours_fit(dt.UTC, None, None, NOON)
    assert hours_fit(BERLIN, NOON - 1e6, NOON, NOON)
    assert not hours_fit(KOLKATA, NOON - 1e6, None, NOON)
    assert not hours_fit(ZoneInfo("Australia/Lord_Howe"), NOON - 1e6, None, NOON)
