"""Files of prices: the catalogue's own, one a vendor, and those of the operator's; one shape for all.

``{"source": …, "date": …, "vendors": {NAME: [MODEL, …]}}``. A model has an ``id``, ``names`` (what its name ``is``,
``begins`` with, ``holds`` or ``ends`` with, or a ``pattern`` that finds it; lower case) and ``rows``: ``rates`` as in
``Rates``, and ``since`` (a date), ``daily`` (two times of day in UTC), ``tier`` and ``longer`` where they matter.
"""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, date, datetime, time
from typing import Any, Final

import attrs

from llmgate.spec import Price, PriceRow, Rates

__all__ = ["PriceFile", "PricedModel", "read_prices", "write_prices"]

_RATES: Final = frozenset(field.name for field in attrs.fields(Rates))
_KINDS: Final = ("is", "begins", "holds", "ends", "pattern")
_LARGEST: Final = 10**18
"""A million USD for one unit; more is a mistake."""


@attrs.frozen
class PricedModel:
    """A model and what it costs.

    Args:
        id: What it is called.
        names: How its name is recognised: for each kind of test the words.
        rows: Its price, as it stands in the file.
    """

    id: str
    names: Mapping[str, Sequence[str]]
    rows: Sequence[Mapping[str, Any]] = attrs.field(repr=False)

    def is_called(self, name: str) -> bool:
        """Whether a name, in lower case, is this model's."""
        names = self.names
        return (
            name in names.get("is", ())
            or any(name.startswith(one) for one in names.get("begins", ()))
            or any(one in name for one in names.get("holds", ()))
            or any(name.endswith(one) for one in names.get("ends", ()))
            or any(re.search(one, name) for one in names.get("pattern", ()))
        )

    def price(self, source: str) -> Price:
        """The price, with where it comes from."""
        return Price(tuple(_row(one) for one in self.rows), source)


@attrs.frozen
class PriceFile:
    """Everything in one file.

    Args:
        source: Where the prices come from.
        date: The ISO date on which they were taken from there.
        vendors: The models of each vendor, in the order in which names are tried.
    """

    source: str
    date: str
    vendors: Mapping[str, Sequence[PricedModel]]


def read_prices(text: str, name: str, *, trusted: bool = False) -> PriceFile:
    """The prices in a file.

    Args:
        text: The file's text.
        name: What the file is called, for messages.
        trusted: Whether its rows need not be looked at before they are used.

    Raises:
        ValueError: it is no file of prices; the message says where.
    """
    try:
        data = json.loads(text)
    except ValueError as error:
        raise ValueError(f"{name} is not JSON: {error}") from None
    try:
        vendors = {vendor: tuple(map(_model, models)) for vendor, models in data["vendors"].items()}
        prices = PriceFile(str(data["source"]), str(date.fromisoformat(data["date"])), vendors)
        for one in () if trusted else itertools.chain.from_iterable(vendors.values()):
            one.price(prices.source)
        return prices
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise ValueError(f"{name} is no file of prices: {error}") from None


def write_prices(prices: PriceFile) -> str:
    """The text of a file, one line a model."""
    vendors = ",\n ".join(
        f"{json.dumps(name)}: [\n  {_lines(models)}\n ]" for name, models in sorted(prices.vendors.items()) if models
    )
    head = f'"source": {json.dumps(prices.source)}, "date": {json.dumps(prices.date)}'
    return f'{{{head}, "vendors": {{\n {vendors}\n}}}}\n'


def _lines(models: Iterable[PricedModel]) -> str:
    written = ({"id": one.id, "names": one.names, "rows": one.rows} for one in models)
    return ",\n  ".join(json.dumps(one, separators=(",", ":")) for one in written)


def _model(value: Mapping[str, Any]) -> PricedModel:
    names = value["names"]
    if not names or any(kind not in _KINDS for kind in names):
        raise ValueError(f"model {value['id']!r} has no names that are understood")
    if not value["rows"]:
        raise ValueError(f"model {value['id']!r} has no price")
    return PricedModel(value["id"], names, value["rows"])


def _row(value: Mapping[str, Any]) -> PriceRow:
    since = value.get("since")
    daily = value.get("daily")
    return PriceRow(
        rates=_rates(value["rates"]),
        since=None if since is None else datetime.combine(date.fromisoformat(since), time(), UTC).timestamp(),
        daily=None if daily is None else (_second(daily[0]), _second(daily[1])),
        tier=value.get("tier", ""),
        longer=tuple((int(above), _rates(rates)) for above, rates in value.get("longer", ())),
    )


def _second(text: str) -> int:
    at = time.fromisoformat(text)
    return at.hour * 3600 + at.minute * 60 + at.second


def _rates(values: Mapping[str, Any]) -> Rates:
    for name, rate in values.items():
        if name not in _RATES:
            raise ValueError(f"{name!r} is no rate")
        if type(rate) is not int or not 0 <= rate <= _LARGEST:
            raise ValueError(f"{name} is {rate!r}: a rate is a whole number of pico-USD, 0 or more")
    return Rates(**values)
