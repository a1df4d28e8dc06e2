"""What one exchange has been charged, by all the limits it has met, so that all of it can be given back together."""

from __future__ import annotations

from typing import Any

import attrs

from llmgate.spec import ExchangeView, Rate, RateDecision, StateStore

from .config import LimitConfig
from .tokens import used

__all__ = ["Account", "Charge", "Counted"]


@attrs.frozen(eq=False)
class Counted:
    """One limit as this process keeps it.

    Args:
        id: What its keys begin with, unique in the configuration.
        name: What refusals call it.
        config: What was written.
        rate: What this process grants.
    """

    id: str
    name: str
    config: LimitConfig
    rate: Rate


@attrs.define(eq=False)
class Charge:
    """Units that an exchange has been asked for.

    Args:
        store: What counts them.
        limit: Of which limit.
        key: Under which key.
        cost: How many.
        decision: What the store said; None while it has not.
    """

    store: StateStore[Any]
    limit: Counted
    key: str
    cost: float
    decision: RateDecision | None = None

    async def acquire(self, once: str | None) -> RateDecision:
        """Ask for the units; ``once`` makes a repeat spend nothing."""
        self.decision = await self.store.acquire(self.key, self.limit.rate, self.cost, once=once)
        return self.decision

    async def give_back(self, units: float) -> None:
        """Give units back; a negative number takes more."""
        if units:
            await self.store.refund(self.key, self.limit.rate, units)


@attrs.define(eq=False)
class Account:
    """The charges of one exchange.

    Args:
        charges: Those that were granted, in order.
        undecided: Whether a decision is still to come: whoever leaves now has not been let through.
    """

    charges: list[Charge] = attrs.field(factory=list)
    undecided: bool = False

    @property
    def is_open(self) -> bool:
        """Whether there is anything to settle: the charge of a request that was let through stands as it is."""
        return self.undecided or any(one.limit.config.unit != "requests" for one in self.charges)

    async def release(self) -> None:
        """Give everything back: the request is not let through."""
        while self.charges:
            charge = self.charges.pop()
            await charge.give_back(charge.cost)

    async def settle(self, view: ExchangeView) -> None:
        """Put what was used in the place of what was estimated; give everything back where nothing was decided."""
        if self.undecided:
            await self.release()
            return
        while self.charges:
            charge = self.charges.pop()
            await charge.give_back(charge.cost - used(charge.limit.config.unit, view, charge.cost))
