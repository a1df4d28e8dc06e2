"""Costs that become known later: what the server is asked, and which rows are written in the place of others."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import attrs
import pytest
from llmgate_clickhouse import filling
from llmgate_clickhouse.config import ClickHouseConfig
from llmgate_clickhouse.filling import _array
from llmgate_clickhouse.logger import ClickHouseRecords
from llmgate_clickhouse.schema import ATTEMPTS, EXCHANGES

from llmgate.spec import GatewayError, ProviderRequest, ProviderResponse, Record, Usage
from llmgate.testing import AnsweringTransport, FakeClock
from llmgate.testing.conformance import LoggerConformance

MOMENT = 1_795_305_600_250_000
PENDING = {"llmgate.mapping": "pending", "a": "b"}


def exchange(number: int) -> dict[str, Any]:
    return {"id": f"e{number}", "moment": str(MOMENT + number), "response_model": "", "metadata": PENDING}


def attempt(number: int, index: int = 0, **fields: Any) -> dict[str, Any]:
    numbers = {name: None for name, kind in ATTEMPTS.items() if name in filling._USAGE and kind != "Bool"}
    return {
        "exchange_id": f"e{number}",
        "number": index,
        "deployment": "openai/m",
        "provider_name": "openai",
        "vendor": "openai",
        "model": "m",
        "error_code": "",
        "abandoned": False,
        "cost_nano": None,
        "service_tier": "",
        **numbers,
        "estimated": False,
        "input_tokens": "10",
        "output_tokens": 5,
        **fields,
    }


class Server:
    """Answers selects with rows, and keeps every statement with its parameters."""

    def __init__(self, pages: Sequence[Sequence[Mapping[str, Any]]], tries: Sequence[Mapping[str, Any]]) -> None:
        self.pages, self.tries = list(pages), tries
        self.asked: list[tuple[str, dict[str, str]]] = []

    def __call__(self, request: ProviderRequest) -> ProviderResponse:
        query = {
            name: values[0] for name, values in parse_qs(urlsplit(request.url).query, keep_blank_values=True).items()
        }
        statement = query.pop("query")
        self.asked.append((statement, query))
        rows: Sequence[Mapping[str, Any]] = ()
        if statement.startswith("SELECT") and ".exchanges " in statement:
            rows = self.pages.pop(0) if self.pages else ()
        elif statement.startswith("SELECT"):
            rows = self.tries
        return ProviderResponse(200, {}, b"".join(json.dumps(row).encode() + b"\n" for row in rows))

    @property
    def written(self) -> list[tuple[str, dict[str, str]]]:
        return [one for one in self.asked if one[0].startswith("INSERT")]


async def opened(tmp_path: Path, server: Any) -> ClickHouseRecords:
    stage = ClickHouseRecords(ClickHouseConfig(url="https://clickhouse.test"))
    context = LoggerConformance().make_context(tmp_path, FakeClock())
    await stage.open(attrs.evolve(context, transport=AnsweringTransport(server)))
    return stage


def priced(record: Record) -> Record | None:
    """A nano-USD for each token of every attempt that tells them."""
    if any(one.usage is None for one in record.attempts):
        return None
    attempts = [attrs.evolve(one, cost_nano=one.cost_nano or one.usage.total_tokens) for one in record.attempts]  # type: ignore[union-attr]
    return attrs.evolve(record, attempts=tuple(attempts), cost_nano=sum(one.cost_nano or 0 for one in attempts))


async def test_rows_are_written_anew_with_their_costs_and_nothing_else_changed(tmp_path: Path):
    silent = dict.fromkeys(("input_tokens", "output_tokens"))
    tries = [attempt(1), attempt(1, 1, cost_nano="7"), attempt(2, **silent), attempt(3)]
    server = Server([[exchange(1), exchange(2), exchange(3)]], tries)
    stage = await opened(tmp_path, server)
    seen: list[Record] = []
    assert await stage.fill_costs(lambda one: seen.append(one) or priced(one)) == 2  # type: ignore[func-returns-value]
    assert [one.id for one in seen] == ["e1", "e2", "e3"]
    assert seen[0].started_at == pytest.approx((MOMENT + 1) / 1e6)
    assert seen[0].metadata == PENDING
    assert [one.usage for one in seen[0].attempts] == [Usage(10, 5), Usage(10, 5)]
    (tried, its), (exchanged, own) = server.written
    assert its["param_ids"] == own["param_ids"] == "['e1','e3']"
    assert (its["param_keys"], its["param_costs"]) == ("['e1 0','e1 1','e3 0']", "[15,7,15]")
    assert own["param_costs"] == "[22,15]"
    assert (own["param_since"], own["param_until"]) == (str(MOMENT + 1), str(MOMENT + 3))
    for statement, columns in ((tried, ATTEMPTS), (exchanged, EXCHANGES)):
        written, _, selected = statement.partition(" SELECT ")
        names = [f"`{name}`" for name in columns if name != "stored_at"]
        assert written.endswith(f"({', '.join(names)})")
        assert [name for name in names if name not in selected] == [
            name for name in names if name in ("`cost_nano`", "`metadata`")
        ]
        assert " FINAL WHERE started_at >= " in selected
    assert "isNull(cost_nano) AND metadata['llmgate.mapping'] = 'pending'" in exchanged


async def test_pages_follow_each_other_until_there_are_no_more(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(filling, "PAGE", 2)
    server = Server([[exchange(1), exchange(2)], [exchange(3), exchange(4)], []], [attempt(one) for one in range(5)])
    stage = await opened(tmp_path, server)
    assert await stage.fill_costs(priced) == 4
    asked = [query for statement, query in server.asked if statement.startswith("SELECT id")]
    assert [(one["param_since"], one["param_last"]) for one in asked] == [
        ("0", ""),
        (str(MOMENT + 2), "e2"),
        (str(MOMENT + 4), "e4"),
    ]


async def test_where_no_price_is_known_nothing_is_written(tmp_path: Path):
    server = Server([[exchange(1)]], [attempt(1)])
    assert await (await opened(tmp_path, server)).fill_costs(lambda _: None) == 0
    assert server.written == []


async def test_a_server_that_is_away_is_told_of(tmp_path: Path):
    stage = await opened(tmp_path, lambda _: ProviderResponse(503, {}, b""))
    with pytest.raises(GatewayError, match="ClickHouse answers 503"):
        await stage.fill_costs(priced)


def test_a_list_is_written_so_that_no_text_ends_it():
    assert _array(["a", "it's", "\\"]) == "['a','it\\'s','\\\\']"
    assert _array([1, -2]) == "[1,-2]"
