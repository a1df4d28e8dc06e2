"""Writes the price catalogue anew from the data of the genai-prices package: ``make prices``.

One file a vendor in ``src/llmgate/catalogue/data/prices``, one line a model, and an index that says which vendor an
address belongs to. Vendors are called as the provider rows call them. What the gateway cannot count (pages, pixels,
messages, characters) has no price there, and a model that is billed by nothing else is left out.
"""

from __future__ import annotations

import argparse
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, date, datetime, time
from decimal import Decimal
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

from genai_prices.data import providers
from genai_prices.types import (
    ClauseAnd,
    ClauseContains,
    ClauseEndsWith,
    ClauseEquals,
    ClauseOr,
    ClauseRegex,
    ClauseStartsWith,
    ConditionalPrice,
    ModelInfo,
    ModelPrice,
    Provider,
    StartDateConstraint,
    TieredPrices,
    TimeOfDateConstraint,
)

TARGET: Final = Path(__file__).parents[1] / "src" / "llmgate" / "catalogue" / "data" / "prices"

VENDORS: Final[Mapping[str, str]] = {
    "google": "gemini",
    "x-ai": "xai",
    "aws": "bedrock",
    "cloudflare": "cloudflare-workers-ai",
    "huggingface_nebius": "nebius",
    "huggingface_sambanova": "sambanova",
    "huggingface_hyperbolic": "hyperbolic",
}
"""Vendors by their name in the source, where a provider row has another. Hugging Face's router charges what the vendors
that it leads to charge, which is the only source for some of them."""

ALIKE: Final[Mapping[str, Sequence[str]]] = {"vertex": ("gemini", "anthropic")}
"""Vendors that the source does not have, and those whose prices are theirs."""

LEFT_OUT: Final = frozenset({"openai-decisions"})
"""Vendors of the source that stand for no provider of their own."""

MTOK: Final = 10**6
UNITS: Final[Mapping[str, tuple[str, int]]] = {
    "input_mtok": ("input", MTOK),
    "output_mtok": ("output", MTOK),
    "cache_read_mtok": ("cache_read", MTOK),
    "cache_write_mtok": ("cache_write", MTOK),
    "cache_write_1h_mtok": ("cache_write_1h", MTOK),
    "output_reasoning_mtok": ("reasoning", MTOK),
    "input_audio_mtok": ("audio_input", MTOK),
    "output_audio_mtok": ("audio_output", MTOK),
    "input_image_mtok": ("image_input", MTOK),
    "output_image_mtok": ("image_output", MTOK),
    "cache_audio_read_mtok": ("cache_read_audio", MTOK),
    "cache_image_read_mtok": ("cache_read_image", MTOK),
    "audio_hours": ("audio_hour", 1),
    "rerank_searches_kcount": ("search_unit", 1000),
    "web_searches_kcount": ("web_search", 1000),
    "requests_kcount": ("request", 1000),
}
"""The prices of the source that the gateway can apply: the field of ``Rates``, and how many units they are for."""

SAME: Final = frozenset({"input_audio_hours"})
"""Prices that say again what ``audio_hours`` says."""

AUDIO_LEAST: Final[Mapping[str, int]] = {"groq": 10}
"""How many seconds of sound a vendor bills at least."""

TIERS: Final = ("processing", "service_tier", "speed")
"""What of a request's context tells the tier of service."""

PICO: Final = 10**12


