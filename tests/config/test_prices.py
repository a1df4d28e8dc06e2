"""``prices``: what is written in USD is kept as integers, exactly, and what is no price is named."""

from __future__ import annotations

from pathlib import Path

import pytest

from config.fakes import Loader
from llmgate.config.model import PricesConfig
from llmgate.spec import Rates

FILE = '{"source": "here", "date": "2026-01-01", "vendors": {"v": []}}'


def rates(loader: Loader, text: str) -> Rates:
    config = loader.text(f"prices: {{models: {{'one/m': {{{text}}}}}}}")
    return config.prices.models["one/m"].rows[0].rates


def test_without_a_word_costs_are_reckoned_at_the_catalogues_prices(loader: Loader) -> None:
    for text in ("", "prices:", "prices: {}", "prices: {models: {}}"):
        config = loader.text(text)
        assert (config.prices, config.cost_header) == (PricesConfig(enabled=True, models={}, imported=None), True)


def test_it_can_be_turned_off(loader: Loader) -> None:
    config = loader.text("prices: {enabled: false}\nresponse-headers: {cost: false}")
    assert (config.prices.enabled, config.cost_header) == (False, False)


def test_every_unit_has_a_price(loader: Loader) -> None:
    assert rates(
        loader,
        "input: 1, output: 2, cache-read: 3, cache-write: 4, cache-write-1h: 5, reasoning: 6, audio-input: 7,"
        "audio_output: 8, image-input: 9, image-output: 10, audio-hour: 11, image: 12, search-unit: 13,"
        "web-search: 14, request: 15",
    ) == Rates(
        input=1_000_000, output=2_000_000, cache_read=3_000_000, cache_write=4_000_000, cache_write_1h=5_000_000,
        reasoning=6_000_000, audio_input=7_000_000, audio_output=8_000_000, image_input=9_000_000,
        image_output=10_000_000, audio_hour=11 * 10**12, image=12 * 10**12, search_unit=13 * 10**12,
        web_search=14 * 10**12, request=15 * 10**12,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("written", "pico"),
    [("0", 0), ("0.0", 0), ("2.8e-3", 2800), ("0.000001", 1), ("3.1415926535897e0", None)],
)
def test_a_price_is_kept_exactly_or_not_at_all(loader: Loader, written: str, pico: int | None) -> None:
    if pico is None:
        (problem,) = loader.problems(f"prices: {{models: {{'one/m': {{input: {written}}}}}}}")
        assert "'input' is '3.1415926535897e0', finer than a millionth of a millionth of a USD a unit" in problem
    else:
        assert rates(loader, f"input: {written}").input == pico


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("models: {'m': {input: 1}}", "'m' is no model here: write provider/model"),
        ("models: {'one/m': }", "'one/m' has no price: write input and output"),
        ("models: {'one/m': {inputs: 1}}", "unknown key 'inputs' in 'one/m'"),
        ("models: {'one/m': {input: -1}}", "'input' must be a price from 0 to 1000000 USD, not '-1'"),
        ("models: {'one/m': {input: 1e9}}", "'input' must be a price from 0 to 1000000 USD"),
        ("models: {'one/m': {input: free}}", "'input' must be a number"),
        ("models: {'one/m': {input: .nan}}", "'input'"),
        ("models: {'one/m': {input: true}}", "'input' must be a number"),
        ("models: [a]", "'prices.models' must be a mapping of models"),
        ("enabled: maybe", "'enabled' must be true or false"),
        ("file: missing.json", "'missing.json' cannot be read: No such file or directory: write it with"),
    ],
)
def test_what_is_wrong_is_named(loader: Loader, text: str, problem: str) -> None:
    (found,) = loader.problems(f"prices: {{{text}}}")
    assert problem in found


def test_a_file_is_read_beside_the_configuration(loader: Loader, tmp_path: Path) -> None:
    tmp_path.joinpath("p.json").write_text(FILE, encoding="utf-8")
    config = loader.text("prices: {file: p.json}")
    assert config.prices.imported is not None
    assert config.prices.imported.source == "here"


def test_a_file_that_holds_something_else_is_refused(loader: Loader, tmp_path: Path) -> None:
    tmp_path.joinpath("p.json").write_text("[]", encoding="utf-8")
    (found,) = loader.problems("prices: {file: p.json}")
    assert "p.json is no file of prices" in found
