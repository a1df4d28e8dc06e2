"""Prices that providers publish in the lists of their models, as dated rows beside those of the catalogue."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

import attrs

from llmgate.spec import PriceRow, Provider, Rates

if TYPE_CHECKING:
    from .listing import ModelList

__all__ = ["MOST_CHANGES", "PriceChange", "dated", "log_changes", "read_rates", "read_rows", "write_rows"]

log = logging.getLogger("llmgate.prices")

MOST_ROWS: Final = 50
"""Prices of one model that are kept, the newest."""
MOST_CHANGES: Final = 1000
"""Changes that a Pipeline remembers."""
_LOGGED: Final = 20
"""Changes that are logged one by one."""


@attrs.frozen
class PriceChange:
    """A provider has changed what a model costs, or says it for the first time.

    Args:
        provider_name: The provider.
        model: The model.
        at: When that was seen, in seconds since the epoch; from then on the new price holds.
        before: What it cost before; None where nobody knew.
        now: What it costs.
    """

    provider_name: str
    model: str
    at: float
    before: Rates | None
    now: Rates

    def differences(self) -> Mapping[str, tuple[int | None, int | None]]:
        """Each rate that differs, before and now, in pico-USD."""
        before = self.before or Rates()
        names = [field.name for field in attrs.fields(Rates)]
        pairs = {name: (getattr(before, name), getattr(self.now, name)) for name in names}
        return {name: pair for name, pair in pairs.items() if pair[0] != pair[1]}


def dated(
    provider: Provider, before: ModelList | None, now: ModelList, at: float
) -> tuple[ModelList, list[PriceChange]]:
    """A list with the rows of its prices: those known before, and a new one for each price that has changed.

    A kind of unit that the list does not name keeps the price that is in use. A price that is the same leaves no row.
    The first price of a model that had none holds for what was asked before, too: nobody will ever know a better one.

    Args:
        provider: Whose list it is, with the prices in use.
        before: What it listed before; None where it was never asked.
        now: What it lists now.
        at: Seconds since the epoch.
    """
    rows = dict(before.prices) if before is not None else {}
    changes: list[PriceChange] = []
    for model in now.models:
        if model.rates is None or provider.prices is None:
            continue
        price = provider.prices.price_of(model.id)
        row = None if price is None else price.row(at)
        used = None if row is None else row.rates
        said = attrs.asdict(model.rates, filter=lambda field, value: value is not None and field.name != "audio_least")
        rates = Rates(**said) if used is None else attrs.evolve(used, **said)
        if rates != used:
            changes.append(PriceChange(provider.name, model.id, at, used, rates))
            rows[model.id] = (*rows.get(model.id, ()), PriceRow(rates, since=None if price is None else at))[
                -MOST_ROWS:
            ]
    return attrs.evolve(now, prices=rows), changes


def log_changes(changes: Sequence[PriceChange]) -> None:
    """Say what has changed; many changes at once are counted."""
    for one in changes[:_LOGGED]:
        told = ", ".join(f"{name} {_usd(before)} -> {_usd(now)}" for name, (before, now) in one.differences().items())
        log.info("price of %s/%s: %s USD for a million", one.provider_name, one.model, told)
    if len(changes) > _LOGGED:
        log.info("%d more prices have changed", len(changes) - _LOGGED)


def write_rows(rows: Mapping[str, Sequence[PriceRow]]) -> Mapping[str, Any]:
    """The rows as plain JSON."""
    return {
        model: [
            {"since": one.since, "rates": attrs.asdict(one.rates, filter=lambda _, value: value is not None)}
            for one in known
        ]
        for model, known in rows.items()
    }


def read_rows(value: Mapping[str, Any]) -> Mapping[str, Sequence[PriceRow]]:
    """The rows that ``write_rows`` has written.

    Raises:
        ValueError: a rate is none.
        TypeError: they are not.
        KeyError: one lacks something.
    """
    return {
        model: tuple(
            PriceRow(read_rates(one["rates"]), since=None if one["since"] is None else float(one["since"]))
            for one in known
        )
        for model, known in value.items()
    }


def read_rates(value: Mapping[str, Any]) -> Rates:
    """Rates as they stand in a file.

    Raises:
        ValueError: one is no rate.
    """
    for name, rate in value.items():
        if type(rate) is not int or rate < 0:
            raise ValueError(f"{name} is {rate!r}: a rate is a whole number of pico-USD, 0 or more")
    return Rates(**value)


def _usd(pico: int | None) -> str:
    return "unknown" if pico is None else f"{pico / 10**6:g}"
