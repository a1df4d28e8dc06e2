"""What models cost: the catalogue's prices, looked up by vendor and name, under the operator's own.

The files in ``data/prices`` are compiled by ``tools/compile_prices.py`` from the data of genai-prices (MIT). A vendor's
file is read when one of its prices is asked for, once.
"""

from __future__ import annotations

import datetime as dt
import functools
import re
from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Any, Final

import attrs

from llmgate.spec import Price, PriceRow

from .price_files import PriceFile, read_prices
from .rows import read_text

__all__ = ["VendorPrices", "built_in_prices", "prices_date", "vendor_at", "vendors_with_prices"]

_COMPACT_DATE: Final = re.compile(r"-(20\d{2})(\d{2})(\d{2})(?=-|:|$)")


@attrs.frozen
class VendorPrices:
    """What the models of one configured provider cost; a ``PriceList``.

    Args:
        name: The provider's name in the configuration.
        row: The row of the catalogue that it is made from; None for a provider that no row knows.
        base_url: Its address, by which one that no row knows may be.
        own: The operator's prices, by ``provider/model`` in which ``*`` stands for any text; they win.
        imported: A file of prices that wins over the catalogue's; None for none.
        listed: What the provider itself has said that its models cost, rows by date, which go on where the catalogue's
            end.
    """

    name: str
    row: str | None = None
    base_url: str | None = None
    own: Mapping[str, Price] = attrs.field(factory=dict)
    imported: PriceFile | None = attrs.field(default=None, repr=False)
    listed: Mapping[str, Sequence[PriceRow]] = attrs.field(factory=dict, repr=False)
    _known: dict[str, Price | None] = attrs.field(factory=dict, init=False, repr=False, eq=False)

    def price_of(self, model: str) -> Price | None:
        """The price of a model by its name at the provider; None where it is not known."""
        try:
            return self._known[model]
        except KeyError:
            found = self._find(model)
        if len(self._known) >= _REMEMBERED:  # names that callers make up must not fill the memory
            self._known.clear()
        self._known[model] = found
        return found

    def _find(self, model: str) -> Price | None:
        exact = self.own.get(f"{self.name}/{model}")
        if exact is not None:
            return exact
        for pattern, price in self.own.items():
            if fnmatchcase(f"{self.name}/{model}", pattern):
                return price
        vendor = vendor_at(self.row, self.base_url)
        if self.imported is not None:
            for name in (self.name, vendor):
                found = _find_in(self.imported, name, model)
                if found is not None:
                    return found
        known = None if vendor is None else _built_in(vendor, model)
        rows = self.listed.get(model)
        if not rows:
            return known
        return Price((*(() if known is None else known.rows), *rows), f"the list of models of {self.name}")


_REMEMBERED: Final = 2048
"""Names of models whose prices are remembered, for each provider."""


def vendor_at(row: str | None, base_url: str | None) -> str | None:
    """Whose prices apply to a provider.

    Args:
        row: The name of its row; None for one that no row knows, which is known by its address alone.
        base_url: Its address.

    Returns:
        The vendor's name; None where the catalogue has no prices for it.
    """
    vendors = _index()["vendors"]
    if row in vendors:
        return row
    return next((vendor for vendor, entry in vendors.items() if _is_at(entry["address"], base_url or "")), None)


def vendors_with_prices() -> Sequence[str]:
    """Every vendor that the catalogue has prices of its own for."""
    return tuple(name for name, entry in _index()["vendors"].items() if entry["address"])


def prices_date() -> dt.date:
    """The day on which the catalogue's prices were taken from their source."""
    return dt.date.fromisoformat(_index()["date"])


@functools.cache
def built_in_prices(vendor: str) -> PriceFile:
    """The catalogue's prices of a vendor in ``vendors_with_prices``."""
    return read_prices(read_text(f"prices/{vendor}.json"), f"prices/{vendor}.json", trusted=True)


@functools.cache
def _index() -> Mapping[str, Any]:
    # Late: costs milliseconds that a gateway which asks for no price should not pay.
    import json

    index: Mapping[str, Any] = json.loads(read_text("prices/index.json"))
    return index


def _is_at(pattern: str | None, address: str) -> bool:
    """Whether an address is a vendor's; patterns may end within the host, and another host may begin alike."""
    found = re.match(pattern, address) if pattern else None
    if found is None:
        return False
    rest = address[found.end() :]
    return not rest or rest[0] in "/:" or address[found.end() - 1] in "/."


@functools.lru_cache(maxsize=_REMEMBERED)
def _built_in(vendor: str, model: str) -> Price | None:
    entry = _index()["vendors"][vendor]
    vendors = ([vendor] if entry["address"] else []) + entry.get("alike", [])
    found = (_find_in(built_in_prices(one), one, model) for one in vendors)
    return next((price for price in found if price is not None), None)


def _find_in(prices: PriceFile, vendor: str | None, model: str) -> Price | None:
    """The price of the first model of a vendor that is called so, with a date in its name in either spelling."""
    models = prices.vendors.get(vendor or "", ())
    name = model.lower()
    for spelling in dict.fromkeys((name, _COMPACT_DATE.sub(r"-\1-\2-\3", name))):
        for one in models:
            if one.is_called(spelling):
                return one.price(prices.source)
    return None
