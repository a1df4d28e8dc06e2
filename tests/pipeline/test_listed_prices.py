"""Prices that providers publish become dated rows, with an event for each change, and are kept."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from llmgate.pipeline.listed_prices import read_rows, write_rows
from llmgate.pipeline.listing import load_lists, save_lists
from llmgate.spec import ConfigError, PriceRow, Rates, Usage
from llmgate.testing.transport import json_answer
from scripted import MESSAGES, OpenBench, bench, completion

__all__ = ["bench"]

ALPHA: dict[str, Any] = {"providers": {"alpha": {"base-url": "https://alpha.test/v1"}}, "routers": {}}
USAGE = Usage(input_tokens=1000, output_tokens=100)


def listing(prompt: str, name: str = "m") -> Any:
    return json_answer({"data": [{"id": name, "pricing": {"prompt": prompt, "completion": "0.00001"}}]})


async def test_a_price_that_changes_holds_from_then_on_and_no_earlier(
    bench: OpenBench, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "llmgate.prices")
    answers = (completion(), listing("0.000001"), completion(), listing("0.000001"), listing("0.000002"), completion())
    async with bench(*answers, **ALPHA) as b:
        ask = {"model": "alpha/m", "messages": MESSAGES}
        unknown = await b.pipeline.complete(**ask)
        before = b.clock.now()
        await b.pipeline.sync_models()
        known = await b.pipeline.complete(**ask)
        await b.pipeline.sync_models()
        b.clock.advance(3600)
        await b.pipeline.sync_models()
        dearer = await b.pipeline.complete(**ask)
        changes = b.pipeline.price_changes
        prices = b.pipeline.snapshot.providers["alpha"].prices
        assert prices is not None
        price = prices.price_of("m")
        assert price is not None
        assert price.cost(USAGE, before - 1) == 2_000_000, "nobody knew any price before"
        assert price.cost(USAGE, before + 10) == 2_000_000
        assert price.cost(USAGE, before + 3600) == 3_000_000
        records = await b.records()
    assert unknown.exchange.cost_nano is None
    assert (known.exchange.cost_nano, dearer.exchange.cost_nano) == (3 * 1000 + 2 * 10_000, 3 * 2000 + 2 * 10_000)
    assert records[0].metadata["llmgate.mapping"] == "pending"
    assert "llmgate.mapping" not in records[1].metadata
    assert [one.differences() for one in changes] == [
        {"input": (None, 10**6), "output": (None, 10**7)},
        {"input": (10**6, 2 * 10**6)},
    ]
    assert "price of alpha/m: input 1 -> 2 USD for a million" in caplog.text


async def test_what_the_list_does_not_name_keeps_its_price_and_the_operators_wins(bench: OpenBench) -> None:
    own = {"prices": {"models": {"alpha/own": {"input": 1, "output": 1}}}}
    both = json_answer(
        {
            "data": [
                {"id": name, "pricing": {"prompt": "0.00001", "completion": "0.00001"}} for name in ("own", "gpt-4o")
            ]
        }
    )
    providers = {"alpha": {"base-url": "https://api.openai.com/v1"}}
    async with bench(both, **{**ALPHA, "providers": providers, **own}) as b:
        await b.pipeline.sync_models()
        prices = b.pipeline.snapshot.providers["alpha"].prices
        assert prices is not None
        assert prices.price_of("own").rows[0].rates.input == 10**6  # type: ignore[union-attr]
        changed = prices.price_of("gpt-4o")
        assert changed is not None
        row = changed.row(b.clock.now())
        assert row is not None
        assert (row.rates.input, row.rates.output) == (10**7, 10**7)
        assert row.rates.cache_read is not None, "the list says nothing of the cache"


async def test_they_outlive_a_restart(bench: OpenBench, tmp_path: Path) -> None:
    path = tmp_path / "lists.json"
    kept = {**ALPHA, "model-lists": {"file": str(path)}}
    async with bench(listing("0.000001"), **kept) as b:
        lists, _ = await b.pipeline.sync_models()
        save_lists(path, lists)
    assert load_lists(path) == lists
    async with bench(completion(), listing("0.000001"), **kept) as b:
        answer = await b.pipeline.complete(model="alpha/m", messages=MESSAGES)
        assert answer.exchange.cost_nano == 3 * 1000 + 2 * 10_000
        await b.pipeline.sync_models()
        assert b.pipeline.price_changes == ()
    value = json.loads(path.read_text())
    value["providers"]["alpha"]["prices"]["m"][0]["rates"]["input"] = -1
    path.write_text(json.dumps(value))
    with pytest.raises(ConfigError, match="whole number of pico-USD"):
        load_lists(path)


def test_rows_come_back_as_they_were() -> None:
    rows = {"m": (PriceRow(Rates(input=1, output=2), since=5.0), PriceRow(Rates(input=2), since=9.5))}
    assert read_rows(json.loads(json.dumps(write_rows(rows)))) == rows


async def test_the_history_of_a_price_is_bounded(bench: OpenBench) -> None:
    answers = [listing(f"0.0000{number:04d}") for number in range(1, 71)]
    async with bench(*answers, **ALPHA) as b:
        for _ in answers:
            await b.pipeline.sync_models()
            b.clock.advance(1)
        assert len(b.pipeline.model_lists["alpha"].prices["m"]) == 50
        assert len(b.pipeline.price_changes) == 70
