"""What a record says to a rule: of which value, and how much."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Final

from llmgate.spec import AttemptRecord, Record

from .config import Rule
from .windows import Window

__all__ = ["is_over", "samples"]

_NANO: Final = 10**9
_OF_THE_CALLER: Final = frozenset({400, 413, 422})
"""What a provider answers when the request is at fault; any other refusal says something of the provider or its key."""


def samples(rule: Rule, record: Record) -> Iterator[tuple[str | None, int]]:
    """The values that a record counts for, each with what it adds.

    Args:
        rule: The threshold; ``per: provider`` looks at attempts, everything else at the exchange as a whole.
        record: The record.
    """
    if rule.per == "provider":
        for attempt in record.attempts:
            amount = _amount(rule, attempt, _attempt_failed(rule, attempt))
            if amount is not None:
                yield attempt.provider_name, amount
        return
    amount = _amount(rule, record, _failed(rule, record))
    if amount is not None:
        yield _value(rule, record), amount


def is_over(rule: Rule, window: Window) -> bool:
    """Whether what is in the window is more than the threshold; compared in whole numbers."""
    match rule.of:
        case "spend":
            return window.amount > rule.limit
        case "requests" | "errors":
            return window.amount * _NANO > rule.limit
        case "error-rate":
            return window.total >= rule.at_least and window.amount * _NANO > rule.limit * window.total
    # A percentile is over the threshold when fewer than its share are within: no duration need be kept for that.
    rank = max(1, math.ceil(rule.percentile / 100 * window.total - 1e-9))
    return window.total >= rule.at_least and window.total - window.amount < rank


def _amount(rule: Rule, of: Record | AttemptRecord, failed: bool) -> int | None:
    """What is added; None where the rule does not look at it."""
    match rule.of:
        case "spend":
            return of.cost_nano
        case "requests":
            return 1
        case "errors" | "error-rate":
            return int(failed)
    took = of.duration if rule.of == "latency" else of.first_content
    if took is None or failed or _went_wrong(of):
        return None
    return int(took * _NANO > rule.limit)


def _went_wrong(of: Record | AttemptRecord) -> bool:
    return of.outcome != "ok" if isinstance(of, Record) else of.error_code is not None or of.abandoned


def _failed(rule: Rule, record: Record) -> bool:
    if record.outcome not in ("error", "incomplete"):
        return False
    return rule.caller_errors or record.status is None or not 400 <= record.status < 500


def _attempt_failed(rule: Rule, attempt: AttemptRecord) -> bool:
    if attempt.error_code is None or attempt.abandoned:
        return False
    return rule.caller_errors or attempt.status not in _OF_THE_CALLER


def _value(rule: Rule, record: Record) -> str | None:
    match rule.per:
        case "key":
            return record.key_id
        case "team":
            return record.team
        case "user":
            return record.user
        case "model":
            return record.request_model
        case "principal":
            return record.principal
        case "router":
            return record.router
    return None
