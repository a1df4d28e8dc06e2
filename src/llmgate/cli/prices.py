"""``llmgate prices``: what models cost, how other lists of prices differ, and lists of others made usable."""

from __future__ import annotations

import argparse
import datetime as dt
import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import attrs

from .subparsers import Subparsers
from .surroundings import find_dotenv
from .table import format_table

if TYPE_CHECKING:
    from llmgate.catalogue.price_files import PriceFile
    from llmgate.catalogue.prices import VendorPrices
    from llmgate.config.model import PricesConfig
    from llmgate.spec import Price, Rates

__all__ = ["add_parser", "run"]

DEFAULT_FILE: Final = "prices.json"
_MILLION: Final = 10**6
_PICO: Final = 10**12
_EACH: Final = frozenset({"audio_hour", "image", "search_unit", "web_search", "request"})
_COLUMNS: Final = ("input", "output", "cache_read", "cache_write")


def add_parser(subparsers: Subparsers) -> None:
    """Add the command to the command line."""
    parser = subparsers.add_parser(
        "prices",
        help="show what models cost, compare lists of prices, or import one",
        description="Show what models cost, in USD for a million tokens; compare lists of prices; import one.",
    )
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    show = actions.add_parser(
        "show",
        help="show what models cost now",
        description="Show what models cost now, in USD for a million tokens, with prices of the configuration.",
    )
    show.add_argument("models", nargs="*", metavar="MODEL", help="a provider/model, * for any text (default: all)")
    show.add_argument("--all", action="store_true", help="other dates, times of day, tiers and lengths of input, too")
    diff = actions.add_parser(
        "diff",
        help="show where a list of prices differs from those in use",
        description="Show where a list of prices differs from the prices in use; nothing is changed.",
    )
    load = actions.add_parser(
        "import",
        help="turn a list of prices into a file for `prices.file`",
        description="Turn a list of prices into a file for `prices.file`, which wins over the prices that llmgate has.",
    )
    load.add_argument(
        "--output", type=Path, default=Path(DEFAULT_FILE), metavar="FILE",
        help=f"where to write the file (default: {DEFAULT_FILE})",
    )  # fmt: skip
    for action in (diff, load):
        action.add_argument("file", type=Path, metavar="FILE", help="the list")
        action.add_argument(
            "--format",
            choices=("litellm", "models.dev", "llmgate"),
            metavar="FORMAT",
            help="litellm, models.dev or llmgate (default: told by what is in it)",
        )
    for action in (show, diff):
        action.add_argument(
            "--config",
            type=Path,
            metavar="FILE",
            help="the configuration (default: the one that `llmgate serve` would find here)",
        )
    for action in (show, diff, load):
        action.add_argument("--json", action="store_true", help="print JSON")


def run(args: argparse.Namespace) -> int:
    """Show, compare or import prices; 1 when nothing is called so, or a file cannot be read."""
    try:
        return _ACTIONS[args.action](args)
    except (OSError, ValueError) as error:
        said = error.strerror if isinstance(error, OSError) and error.strerror else error
        print(f"{args.file}: {said}" if isinstance(error, OSError) else said, file=sys.stderr)
        return 1


@attrs.frozen
class _Line:
    """What one model costs at one time, in one tier, for one length of input."""

    model: str
    rates: Rates
    source: str
    since: float | None = None
    daily: tuple[int, int] | None = None
    tier: str = ""
    above: int = 0

    @property
    def when(self) -> str:
        """When the rates hold, for people."""
        parts = [f"from {dt.datetime.fromtimestamp(self.since, dt.UTC):%Y-%m-%d}"] if self.since is not None else []
        parts += [f"{_clock(self.daily[0])}-{_clock(self.daily[1])} UTC"] if self.daily is not None else []
        parts += [self.tier] if self.tier else []
        parts += [f"input above {self.above:,}"] if self.above else []
        return ", ".join(parts)

    def as_json(self) -> dict[str, Any]:
        """Plain values; rates in pico-USD a unit."""
        rates = {name: rate for name, rate in attrs.asdict(self.rates).items() if rate is not None}
        return {**attrs.asdict(self), "rates": rates}


def _show(args: argparse.Namespace) -> int:
    now = dt.datetime.now(dt.UTC).timestamp()
    lines = list(_priced(args.config, args.models, now, every=args.all))
    if not lines and args.models:
        bare = next((one for one in args.models if "/" not in one), None)
        remedy = f": write provider/model, or '*/{bare}' for all that have it" if bare else ""
        print(f"no price is known for {', '.join(args.models)}{remedy}", file=sys.stderr)
        return 1
    if args.json:
        print(json.dumps([line.as_json() for line in lines], indent=2))
        return 0
    head = ("MODEL", "INPUT", "OUTPUT", "CACHE READ", "CACHE WRITE", "OTHER", "WHEN", "SOURCE")
    print(format_table(head, [(one.model, *_cells(one.rates), one.when or "-", one.source) for one in lines]))
    return 0


