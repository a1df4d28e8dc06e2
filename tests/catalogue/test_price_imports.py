"""Prices that others collect: every rate exactly, what has no counterpart left out, and what is no list refused."""

from __future__ import annotations

import json
from typing import Any

import pytest

from llmgate.catalogue.price_files import PricedModel, PriceFile, read_prices, write_prices
from llmgate.catalogue.price_imports import import_prices
from llmgate.spec import Price, Rates, Usage

LITELLM = """{
 "sample_spec": {"litellm_provider": "one of …", "input_cost_per_token": 0.0, "mode": "one of …"},
 "gpt-x": {"litellm_provider": "openai", "mode": "chat", "input_cost_per_token": 2.5e-06,
   "output_cost_per_token": 1e-05, "cache_read_input_token_cost": 2.8e-09, "max_tokens": 5,
   "output_cost_per_reasoning_token": 2e-05,
   "input_cost_per_token_batches": 1.25e-06, "output_cost_per_token_priority": 3e-05,
   "search_context_cost_per_query": {"search_context_size_low": 0.01, "search_context_size_medium": 0.025},
   "input_cost_per_audio_token": 4e-05, "output_cost_per_audio_token": 8e-05, "supports_vision": true},
 "together_ai/meta/llama": {"litellm_provider": "together_ai", "mode": "chat", "input_cost_per_token": 1e-07,
   "output_cost_per_token": 1e-07},
 "claude-x": {"litellm_provider": "anthropic", "mode": "chat", "input_cost_per_token": 3e-06,
   "output_cost_per_token": 1.5e-05, "cache_creation_input_token_cost": 3.75e-06,
   "cache_creation_input_token_cost_above_1hr": 6e-06, "input_cost_per_token_above_200k_tokens": 6e-06,
   "output_cost_per_token_above_200k_tokens": 2.25e-05},
 "vertex_ai/gemini-x": {"litellm_provider": "vertex_ai-language-models", "mode": "chat", "input_cost_per_token": 1e-06,
   "output_cost_per_token": 2e-06},
 "whisper-x": {"litellm_provider": "openai", "mode": "audio_transcription", "input_cost_per_second": 0.0001,
   "output_cost_per_second": 0.0001},
 "openai/picture-x": {"litellm_provider": "openai", "mode": "image_generation", "output_cost_per_image": 0.04},
 "rank-x": {"litellm_provider": "cohere", "mode": "rerank", "input_cost_per_query": 0.002, "input_cost_per_token": 0.0,
   "output_cost_per_token": 0.0},
 "embed-x": {"litellm_provider": "openai", "mode": "embedding", "input_cost_per_token": 2e-08,
   "output_cost_per_token": 0.0},
 "free-x": {"litellm_provider": "groq", "mode": "chat", "input_cost_per_token": 0, "output_cost_per_token": 0},
 "pages-x": {"litellm_provider": "mistral", "mode": "ocr", "ocr_cost_per_page": 0.001},
 "wrong-x": {"litellm_provider": "xai", "input_cost_per_token": "cheap", "output_cost_per_token": -1}
}"""
MODELS_DEV = """{
 "google": {"id": "google", "env": ["GEMINI_API_KEY"], "models": {
   "gemini-x": {"id": "gemini-x", "cost": {"input": 1.25, "output": 10, "cache_read": 0.31, "input_audio": 1,
     "context_over_200k": {"input": 2.5, "output": 15}}, "limit": {"context": 1048576}},
   "gemini-free": {"cost": {"input": 0, "output": 0}}, "gemini-silent": {"limit": {}}}},
 "fireworks-ai": {"models": {"accounts/x": {"cost": {"input": 0.9, "output": 0.9, "reasoning": 1.5,
   "tiers": [{"input": 1.8, "output": 2, "tier": {"type": "context", "size": 272000}}],
   "context_over_200k": {"input": 9, "output": 9}}}}}
}"""


def imported(text: str, given: str | None = None) -> PriceFile:
    return import_prices(text, "list.json", format=given, date="2026-11-21")


def price(prices: PriceFile, vendor: str, model: str) -> Price:
    (found,) = (one for one in prices.vendors[vendor] if one.id == model)
    return found.price(prices.source)


def test_litellms_list_is_read() -> None:
    prices = imported(LITELLM)
    assert prices.source == "litellm (list.json)"
    found = {f"{vendor}/{one.id}" for vendor, models in prices.vendors.items() for one in models}
    assert found == {
        "openai/gpt-x",
        "together/meta/llama",
        "anthropic/claude-x",
        "vertex/gemini-x",
        "openai/whisper-x",
        "openai/picture-x",
        "cohere/rank-x",
        "openai/embed-x",
    }


