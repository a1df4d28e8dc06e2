"""The price catalogue: whose prices apply, which model is meant, and the same sums as an independent calculator."""

from __future__ import annotations

import datetime as dt
import random
import subprocess
import sys
from decimal import ROUND_HALF_EVEN, Decimal

import pytest
from genai_prices import Usage as TheirUsage
from genai_prices.data import providers as their_providers
from genai_prices.types import ModelInfo, ModelPrice, Provider as TheirProvider, TieredPrices

from llmgate.catalogue import provider_rows
from llmgate.catalogue.price_files import PricedModel, PriceFile
from llmgate.catalogue.prices import VendorPrices, built_in_prices, prices_date, vendor_at, vendors_with_prices
from llmgate.spec import Price, PriceRow, Rates, Usage

NAMES = {
    "google": "gemini",
    "x-ai": "xai",
    "aws": "bedrock",
    "cloudflare": "cloudflare-workers-ai",
    "huggingface_nebius": "nebius",
    "huggingface_sambanova": "sambanova",
    "huggingface_hyperbolic": "hyperbolic",
}
COUNTED = {"input_mtok", "output_mtok", "cache_read_mtok", "cache_write_mtok", "cache_write_1h_mtok",
           "output_reasoning_mtok", "requests_kcount", "web_searches_kcount"}  # fmt: skip
NOW = dt.datetime(2026, 11, 21, 12, 34, 56, tzinfo=dt.UTC)


def priced(model: ModelInfo, at: dt.datetime) -> bool:
    """Whether a model is billed by what both of us count in every answer."""
    names = {name for name, value in vars(model.get_prices(at)).items() if value is not None}
    return {"input_mtok", "output_mtok"} <= names <= COUNTED


def whole(price: ModelPrice) -> bool:
    """Whether every rate is a whole number of pico-USD; OpenRouter's source has some thirds."""
    values = [value for value in vars(price).values() if value is not None]
    numbers = [one for value in values for one in ([value.base, *(tier.price for tier in value.tiers)]
               if isinstance(value, TieredPrices) else [value])]  # fmt: skip
    return all(number * 10**6 % 1 == 0 for number in numbers)


def sampled() -> list[tuple[TheirProvider, ModelInfo]]:
    everything = [(one, model) for one in their_providers for model in one.models if priced(model, NOW)]
    everything = [pair for pair in everything if pair[0].id != "openai-decisions"]
    chosen = random.Random(20261121).sample(everything, 200)
    tiered = [pair for pair in everything if pair[1].price_variants or isinstance(pair[1].prices, list)]
    return chosen + [pair for pair in tiered if pair not in chosen]


SAMPLE = sampled()


def ours(provider: TheirProvider, model: str) -> Price | None:
    name = NAMES.get(provider.id, provider.id)
    return VendorPrices(name, name).price_of(model)


def name_of(model: ModelInfo, provider: TheirProvider) -> str | None:
    """A name that leads to this model and to no other; None where another comes first."""
    for name in (model.id, *_words(model.match)):
        if provider.find_model(name) is model:
            return name
    return None


def _words(clause: object) -> list[str]:
    inner = getattr(clause, "or_", None) or getattr(clause, "and_", None)
    if inner:
        return [word for one in inner for word in _words(one)]
    return [value for value in vars(clause).values() if isinstance(value, str)]


def usages(chance: random.Random) -> list[tuple[Usage, TheirUsage]]:
    """A small answer and a large one, as both of us write them."""
    pairs = []
    for most in (2_000, 900_000):
        given, made = chance.randrange(1, most), chance.randrange(most)
        read = chance.randrange(given)
        short = chance.randrange(given - read)
        long = chance.randrange(given - read - short)
        thought = chance.randrange(made + 1)
        pairs.append(
            (
                Usage(given, made, read, short, long, thought),
                TheirUsage(
                    input_tokens=given,
                    output_tokens=made,
                    cache_read_tokens=read,
                    cache_write_tokens=short + long,
                    cache_write_5m_tokens=short,
                    cache_write_1h_tokens=long,
                    output_reasoning_tokens=thought,
                ),
            )
        )
    return pairs


