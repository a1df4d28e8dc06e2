"""The look for missing prices: once a day, where somebody keeps records so that costs can be filled in."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import attrs
import pytest

from llmgate import Pipeline
from llmgate.pipeline.mapping import fill_costs
from llmgate.spec import Logger, NoConfig, Record, RecordPage, RecordReader, UsageReport, hookimpl
from llmgate.spec.errors import ProviderConnectionError
from llmgate.testing import FakeClock, ScriptedTransport, json_answer
from llmgate.testing.samples import sample_record

PENDING = {"llmgate.mapping": "pending"}
LIST = {"data": [{"id": "new/model", "pricing": {"prompt": "0.000001", "completion": "0.00001"}}]}


class Ledger(Logger[NoConfig], RecordReader):
    """Keeps records in memory."""

    name = "ledger"
    fills_costs = True
    away = False

    def __init__(self, config: NoConfig) -> None:
        super().__init__(config)
        self.kept: list[Record] = []

    async def record(self, record: Record) -> None:
        self.kept.append(record)

    async def find_records(self, query: Any) -> RecordPage:
        raise NotImplementedError

    async def read_record(self, record_id: str) -> None:
        raise NotImplementedError

    async def usage(self, query: Any) -> UsageReport:
        raise NotImplementedError

    async def fill_costs(self, reckon: Callable[[Record], Record | None]) -> int:
        if self.away:
            raise ProviderConnectionError("the ledger is away")
        found = [reckon(one) for one in self.kept]
        self.kept = [new or one for new, one in zip(found, self.kept, strict=True)]
        return sum(one is not None for one in found)


class Bundle:
    @hookimpl
    def llmgate_register_loggers(self) -> type[Ledger]:
        return Ledger


def made(clock: FakeClock, transport: ScriptedTransport, **more: Any) -> Pipeline:
    config = {
        "providers": {"alpha": {"base-url": "https://alpha.test/v1", "secret": "env:K"}},
        "loggers": [{"use": "ledger"}],
        **more,
    }
    return Pipeline.from_config(config, environment={"K": "k"}, plugins=[Bundle()], clock=clock, transport=transport)


def waiting() -> Record:
    record = sample_record(metadata=PENDING, cost_nano=None)
    attempt = attrs.evolve(record.attempts[0], provider_name="alpha", model="new/model", cost_nano=None)
    return attrs.evolve(record, attempts=(attempt,))


def ledger_of(pipeline: Pipeline) -> Ledger:
    (found,) = [one.stage for one in pipeline.snapshot.placed if one.kind == "loggers"]
    assert isinstance(found, Ledger)
    return found


async def until(condition: Callable[[], Any]) -> None:
    async with asyncio.timeout(10):
        while not condition():
            await asyncio.sleep(0.005)


async def day(clock: FakeClock) -> None:
    for _ in range(29):  # a tenth of a day more by chance
        await clock.advance(3600)


async def test_once_a_day_prices_are_looked_for_and_costs_filled_in() -> None:
    clock, transport = FakeClock(), ScriptedTransport([json_answer(LIST), json_answer(LIST)])
    async with made(clock, transport) as pipeline:
        ledger = ledger_of(pipeline)
        ledger.kept = [waiting()]
        for _ in range(23):
            await clock.advance(3600)
        assert transport.requests == [], "the first look is after a day"
        for _ in range(6):
            await clock.advance(3600)
        assert len(transport.requests) == 1
        await until(lambda: ledger.kept[0].cost_nano is not None)
        (record,) = ledger.kept
        assert record.metadata["llmgate.mapping"] == "back-filled"
        assert record.cost_nano == 9 * 1_000 + 3 * 10_000
        await day(clock)
        await until(lambda: len(transport.requests) == 2)


async def test_never_where_it_is_turned_off_or_nobody_could_fill_in(monkeypatch: pytest.MonkeyPatch) -> None:
    clock, transport = FakeClock(), ScriptedTransport()
    async with made(clock, transport, **{"model-lists": {"map-every": 0}}):
        await day(clock)
    monkeypatch.setattr(Ledger, "fills_costs", False)
    async with made(clock, transport) as pipeline:
        await day(clock)
        assert await fill_costs(pipeline) == {}
    assert transport.requests == []


async def test_a_logger_that_is_away_is_asked_the_next_time(caplog: pytest.LogCaptureFixture) -> None:
    clock, transport = FakeClock(), ScriptedTransport([json_answer(LIST), json_answer(LIST)])
    async with made(clock, transport) as pipeline:
        ledger = ledger_of(pipeline)
        ledger.kept, ledger.away = [waiting()], True
        await day(clock)
        await until(lambda: "the ledger is away" in caplog.text)
        assert ledger.kept[0].cost_nano is None
        ledger.away = False
        await day(clock)
        await until(lambda: ledger.kept[0].cost_nano is not None)
