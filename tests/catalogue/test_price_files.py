"""Files of prices: read as they were written, and refused with a reason when they are something else."""

from __future__ import annotations

import json

import pytest

from llmgate.catalogue.price_files import read_prices, write_prices

MODEL = {
    "id": "m",
    "names": {"is": ["m"], "begins": ["m-"], "holds": ["+m+"], "ends": ["/m"], "pattern": ["^x\\d$"]},
    "rows": [
        {"rates": {"input": 1, "output": 2}},
        {"since": "2026-01-02", "tier": "flex", "rates": {"input": 3}, "longer": [[10, {"input": 4}]]},
        {"daily": ["16:30", "00:30"], "rates": {"input": 5}},
    ],
}


def text(model: object = MODEL, **changes: object) -> str:
    return json.dumps({"source": "here", "date": "2026-01-01", "vendors": {"v": [model]}} | changes)


def test_what_is_written_is_read_again() -> None:
    prices = read_prices(text(), "f.json")
    assert read_prices(write_prices(prices), "f.json") == prices
    assert (prices.source, prices.date) == ("here", "2026-01-01")


@pytest.mark.parametrize("name", ["m", "m-2", "a+m+b", "a/m", "x1"])
def test_a_model_is_recognised(name: str) -> None:
    (model,) = read_prices(text(), "f.json").vendors["v"]
    assert model.is_called(name)


@pytest.mark.parametrize("name", ["mm", "am", "x12", "", "m/"])
def test_another_model_is_not(name: str) -> None:
    (model,) = read_prices(text(), "f.json").vendors["v"]
    assert not model.is_called(name)


def test_a_price_has_its_rows_and_its_source() -> None:
    (model,) = read_prices(text(), "f.json").vendors["v"]
    price = model.price("here")
    first, second, third = price.rows
    assert price.source == "here"
    assert (first.rates.input, first.rates.output, first.since, first.daily, first.tier) == (1, 2, None, None, "")
    assert (second.since, second.tier, second.rates_for(11).input) == (1_767_312_000.0, "flex", 4)
    assert third.daily == (59_400, 1_800)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("{", "f.json is not JSON"),
        ("[]", "f.json is no file of prices"),
        (text(date="soon"), "f.json is no file of prices"),
        (text({"id": "m", "names": {"is": ["m"]}}), "rows"),
        (text({"id": "m", "names": {}, "rows": [{}]}), "no names"),
        (text({"id": "m", "names": {"like": ["m"]}, "rows": [{}]}), "no names"),
        (text({"id": "m", "names": {"is": ["m"]}, "rows": []}), "no price"),
    ],
)
def test_what_is_no_file_of_prices_is_refused(content: str, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        read_prices(content, "f.json")


@pytest.mark.parametrize("rates", [{"input": -1}, {"input": 1.5}, {"input": True}, {"input": 10**19}, {"inputs": 1}])
def test_a_rate_that_is_none_is_refused_when_the_file_is_read(rates: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="rate"):
        read_prices(text({"id": "m", "names": {"is": ["m"]}, "rows": [{"rates": rates}]}), "f.json")