def test_litellms_rates_are_exact() -> None:
    usual, batch, priority = price(imported(LITELLM), "openai", "gpt-x").rows
    assert usual.rates == Rates(
        input=2_500_000, output=10_000_000, cache_read=2800, reasoning=20_000_000, audio_input=40_000_000,
        audio_output=80_000_000, web_search=25 * 10**9,
    )  # fmt: skip
    assert (batch.tier, batch.rates.input, batch.rates.output) == ("batch", 1_250_000, 10_000_000)
    assert (priority.tier, priority.rates.input, priority.rates.output) == ("priority", 2_500_000, 30_000_000)


def test_litellms_long_input_and_long_caches_have_their_rates() -> None:
    (row,) = price(imported(LITELLM), "anthropic", "claude-x").rows
    assert (row.rates.cache_write, row.rates.cache_write_1h) == (3_750_000, 6_000_000)
    ((above, longer),) = row.longer
    assert (above, longer.input, longer.output, longer.cache_write) == (200_000, 6_000_000, 22_500_000, 3_750_000)


@pytest.mark.parametrize(
    ("vendor", "model", "usage", "nano"),
    [
        ("openai", "whisper-x", Usage(audio_seconds=60.0), 6_000_000),
        ("openai", "picture-x", Usage(images=2), 80_000_000),
        ("cohere", "rank-x", Usage(search_units=3), 6_000_000),
        ("openai", "embed-x", Usage(input_tokens=100), 2_000),
    ],
)
def test_what_is_not_billed_by_the_token_costs_what_it_says(vendor: str, model: str, usage: Usage, nano: int) -> None:
    assert price(imported(LITELLM), vendor, model).cost(usage, 1.8e9) == nano


def test_models_devs_list_is_read() -> None:
    prices = imported(MODELS_DEV)
    assert {vendor: [one.id for one in models] for vendor, models in prices.vendors.items()} == {
        "gemini": ["gemini-x"],
        "fireworks": ["accounts/x"],
    }
    (row,) = price(prices, "gemini", "gemini-x").rows
    assert row.rates == Rates(input=1_250_000, output=10_000_000, cache_read=310_000, audio_input=1_000_000)
    ((above, longer),) = row.longer
    assert (above, longer.input, longer.cache_read) == (200_000, 2_500_000, 310_000)


def test_models_devs_tiers_win_over_the_older_way_to_say_them() -> None:
    (row,) = price(imported(MODELS_DEV), "fireworks", "accounts/x").rows
    assert [(above, rates.input, rates.reasoning) for above, rates in row.longer] == [(272_000, 1_800_000, 1_500_000)]


@pytest.mark.parametrize("text", [LITELLM, MODELS_DEV])
def test_what_is_imported_can_be_kept_and_imported_again(text: str) -> None:
    prices = imported(text)
    assert imported(write_prices(prices)) == prices == read_prices(write_prices(prices), "x")


@pytest.mark.parametrize(
    ("text", "given", "said"),
    [
        ("{", None, "list.json is not JSON"),
        ("[]", None, "holds no prices in a format that is known: litellm, models.dev, llmgate"),
        ("{}", None, "holds no prices in a format that is known"),
        ("[]", "litellm", "holds no prices"),
        (MODELS_DEV, "litellm", "holds no prices in the format litellm"),
        (LITELLM, "models.dev", "holds no prices in the format models.dev"),
        (LITELLM, "llmgate", "list.json is no file of prices"),
    ],
)
def test_what_is_no_list_of_prices_is_refused(text: str, given: str | None, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        imported(text, given)


@pytest.mark.parametrize(
    "value", [None, [], 5, "x", {"models": 5}, {"models": {"m": 5}}, {"models": {"m": {"cost": 1}}}]
)
def test_entries_of_any_shape_are_passed_over(value: Any) -> None:
    data = {**json.loads(MODELS_DEV), "odd": value}
    assert set(imported(json.dumps(data), "models.dev").vendors) == {"gemini", "fireworks"}


def test_a_model_is_found_whatever_the_case_of_its_name() -> None:
    (model,) = imported(json.dumps({"v": {"models": {"Big-Model": {"cost": {"input": 1, "output": 1}}}}})).vendors["v"]
    assert isinstance(model, PricedModel)
    assert model.is_called("big-model")
