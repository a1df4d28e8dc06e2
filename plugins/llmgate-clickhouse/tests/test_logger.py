"""What the server is sent, in which order, and what happens when it does not take it."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import attrs
import pytest
from llmgate_clickhouse.config import ClickHouseConfig
from llmgate_clickhouse.logger import ClickHouseRecords
from llmgate_clickhouse.schema import ATTEMPTS, CONTENT, EXCHANGES

from llmgate.spec import (
    AttemptRecord,
    Content,
    DeliveryError,
    ProviderRequest,
    ProviderResponse,
    Record,
    RecordContent,
    SecretRef,
    Usage,
)
from llmgate.testing import AnsweringTransport, FakeClock
from llmgate.testing.conformance import LoggerConformance
from llmgate.testing.samples import sample_record

OK = ProviderResponse(200, {}, b"")


def refused(code: int, name: str) -> ProviderResponse:
    """As the server refuses: with the row that it does not like among the words."""
    text = (
        f"Code: {code}. DB::Exception: canary (at row 1): While executing. ({name}) (version 26.9.2.1 (official build))"
    )
    return ProviderResponse(500, {"x-clickhouse-exception-code": str(code)}, text.encode())


def statement_of(request: ProviderRequest) -> str:
    return parse_qs(urlsplit(request.url).query)["query"][0]


def rows_of(request: ProviderRequest) -> list[dict[str, Any]]:
    return [json.loads(line) for line in gzip.decompress(request.body or b"").splitlines()]


async def opened(tmp_path: Path, answer: Any, **fields: Any) -> tuple[ClickHouseRecords, AnsweringTransport]:
    transport = AnsweringTransport(answer)
    stage = ClickHouseRecords(ClickHouseConfig(**{"url": "https://clickhouse.test:8443/", **fields}))
    context = LoggerConformance().make_context(tmp_path, FakeClock())
    await stage.open(attrs.evolve(context, transport=transport))
    return stage, transport


async def test_an_exchange_that_is_there_is_there_whole(tmp_path: Path) -> None:
    """Attempts and content are written before the exchange that they belong to."""
    stage, transport = await opened(tmp_path, lambda _: OK, create=False)
    content = RecordContent(Content(size=2, text="{}"), None)
    records = [sample_record(content=content), sample_record(attempts=())]
    for record in records:
        await stage.record(record)
    await stage.flush()
    assert [statement_of(request) for request in transport.requests] == [
        f"INSERT INTO llmgate.{table} FORMAT JSONEachRow" for table in ("attempts", "content", "exchanges")
    ]
    attempts, contents, exchanges = map(rows_of, transport.requests)
    assert [row["exchange_id"] for row in attempts] == [records[0].id] * len(records[0].attempts)
    assert [row["exchange_id"] for row in contents] == [records[0].id]
    assert [row["id"] for row in exchanges] == [record.id for record in records]
    query = parse_qs(urlsplit(transport.requests[0].url).query)
    assert query["wait_for_async_insert"] == ["1"], "what is not written is not taken"


async def test_tables_are_made_before_the_first_insert_and_again_after_a_failure(tmp_path: Path) -> None:
    answers = {"INSERT": [OK, OK, refused(60, "UNKNOWN_TABLE")]}

    def answer(request: ProviderRequest) -> ProviderResponse:
        left = answers.get(statement_of(request).split()[0])
        return left.pop(0) if left else OK

    stage, transport = await opened(tmp_path, answer)
    await stage.record(sample_record())
    await stage.flush()
    first = len(transport.requests)
    assert statement_of(transport.requests[0]) == "CREATE DATABASE IF NOT EXISTS llmgate"
    await stage.record(sample_record())
    with pytest.raises(DeliveryError, match=r"ClickHouse answers 500: code 60 UNKNOWN_TABLE$"):
        await stage.flush()
    await stage.flush()
    made = [statement_of(request) for request in transport.requests[first:]]
    assert made.count("CREATE DATABASE IF NOT EXISTS llmgate") == 1


@pytest.mark.parametrize(("code", "name"), [(27, "CANNOT_PARSE_INPUT_ASSERTION_FAILED"), (53, "TYPE_MISMATCH")])
async def test_only_what_speaks_of_a_value_costs_a_record(tmp_path: Path, code: int, name: str) -> None:
    stage, _ = await opened(tmp_path, lambda _: refused(code, name), create=False)
    await stage.record(sample_record())
    await stage.flush()
    assert stage.refused == 1


@pytest.mark.parametrize(("code", "name"), [(62, "SYNTAX_ERROR"), (115, "UNKNOWN_SETTING"), (252, "TOO_MANY_PARTS")])
async def test_all_else_is_sent_again(tmp_path: Path, code: int, name: str) -> None:
    stage, _ = await opened(tmp_path, lambda _: refused(code, name), create=False)
    await stage.record(sample_record())
    with pytest.raises(DeliveryError, match=f"code {code} {name}$") as caught:
        await stage.flush()
    assert "canary" not in str(caught.value)
    assert stage.refused == 0


async def test_a_success_with_an_exception_is_none(tmp_path: Path) -> None:
    stage, _ = await opened(
        tmp_path, lambda _: attrs.evolve(refused(241, "MEMORY_LIMIT_EXCEEDED"), status=200), create=False
    )
    await stage.record(sample_record())
    with pytest.raises(DeliveryError, match="code 241 MEMORY_LIMIT_EXCEEDED"):
        await stage.flush()


async def test_a_password_that_is_gone_loses_no_record(tmp_path: Path) -> None:
    stage, transport = await opened(tmp_path, lambda _: OK, password=SecretRef("env", "GONE"))
    await stage.record(sample_record())
    with pytest.raises(DeliveryError, match="env:GONE"):
        await stage.flush()
    assert transport.requests == []


async def test_half_a_pair_is_no_character(tmp_path: Path) -> None:
    stage, transport = await opened(tmp_path, lambda _: OK, create=False)
    await stage.record(sample_record(user="a\ud83d!\U0001f511", metadata={"\udc80": "\ud800"}))
    await stage.flush()
    (row,) = rows_of(transport.requests[-1])
    assert row["user"] == "a\ufffd!\U0001f511"
    assert row["metadata"] == {"\ufffd": "\ufffd"}


def test_every_field_of_a_record_has_a_column() -> None:
    """A field that a record gets is in ClickHouse too, or is left out on purpose."""

    def names(cls: Any) -> set[str]:
        return {one.name for one in attrs.fields(cls) if one.init}

    usage = names(Usage) - {"cost_nano", "search_units", "cache_read_audio", "cache_read_image"}
    assert (names(Record) - {"usage", "attempts", "trace", "content"}) | usage <= EXCHANGES.keys()
    assert (names(AttemptRecord) - {"usage", "span_id"}) | usage <= ATTEMPTS.keys()
    assert {f"{side}_{name}" for side in names(RecordContent) for name in names(Content)} <= CONTENT.keys()


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"database": "a; DROP"}, "database: write letters"),
        ({"database": ""}, "database"),
        ({"url": "http://clickhouse.test"}, "without TLS"),
        ({"keep": 60.0}, "keep: write a day at least"),
        ({"keep_content": 86_400.0 * 90_000}, "keep-content: write a day at least, 18250d at most"),
    ],
)
def test_wrong_keys_are_named(fields: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        ClickHouseConfig(**{"url": "https://clickhouse.test", **fields})
