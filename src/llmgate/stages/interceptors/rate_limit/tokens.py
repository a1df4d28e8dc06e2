"""How many tokens a request is charged: an estimate before its answer, what was used after it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from llmgate.spec import Attempt, ExchangeView, GatewayRequest, Operation, Usage

from .config import Unit

__all__ = ["estimated", "used"]

_BYTES_A_TOKEN: Final = 4


def estimated(unit: Unit, request: GatewayRequest, assumed_output: int) -> int:
    """What a request is charged before it is answered.

    Args:
        unit: What is counted.
        request: What is asked.
        assumed_output: Output tokens of a request that sets no bound.
    """
    if unit == "requests":
        return 1
    given = -(-len(request.body) // _BYTES_A_TOKEN)
    wanted = 0
    if request.operation is Operation.CHAT and request.decode is not None and unit != "input-tokens":
        chat = request.chat
        wanted = (assumed_output if chat.max_output_tokens is None else chat.max_output_tokens) * (
            chat.choice_count or 1
        )
    return {"tokens": given + wanted, "input-tokens": given, "output-tokens": wanted}[unit]


def used(unit: Unit, view: ExchangeView, charged: float) -> float:
    """What a request is charged once it is over; ``charged`` stands where nobody knows.

    What providers say they have used counts, that of attempts given up included. A request that no provider has
    answered has used nothing.
    """
    if unit == "requests":
        return charged
    counts = [found for one in _usages(view) if (found := _count(unit, one)) is not None]
    if counts:
        return float(sum(counts))
    lost = view.disconnected or any(_may_have_worked(one) for one in view.attempts)
    return charged if lost else 0.0


def _usages(view: ExchangeView) -> Sequence[Usage]:
    attempts = [one.outcome.usage for one in view.attempts if one.outcome.usage is not None]
    own = view.outcome.usage
    return attempts or ([own] if own is not None and view.attempts else [])


def _may_have_worked(attempt: Attempt) -> bool:
    """Whether the provider may have done work that it has not told: an answer without usage, or one that was lost."""
    return attempt.error is None or attempt.first_content is not None or getattr(attempt.error, "lost", False)


def _count(unit: Unit, usage: Usage) -> int | None:
    match unit:
        case "input-tokens":
            return usage.input_tokens
        case "output-tokens":
            return usage.output_tokens
        case _:
            known = [one for one in (usage.input_tokens, usage.output_tokens) if one is not None]
            return sum(known) if known else None