def main() -> None:
    """Write every file, and take away those of vendors that are gone."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--date", default=datetime.now(UTC).date().isoformat(), help="the day on which this is done")
    parser.add_argument("--output", type=Path, default=TARGET, help="the folder to write to")
    args = parser.parse_args()
    source = f"genai-prices {version('genai-prices')}"
    args.output.mkdir(exist_ok=True)
    for path in args.output.glob("*.json"):
        path.unlink()
    index: dict[str, Any] = {}
    for provider in providers:
        if provider.id in LEFT_OUT:
            continue
        name = VENDORS.get(provider.id, provider.id)
        index[name] = {"address": provider.api_pattern}
        if provider.fallback_model_providers:
            index[name]["alike"] = [VENDORS.get(one, one) for one in provider.fallback_model_providers]
        models = [line for model in provider.models if (line := _model(provider, model)) is not None]
        lines = ",\n  ".join(json.dumps(line, separators=(",", ":")) for line in models)
        head = f'"source": {json.dumps(source)}, "date": "{args.date}"'
        text = f'{{{head}, "vendors": {{{json.dumps(name)}: [\n  {lines}\n]}}}}\n'
        (args.output / f"{name}.json").write_text(text, encoding="utf-8")
    for name, others in ALIKE.items():
        index[name] = {"address": None, "alike": list(others)}
    lines = ",\n  ".join(f"{json.dumps(name)}: {json.dumps(entry)}" for name, entry in sorted(index.items()))
    head = f'"source": {json.dumps(source)}, "date": "{args.date}"'
    (args.output / "index.json").write_text(f'{{{head}, "vendors": {{\n  {lines}\n}}}}\n', encoding="utf-8")


def _model(provider: Provider, model: ModelInfo) -> dict[str, Any] | None:
    rows = list(_rows(provider, model))
    usual = [row for row in rows if "tier" not in row]
    default = [
        {name: value for name, value in row.items() if name != "tier"} for row in rows if row.get("tier") == "default"
    ]
    if default == usual:
        rows = [row for row in rows if row.get("tier") != "default"]
    if not rows or not any(row["rates"] for row in rows):
        return None
    return {"id": model.id, "names": _names(model.match), "rows": rows}


def _rows(provider: Provider, model: ModelInfo) -> Iterator[dict[str, Any]]:
    """The price at every date and time of day at which it changes, tier by tier; rows that say nothing new left out."""
    variants = [one for one in model.price_variants or () if one.when.keys() <= set(TIERS)]
    for context in ({}, *_contexts(variants)):
        tier = next(iter(context.values()), "")
        active = [one for one in variants if one.when.items() <= context.items()]
        before = None
        for since in _dates(model, active):
            at = datetime.combine(since or date(2000, 1, 1), time(12), UTC)
            if context and not any(one.constraint is None or one.constraint.active(at) for one in active):
                continue
            for daily in (None, *_windows(model)):
                moment = at if daily is None else datetime.combine(at.date(), daily[0], UTC)
                price = _usual(model, at) if daily is None and not context else model.get_prices(moment, context)
                row = {**_head(since, daily, tier), **_priced(provider, model, price)}
                said = {name: row[name] for name in ("rates", "longer") if name in row}
                if daily is None and said == before:
                    continue
                if daily is None:
                    before = said
                yield row


def _usual(model: ModelInfo, at: datetime) -> ModelPrice:
    """The price outside every part of the day that has one of its own."""
    if isinstance(model.prices, ModelPrice):
        return model.prices
    dated = [one for one in model.prices if not isinstance(one.constraint, TimeOfDateConstraint)]
    return ModelInfo(id=model.id, match=model.match, prices=dated).get_prices(at)


def _contexts(variants: Sequence[Any]) -> list[dict[str, str]]:
    found: list[dict[str, str]] = []
    for variant in variants:
        if len(variant.when) != 1:
            raise ValueError(f"a variant of several conditions is not understood: {variant.when}")
        if variant.when not in found:
            found.append(dict(variant.when))
    tiers = [next(iter(one.values())) for one in found]
    if len(set(tiers)) != len(tiers):
        raise ValueError(f"two conditions share a word: {found}")
    return found


def _dates(model: ModelInfo, variants: Sequence[Any]) -> list[date | None]:
    prices = model.prices if isinstance(model.prices, list) else []
    constraints = [one.constraint for one in (*prices, *variants)]
    return [None, *sorted({one.start_date for one in constraints if isinstance(one, StartDateConstraint)})]


def _windows(model: ModelInfo) -> list[tuple[time, time]]:
    prices: Sequence[ConditionalPrice] = model.prices if isinstance(model.prices, list) else []
    return [
        (one.constraint.start_time, one.constraint.end_time)
        for one in prices
        if isinstance(one.constraint, TimeOfDateConstraint)
    ]


def _head(since: date | None, daily: tuple[time, time] | None, tier: str) -> dict[str, Any]:
    head: dict[str, Any] = {}
    if since is not None:
        head["since"] = since.isoformat()
    if daily is not None:
        if any(one.tzinfo is not UTC for one in daily):
            raise ValueError(f"a time of day is not UTC: {daily}")
        head["daily"] = [one.strftime("%H:%M") for one in daily]
    if tier:
        head["tier"] = tier
    return head


def _priced(provider: Provider, model: ModelInfo, price: ModelPrice) -> dict[str, Any]:
    """The rates of a price, and those for longer input where there are any."""
    values = {name: value for name, value in vars(price).items() if value is not None and name in UNITS}
    steps = sorted({tier.start for value in values.values() if isinstance(value, TieredPrices) for tier in value.tiers})
    priced: dict[str, Any] = {"rates": {UNITS[name][0]: _rate(name, _base(value)) for name, value in values.items()}}
    if "audio_hour" in priced["rates"] and provider.id in AUDIO_LEAST:
        priced["rates"]["audio_least"] = AUDIO_LEAST[provider.id]
    if steps:
        priced["longer"] = [
            [step, {UNITS[name][0]: _rate(name, _above(value, step)) for name, value in values.items()}]
            for step in steps
        ]
    hours = {name: value for name, value in vars(price).items() if value is not None and name in SAME}
    if any(value != price.audio_hours for value in hours.values()):
        raise ValueError(f"{provider.id}/{model.id}: an hour of sound has two prices")
    return priced


def _base(value: Decimal | TieredPrices) -> Decimal:
    return value.base if isinstance(value, TieredPrices) else value


def _above(value: Decimal | TieredPrices, start: int) -> Decimal:
    """What holds for an input that is longer than ``start``."""
    if isinstance(value, Decimal):
        return value
    return next((tier.price for tier in reversed(value.tiers) if tier.start <= start), value.base)


def _rate(name: str, value: Decimal) -> int:
    """A price in pico-USD for one unit; half to even where the source is finer than that."""
    return int((value * PICO / UNITS[name][1]).to_integral_value())


def _names(clause: Any) -> dict[str, list[str]]:
    """What a model is called: words that its name is, begins with, holds or ends with, and patterns."""
    match clause:
        case ClauseEquals():
            return {"is": [clause.equals.lower()]}
        case ClauseStartsWith():
            return {"begins": [clause.starts_with.lower()]}
        case ClauseContains():
            return {"holds": [clause.contains.lower()]}
        case ClauseEndsWith():
            return {"ends": [clause.ends_with.lower()]}
        case ClauseRegex():
            return {"pattern": [clause.regex]}
        case ClauseOr():
            merged: dict[str, list[str]] = {}
            for inner in clause.or_:
                for kind, words in _names(inner).items():
                    merged.setdefault(kind, []).extend(words)
            return merged
        case ClauseAnd():
            return {"pattern": ["".join(f"(?=.*?(?:{_pattern(inner)}))" for inner in clause.and_)]}
    raise ValueError(f"a way to match names is not understood: {clause}")


def _pattern(clause: Any) -> str:
    """What finds the same anywhere in a name, beginning with its start."""
    words = _names(clause)
    parts = [f"^{re.escape(one)}$" for one in words.get("is", ())]
    parts += [f"^{re.escape(one)}" for one in words.get("begins", ())]
    parts += [re.escape(one) for one in words.get("holds", ())]
    parts += [f"{re.escape(one)}$" for one in words.get("ends", ())]
    return "|".join((*parts, *words.get("pattern", ())))


if __name__ == "__main__":
    main()
