"""ClickHouse's own engine (chdb) makes the tables, takes the rows, keeps each once and adds up the hours."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import attrs
import pytest
from chdb import session
from llmgate_clickhouse.config import ClickHouseConfig
from llmgate_clickhouse.logger import ClickHouseRecords

from llmgate.spec import (
    Content,
    ProviderRequest,
    ProviderResponse,
    Record,
    RecordContent,
    StageContext,
    StageTrace,
    Usage,
)
from llmgate.testing import AnsweringTransport, FakeClock
from llmgate.testing.conformance import LoggerConformance
from llmgate.testing.samples import sample_record

MOMENT = 1_795_305_600.25


class Engine:
    """The engine behind the HTTP interface: each request is a statement."""

    def __init__(self, directory: Path) -> None:
        self.session = session.Session(str(directory))

    def __call__(self, request: ProviderRequest) -> ProviderResponse:
        query = {
            name: values[0] for name, values in parse_qs(urlsplit(request.url).query, keep_blank_values=True).items()
        }
        statement = query.pop("query")
        if request.headers.get("content-encoding") == "gzip":
            settings = ", ".join(f"{name}='{value}'" for name, value in query.items() if "async" not in name)
            lines = gzip.decompress(request.body or b"").decode()
            statement = f"{statement.replace(' FORMAT', f' SETTINGS {settings} FORMAT')}\n{lines}"
        parameters = {name.removeprefix("param_"): text for name, text in query.items() if name.startswith("param_")}
        try:
            answer = self.session.query(statement, "JSONEachRow", params=parameters)
        except RuntimeError as error:
            code = str(error).partition("Code: ")[2].partition(".")[0]
            return ProviderResponse(500, {"x-clickhouse-exception-code": code}, str(error).encode())
        return ProviderResponse(200, {}, answer.bytes())

    def rows(self, statement: str) -> list[dict[str, Any]]:
        return [json.loads(line) for line in str(self.session.query(statement, "JSONEachRow")).split("\n") if line]


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    one = Engine(tmp_path_factory.mktemp("chdb"))
    yield one
    one.session.close()


@pytest.fixture(autouse=True)
def _empty(engine: Engine) -> None:
    engine.session.query("DROP DATABASE IF EXISTS llmgate")


class TestClickHouse(LoggerConformance):
    stage_class = ClickHouseRecords
    config = ClickHouseConfig(url="https://clickhouse.test:8443")

    @pytest.fixture(autouse=True)
    def _engine(self, engine: Engine) -> None:
        self.engine = engine

    def make_context(self, directory: Path, clock: FakeClock) -> StageContext:
        return attrs.evolve(super().make_context(directory, clock), transport=AnsweringTransport(self.engine))

    def written(self, context: StageContext) -> Sequence[str]:  # noqa: ARG002 - the engine is the module's
        rows = self.engine.rows("SELECT * FROM llmgate.exchanges FINAL ORDER BY id")
        return [json.dumps(row) for row in rows]


async def opened(tmp_path: Path, engine: Engine, **fields: Any) -> ClickHouseRecords:
    context = LoggerConformance().make_context(tmp_path, FakeClock(now=MOMENT))
    stage = ClickHouseRecords(ClickHouseConfig(url="https://clickhouse.test", **fields))
    await stage.open(attrs.evolve(context, transport=AnsweringTransport(engine)))
    return stage


async def test_every_field_is_there(tmp_path: Path, engine: Engine) -> None:
    side = Content(size=9, digest="ab", text='{"a": "Ünï \U0001f511"}', redactions=1)
    record = sample_record(
        started_at=MOMENT,
        properties={"app": "web \U0001f511"},
        stages=(StageTrace("auth", "passed", 12),),
        content=RecordContent(side, attrs.evolve(side, text=None)),
        usage=Usage(input_tokens=10, output_tokens=4, cache_read=6),
        cost_nano=1500,
    )
    stage = await opened(tmp_path, engine, keep=86_400.0 * 18_250)
    await stage.record(record)
    await stage.flush()
    (row,) = engine.rows("SELECT *, toUnixTimestamp64Micro(started_at) AS us FROM llmgate.exchanges FINAL")
    assert row["us"] == round(MOMENT * 1e6)
    assert row["properties"] == {"app": "web \U0001f511"}
    assert (row["input_tokens"], row["cache_read"], row["reasoning"], row["cost_nano"]) == (10, 6, None, 1500)
    assert json.loads(row["stages"])[0]["verdict"] == "passed"
    (attempt,) = engine.rows("SELECT * FROM llmgate.attempts FINAL")
    assert (attempt["exchange_id"], attempt["number"], attempt["deployment"]) == (record.id, 0, "openai/gpt-4o-mini")
    (content,) = engine.rows("SELECT * FROM llmgate.content FINAL")
    assert (content["request_text"], content["response_text"], content["response_size"]) == (side.text, "", 9)


async def test_what_is_sent_twice_counts_once_also_by_the_hour(tmp_path: Path, engine: Engine) -> None:
    stage = await opened(tmp_path, engine)
    records = [
        sample_record(started_at=MOMENT + one, cost_nano=None if one % 2 else 10, duration=one, team="blue")
        for one in range(10)
    ]
    for _ in range(2):
        for record in records:
            await stage.record(record)
        await stage.flush()
    engine.session.query("SYSTEM REFRESH VIEW llmgate.hourly_refresh")
    engine.session.query("SYSTEM WAIT VIEW llmgate.hourly_refresh")
    (hour,) = engine.rows(
        "SELECT sum(requests) AS requests, sum(cost_nano) AS cost, sum(cost_unknown) AS unknown, "
        "quantilesTDigestMerge(0.5, 0.9, 0.95, 0.99)(durations)[1] AS median, any(team) AS team "
        "FROM llmgate.hourly FINAL"
    )
    assert (hour["requests"], hour["cost"], hour["unknown"], hour["team"]) == (10, 50, 5, "blue")
    assert 4 <= hour["median"] <= 5


async def test_an_older_table_gets_the_columns_that_it_lacks(tmp_path: Path, engine: Engine) -> None:
    engine.session.query("CREATE DATABASE llmgate")
    engine.session.query(
        "CREATE TABLE llmgate.exchanges (id String, started_at DateTime64(6, 'UTC'), stored_at DateTime64(3, 'UTC') "
        "DEFAULT now64(3)) ENGINE = ReplacingMergeTree(stored_at) PARTITION BY toYYYYMM(started_at) "
        "ORDER BY (toStartOfHour(started_at), id)"
    )
    stage = await opened(tmp_path, engine)
    await stage.record(sample_record(team="blue"))
    await stage.flush()
    assert engine.rows("SELECT team FROM llmgate.exchanges FINAL") == [{"team": "blue"}]


async def test_a_value_that_does_not_fit_is_refused_alone(tmp_path: Path, engine: Engine) -> None:
    stage = await opened(tmp_path, engine)
    records = [sample_record(), sample_record(status="no number"), sample_record()]
    for record in records:
        await stage.record(record)
    await stage.flush()
    assert stage.refused == 1
    assert [row["id"] for row in engine.rows("SELECT id FROM llmgate.exchanges FINAL ORDER BY id")] == [
        records[0].id,
        records[2].id,
    ]


async def test_tables_that_were_removed_are_made_again(tmp_path: Path, engine: Engine) -> None:
    stage = await opened(tmp_path, engine)
    await stage.record(sample_record())
    await stage.flush()
    engine.session.query("DROP DATABASE llmgate")
    await stage.record(sample_record())
    with pytest.raises(Exception, match="code 81 UNKNOWN_DATABASE"):
        await stage.flush()
    await stage.flush()
    assert len(engine.rows("SELECT id FROM llmgate.exchanges FINAL")) == 1


async def test_costs_that_are_filled_in_replace_those_that_were_unknown(tmp_path: Path, engine: Engine) -> None:
    stage = await opened(tmp_path, engine)
    pending = sample_record(started_at=MOMENT, cost_nano=None, metadata={"llmgate.mapping": "pending", "a": "b"})
    attempts = tuple(attrs.evolve(one, cost_nano=None) for one in pending.attempts)
    pending = attrs.evolve(pending, attempts=attempts)
    other = sample_record(started_at=MOMENT, cost_nano=None)
    for record in (pending, other):
        await stage.record(record)
    await stage.flush()

    def priced(record: Record) -> Record:
        priced = tuple(attrs.evolve(one, cost_nano=7 + number) for number, one in enumerate(record.attempts))
        return attrs.evolve(record, attempts=priced, cost_nano=sum(7 + number for number in range(len(priced))))

    before = engine.rows("SELECT * EXCEPT (cost_nano, metadata, stored_at) FROM llmgate.exchanges FINAL ORDER BY id")
    assert [await stage.fill_costs(priced) for _ in range(2)] == [1, 0]
    rows = {row["id"]: row for row in engine.rows("SELECT * FROM llmgate.exchanges FINAL")}
    assert (rows[pending.id]["cost_nano"], rows[other.id]["cost_nano"]) == (7, None)
    assert rows[pending.id]["metadata"] == {"llmgate.mapping": "back-filled", "a": "b"}
    tries = engine.rows("SELECT exchange_id, cost_nano FROM llmgate.attempts FINAL ORDER BY exchange_id")
    assert {row["exchange_id"]: row["cost_nano"] for row in tries}[pending.id] == 7
    assert before == engine.rows(
        "SELECT * EXCEPT (cost_nano, metadata, stored_at) FROM llmgate.exchanges FINAL ORDER BY id"
    )
