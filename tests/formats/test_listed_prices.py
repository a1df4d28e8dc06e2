"""What providers say in the lists of their models that these cost."""

from __future__ import annotations

from typing import Any

import pytest

from llmgate.codecs.jsons import dumps
from llmgate.formats.listed_prices import listed_rates
from llmgate.formats.model_lists import read_model_page
from llmgate.spec import Rates

OPENROUTER = {"prompt": "0.0000025", "completion": "0.00001", "request": "0", "image": "0.003613", "web_search": "0.01"}


@pytest.mark.parametrize(
    ("entry", "rates"),
    [
        (
            {"id": "openai/gpt-4o", "pricing": {**OPENROUTER, "input_cache_read": "0.00000125"}},
            Rates(input=2_500_000, output=10_000_000, cache_read=1_250_000, web_search=10**10),
        ),
        ({"id": "x:free", "pricing": {"prompt": "0", "completion": "0"}}, Rates(input=0, output=0)),
        (
            {"id": "t", "pricing": {"hourly": 0, "input": 0.88, "output": 0.88, "base": 0, "finetune": 0}},
            Rates(input=880_000, output=880_000),
        ),
        (
            {
                "id": "d",
                "metadata": {"pricing": {"input_tokens": 0.04, "output_tokens": 0.1, "cache_read_tokens": 0.02}},
            },
            Rates(input=40_000, output=100_000, cache_read=20_000),
        ),
    ],
)
def test_each_vendor_in_its_own_units(entry: dict[str, Any], rates: Rates) -> None:
    assert listed_rates(entry) == rates
    (model,) = read_model_page(dumps({"data": [entry]})).models
    assert model.rates == rates


@pytest.mark.parametrize(
    "entry",
    [
        {},
        {"pricing": None},
        {"pricing": "cheap"},
        {"pricing": {"prompt": "-1", "completion": "-1"}},
        {"pricing": {"prompt": "0", "completion": "0"}},
        {"pricing": {"prompt": "nan", "completion": "1"}},
        {"pricing": {"prompt": "1e400", "completion": "1"}},
        {"pricing": {"prompt": True, "completion": "1"}},
        {"pricing": {"prompt": "5000", "completion": "1"}},
        {"pricing": {"prompt": "x", "completion": "1"}},
        {"pricing": {"input": 1, "output": 2}},
        {"pricing": {"hourly": 3, "input": 0, "output": 0}},
        {"metadata": {"pricing": {"input_tokens": -1}}},
        {"metadata": []},
    ],
)
def test_what_says_no_price_says_none(entry: dict[str, Any]) -> None:
    assert listed_rates(entry) is None
