"""Costs of exchanges that are over, reckoned anew once somebody knows the price that was missing."""

from __future__ import annotations

from collections.abc import Mapping

import attrs

from llmgate.spec import AttemptRecord, Provider, Record

__all__ = ["MAPPING", "repriced"]

MAPPING = "llmgate.mapping"
"""The label of a record whose cost is unknown for want of a price: ``pending``, ``back-filled`` once it is known."""


def repriced(record: Record, providers: Mapping[str, Provider]) -> Record | None:
    """A record with the costs that can be known now; None where nothing changes.

    Each attempt is reckoned at the price that held when its exchange began. What was not reckoned for another reason
    (an answer that told no usage, or was cut) stays as it was.

    Args:
        record: The record.
        providers: Who has prices now, by configured name.
    """
    if record.metadata.get(MAPPING) != "pending":
        return None
    attempts = tuple(_repriced(one, record, providers) for one in record.attempts)
    if attempts == tuple(record.attempts):
        return None
    costs = [one.cost_nano for one in attempts]
    known = [cost for cost in costs if cost is not None]
    whole = len(known) == len(costs)
    metadata = {**record.metadata, MAPPING: "back-filled"} if whole else record.metadata
    return attrs.evolve(record, attempts=attempts, cost_nano=sum(known) if whole else None, metadata=metadata)


def _repriced(attempt: AttemptRecord, record: Record, providers: Mapping[str, Provider]) -> AttemptRecord:
    provider = providers.get(attempt.provider_name)
    usage = attempt.usage
    told = usage is not None and not usage.estimated and attempt.error_code is None and not attempt.abandoned
    if attempt.cost_nano is not None or provider is None or provider.prices is None or not told or usage is None:
        return attempt
    price = provider.prices.price_of(attempt.model)
    if price is None and record.response_model is not None:
        price = provider.prices.price_of(record.response_model)
    cost = None if price is None else price.cost(usage, record.started_at, attempt.service_tier)
    return attempt if cost is None else attrs.evolve(attempt, cost_nano=cost)