@pytest.mark.parametrize(
    "at",
    [NOW, NOW.replace(hour=2), NOW.replace(hour=23, minute=45), NOW.replace(month=9, day=20), NOW.replace(year=2025)],
    ids=lambda at: at.strftime("%Y-%m-%dT%H:%M"),
)
@pytest.mark.parametrize("tier", [None, "batch", "flex", "priority", "fast", "default"])
def test_costs_are_those_of_an_independent_calculator(at: dt.datetime, tier: str | None) -> None:
    """On 200 models and on every one whose price depends on more than tokens."""
    chance = random.Random(f"{at}{tier}")
    compared = 0
    for provider, model in SAMPLE:
        contexts = [
            dict(one.when)
            for one in model.price_variants or ()
            if tier in one.when.values() and not one.when.keys() & {"search_type", "route"}
        ]
        if (tier is not None and not contexts) or not priced(model, at):
            continue
        context = contexts[0] if contexts else None
        variants = [one for one in model.price_variants or () if context and one.when == context]
        if context and not any(one.constraint is None or one.constraint.active(at) for one in variants):
            continue
        name = name_of(model, provider)
        if name is None:
            continue
        price = ours(provider, name)
        assert price is not None, (provider.id, name)
        for mine, theirs in usages(chance):
            total = model.calc_price(theirs, provider, genai_request_timestamp=at, price_context=context).total_price
            nano = int((total * 10**9).quantize(Decimal(1), rounding=ROUND_HALF_EVEN))
            cost = price.cost(mine, at.timestamp(), tier)
            assert cost is not None, (provider.id, name, mine)
            slack = 0 if whole(model.get_prices(at, context)) else mine.input_tokens // 2000 + 1  # type: ignore[operator]
            assert abs(cost - nano) <= slack, (provider.id, name, mine)
        compared += 1
    assert compared >= (190 if tier is None else 2 if at > NOW.replace(month=10, day=20) else 0)


def test_every_name_of_every_model_leads_to_the_price_that_it_leads_to_at_the_source() -> None:
    wrong = []
    for provider in their_providers:
        if provider.id == "openai-decisions":
            continue
        for name in {word for model in provider.models for word in (model.id, *_words(model.match))}:
            theirs = provider.find_model(name)
            price = ours(provider, name)
            if theirs is not None and priced(theirs, NOW):
                cost = theirs.calc_price(TheirUsage(input_tokens=10**6, output_tokens=10**6), provider,
                                         genai_request_timestamp=NOW).total_price  # fmt: skip
                expected = int((cost * 10**9).quantize(Decimal(1), rounding=ROUND_HALF_EVEN))
                found = price and price.cost(Usage(10**6, 10**6), NOW.timestamp())
                if found != expected:
                    wrong.append((provider.id, name, found, expected))
    assert wrong == []


@pytest.mark.parametrize(
    ("model", "usage", "nano"),
    [
        ("openai/gpt-4o-mini", Usage(1_000_000, 1_000_000), 750_000_000),
        ("anthropic/claude-sonnet-4-5", Usage(200_000, 1_000), 615_000_000),
        ("anthropic/claude-sonnet-4-5", Usage(200_001, 1_000), 1_222_506_000),
        ("openai/whisper-1", Usage(audio_seconds=60.0), 6_000_000),
        ("groq/whisper-large-v3-turbo", Usage(audio_seconds=1.0), 111_111),  # ten seconds at least
        ("openai/text-embedding-3-small", Usage(input_tokens=1_000_000), 20_000_000),
        ("perplexity/sonar", Usage(1_000, 1_000), 14_000_000),  # and so much for the request
    ],
)
def test_prices_that_the_vendors_print(model: str, usage: Usage, nano: int) -> None:
    vendor, _, name = model.partition("/")
    price = VendorPrices(vendor, vendor).price_of(name)
    assert price is not None
    assert price.cost(usage, NOW.timestamp()) == nano


@pytest.mark.parametrize(
    ("row", "base_url", "vendor"),
    [
        ("openai", "http://127.0.0.1:9/v1", "openai"),
        ("vertex", "https://europe-west1-aiplatform.googleapis.com/v1", "vertex"),
        (None, "https://api.moonshot.ai/v1", "moonshotai"),
        (None, "https://api.groq.com/openai/v1", "groq"),
        (None, "https://acme.openai.azure.com/openai/v1", "azure"),
        (None, "http://127.0.0.1:9/v1", None),
        (None, "https://api.openai.com.evil.example/v1", None),
        (None, None, None),
        ("vllm", "http://127.0.0.1:9/v1", None),
    ],
)
def test_whose_prices_apply(row: str | None, base_url: str | None, vendor: str | None) -> None:
    assert vendor_at(row, base_url) == vendor