def _diff(args: argparse.Namespace) -> int:
    # Late: see ``_config``.
    from llmgate.catalogue.prices import VendorPrices

    now = dt.datetime.now(dt.UTC).timestamp()
    theirs = _read(args.file, args.format)
    config = _config(args.config)
    rows: list[tuple[str, str, str, str]] = []
    new = 0
    for vendor, models in sorted(theirs.vendors.items()):
        ours = VendorPrices(vendor, vendor, None, config.models, config.imported)
        for model in models:
            known = ours.price_of(model.id)
            new += known is None
            if known is not None:
                rows += _differences(f"{vendor}/{model.id}", known, model.price(theirs.source), now)
    if args.json:
        names = ("model", "rate", "in_use", "listed")
        print(json.dumps({"new": new, "differences": [dict(zip(names, row, strict=True)) for row in rows]}, indent=2))
        return 0
    if rows:
        print(format_table(("MODEL", "RATE", "IN USE", "LISTED"), rows))
    print(f"{len({row[0] for row in rows})} models differ, {new} have no price in use")
    return 0


def _import(args: argparse.Namespace) -> int:
    # Late: see ``_config``.
    from llmgate.catalogue.price_files import write_prices

    prices = _read(args.file, args.format)
    args.output.write_text(write_prices(prices), encoding="utf-8")
    counts = {vendor: len(models) for vendor, models in sorted(prices.vendors.items())}
    if args.json:
        print(json.dumps({"source": prices.source, "date": prices.date, "models": counts}, indent=2))
        return 0
    print(format_table(("VENDOR", "MODELS"), [(vendor, str(count)) for vendor, count in counts.items()]))
    print(f"written to {args.output}: name it in the configuration as prices.file")
    return 0


_ACTIONS: Final = {"show": _show, "diff": _diff, "import": _import}


def _read(file: Path, given: str | None) -> PriceFile:
    # Late: see ``_config``.
    from llmgate.catalogue.price_imports import import_prices

    today = dt.datetime.now(dt.UTC).date().isoformat()
    return import_prices(file.read_text(encoding="utf-8"), file.name, format=given, date=today)


def _config(path: Path | None) -> PricesConfig:
    """What the configuration says of prices; nothing where there is none."""
    # Late: reads YAML and imports the plugins that the configuration names, which `llmgate --help` does not need.
    from llmgate.config import find_file
    from llmgate.config.model import PricesConfig
    from llmgate.pipeline.pipeline import Pipeline

    found = path or find_file(Path())
    return PricesConfig() if found is None else Pipeline.from_config(found, dotenv=find_dotenv()).config.prices


def _priced(config: Path | None, wanted: Sequence[str], now: float, *, every: bool) -> Iterator[_Line]:
    """The prices of the models whose names fit: the operator's, those of the file, those of the catalogue."""
    # Late: see ``_config``.
    from fnmatch import fnmatchcase

    from llmgate.catalogue.prices import VendorPrices, built_in_prices, vendors_with_prices

    prices = _config(config)
    names = dict.fromkeys(prices.models)
    for vendor, models in (prices.imported.vendors if prices.imported else {}).items():
        names |= dict.fromkeys(f"{vendor}/{one.id}" for one in models)
    for vendor in vendors_with_prices():
        names |= dict.fromkeys(f"{vendor}/{one.id}" for one in built_in_prices(vendor).vendors[vendor])
    exact = [one for one in wanted if "*" not in one and one not in names]
    for name in (*(one for one in names if not wanted or any(fnmatchcase(one, two) for two in wanted)), *exact):
        vendor, _, model = name.partition("/")
        price = _found(VendorPrices(vendor, vendor, None, prices.models, prices.imported), name, model)
        if price is not None:
            yield from _lines(name, price, now, every=every)


def _found(prices: VendorPrices, name: str, model: str) -> Price | None:
    return prices.own.get(name) or prices.price_of(model)


def _lines(name: str, price: Price, now: float, *, every: bool) -> Iterator[_Line]:
    row = price.row(now)
    for one in price.rows if every else (row,):
        if one is None:
            continue
        line = _Line(name, one.rates, price.source, one.since, one.daily, one.tier)
        yield line
        for above, rates in one.longer if every else ():
            yield attrs.evolve(line, rates=rates, above=above)


def _differences(name: str, ours: Price, theirs: Price, now: float) -> Iterator[tuple[str, str, str, str]]:
    """The rates that a list has otherwise than those in use, usual tier, short and long inputs."""
    mine, listed = ours.row(now), theirs.row(now)
    if mine is None or listed is None:
        return
    for above in (0, *(above for above, _ in listed.longer)):
        one, other = (attrs.asdict(row.rates_for(above + 1 if above else None)) for row in (mine, listed))
        for rate, value in other.items():
            if value is not None and value != one[rate] and rate != "audio_least":
                label = f"{rate} above {above:,}" if above else rate
                yield name, label.replace("_", " "), _usd(rate, one[rate]), _usd(rate, value)


def _cells(rates: Rates) -> Sequence[str]:
    values: Mapping[str, int | None] = attrs.asdict(rates)
    others = [
        f"{name.replace('_', ' ')} {_usd(name, value)}"
        for name, value in values.items()
        if value is not None and name not in {*_COLUMNS, "audio_least"}
    ]
    return (*(_usd(name, values[name]) for name in _COLUMNS), ", ".join(others) or "-")


def _usd(name: str, pico: int | None) -> str:
    """A rate in USD, for a million tokens or for each; without zeros at its end."""
    if pico is None:
        return "-"
    whole, rest = divmod(pico, _PICO if name in _EACH else _MILLION)
    digits = f"{rest:0{12 if name in _EACH else 6}d}".rstrip("0")
    return f"{whole}.{digits}" if digits else str(whole)


def _clock(seconds: int) -> str:
    return f"{seconds // 3600:02d}:{seconds // 60 % 60:02d}"