@pytest.mark.parametrize(
    ("vendor", "model"),
    [
        ("vertex", "gemini-2.5-flash"),
        ("vertex", "claude-sonnet-4-5@20250929"),
        ("azure", "gpt-4.1"),
        ("bedrock", "us.anthropic.claude-sonnet-4-5-20250929-v1:0"),
        ("openrouter", "openai/gpt-4o-mini"),
        ("openai", "GPT-4o-Mini"),
        ("openai", "gpt-5-mini-20250807"),
    ],
)
def test_models_are_found_under_the_names_they_have_there(vendor: str, model: str) -> None:
    assert VendorPrices(vendor, vendor).price_of(model) is not None


@pytest.mark.parametrize(("row", "model"), [("openai", "gpt-99"), ("openai", ""), ("echo", "echo"), (None, "gpt-4o")])
def test_an_unknown_price_is_unknown(row: str | None, model: str) -> None:
    assert VendorPrices("mine", row).price_of(model) is None


def test_every_vendor_that_promises_costs_has_prices_but_two_whose_prices_nobody_lists() -> None:
    promised = {row.name for row in provider_rows().values() if row.cost}
    assert {name for name in promised if vendor_at(name, None) is None} == {"anyscale", "lemonfox"}


def test_every_price_can_be_read_and_says_where_it_is_from() -> None:
    count = 0
    for vendor in vendors_with_prices():
        for model in built_in_prices(vendor).vendors[vendor]:
            price = model.price(built_in_prices(vendor).source)
            assert price.rows[0].since is None, model
            assert price.source.startswith("genai-prices ")
            count += 1
    assert count > 2000
    assert prices_date() >= dt.date(2026, 11, 21)


OWN = Price((PriceRow(Rates(input=1, output=1)),), "the configuration")


def test_the_operators_price_wins_an_exact_name_before_a_pattern() -> None:
    other = Price((PriceRow(Rates(input=2)),), "the configuration")
    prices = VendorPrices("openai", "openai", own={"openai/gpt-*": other, "openai/gpt-4o": OWN})
    assert prices.price_of("gpt-4o") is OWN
    assert prices.price_of("gpt-9") is other
    assert prices.price_of("o3") not in {None, other, OWN}


def test_imported_prices_win_over_the_catalogues_by_the_providers_name_or_the_vendors() -> None:
    def line(rate: int) -> PricedModel:
        return PricedModel("gpt-4o", {"is": ["gpt-4o"]}, [{"rates": {"input": rate}}])

    file = PriceFile("elsewhere", "2026-01-01", {"openai": (line(5),), "mine": (line(6),)})
    found = VendorPrices("mine", "openai", imported=file).price_of("gpt-4o")
    assert found is not None
    assert (found.rows[0].rates.input, found.source) == (6, "elsewhere")
    other = VendorPrices("theirs", "openai", imported=file).price_of("gpt-4o")
    assert other is not None
    assert other.rows[0].rates.input == 5


def test_what_is_remembered_is_bounded_and_given_again() -> None:
    prices = VendorPrices("openai", "openai")
    assert prices.price_of("gpt-4o") is prices.price_of("gpt-4o")
    for number in range(5000):
        prices.price_of(f"made-up-{number}")
    assert len(prices._known) <= 2048


def test_two_lists_that_say_the_same_are_equal_whatever_has_been_asked() -> None:
    one, other = (VendorPrices("openai", "openai", own={"a": OWN}) for _ in range(2))
    one.price_of("gpt-4o")
    assert one == other
    assert one != VendorPrices("openai", "openai")


def test_nothing_is_read_until_a_price_is_asked_for() -> None:
    program = (
        "import sys, llmgate, llmgate.catalogue, llmgate.catalogue.prices as prices\n"
        "prices.VendorPrices('openai', 'openai')\n"
        "print([name for name in ('fractions', 'decimal', 'statistics') if name in sys.modules])\n"
        "print(prices.built_in_prices.cache_info().misses, prices._index.cache_info().misses)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=150)
    assert done.stdout.split("\n")[:2] == ["[]", "0 0"]
