"""What an attempt cost: its usage at its deployment's price. What is not known stays unknown, which is not nothing."""

from __future__ import annotations

import re
from typing import Final

import attrs

from llmgate.spec import Attempt, Exchange, GatewayTimeoutError, Operation, Price, ProviderError, Usage

__all__ = ["asks_cost", "cost_of", "cost_so_far", "estimate", "is_pending"]

_FREE: Final = frozenset({Operation.COUNT_TOKENS})
"""What no provider asks money for."""
_BY_THE_TOKEN: Final = frozenset({Operation.CHAT, Operation.TEXT_COMPLETION, Operation.EMBEDDINGS})
"""What is estimated where an answer was cut or lost."""
_BYTES_A_TOKEN: Final = 4
_AROUND_A_TEXT: Final = 250
"""Bytes of an event of a stream, nearly, that are not text."""
_ENCODED: Final = re.compile(rb"[A-Za-z0-9+/=_-]{1024,}")
"""A picture, a sound or a document within a request."""
_A_MEDIUM: Final = 1000
"""Tokens that one is taken to be."""
_SESSION: Final = 101
_HARMLESS: Final = frozenset({"GET", "HEAD", "DELETE", "OPTIONS"})
"""Methods of relayed requests that make no model work."""


def cost_of(attempt: Attempt, exchange: Exchange) -> int | None:
    """What an attempt that has ended cost, in nano-USD; None where that is not known.

    Usage that was seen before an answer was cut is no account of it: providers tell it first as it stands at the
    beginning.

    Args:
        attempt: The attempt.
        exchange: Whose attempt it is.
    """
    if _is_free(attempt, exchange):
        return 0
    outcome = attempt.outcome
    held = attempt.status == _SESSION  # whose usage is that of the answers that are over
    if outcome.usage is None or not (outcome.complete or held):
        return None
    return _priced(attempt, outcome.usage, exchange)


def estimate(attempt: Attempt, exchange: Exchange) -> None:
    """Write down what an attempt has presumably cost that was cut, or lost on its way; nothing where nobody can tell.

    What the provider told before counts, and what has come of the answer; the input is taken to be a token for four
    bytes of the request where it told nothing.

    Args:
        attempt: The attempt, which has ended at a cost that is not known.
        exchange: Whose attempt it is.
    """
    outcome, request = attempt.outcome, exchange.request
    if outcome.complete or request is None or request.upload is not None or exchange.operation not in _BY_THE_TOKEN:
        return
    told = outcome.usage or Usage()
    usage = attrs.evolve(
        told,
        input_tokens=_tokens_in(request.body) if told.input_tokens is None else told.input_tokens,
        output_tokens=max(told.output_tokens or 0, _tokens_heard(attempt)),
        estimated=True,
    )
    cost = _priced(attempt, usage, exchange)
    if cost is not None:
        attempt.cost_nano, attempt.cost_estimated, attempt.estimated_usage = cost, True, usage


def _tokens_in(body: bytes) -> int:
    media = _ENCODED.findall(body) if len(body) > 4 * _A_MEDIUM else []
    rest = len(body) - sum(map(len, media))
    return -(-rest // _BYTES_A_TOKEN) + _A_MEDIUM * len(media)


def _tokens_heard(attempt: Attempt) -> int:
    """Tokens that have come of a streamed answer: most providers send an event for each, some for many."""
    if not attempt.outcome.content:
        return 0
    events = max(attempt.events, 1)
    return max(events, (attempt.received - _AROUND_A_TEXT * events) // _BYTES_A_TOKEN)


def is_pending(attempt: Attempt) -> bool:
    """Whether what an attempt cost is unknown for want of a price, so that it may be reckoned once there is one."""
    provider = attempt.deployment.provider
    if (
        attempt.cost_nano is not None
        or attempt.outcome.usage is None
        or provider.prices is None
        or provider.row.self_hosted
    ):
        return False  # for servers of one's own nobody publishes a price
    model = attempt.outcome.model
    return attempt.deployment.price is None and (model is None or _named_by_the_answer(attempt, model) is None)


def asks_cost(exchange: Exchange) -> bool:
    """Whether the caller asks for a stream of its own wire format to tell what it cost."""
    return exchange.client_headers.get("llmgate-stream-cost", "").strip().lower() == "true"


def cost_so_far(usage: Usage, exchange: Exchange) -> int | None:
    """What an exchange will have cost if the usage of its running attempt is the last word; None where not known.

    Args:
        usage: What the running attempt, the last one, says that it took.
        exchange: The exchange.
    """
    if not exchange.attempts:
        return 0  # nobody was asked
    *before, running = exchange.attempts
    own = _priced(running, usage, exchange)
    costs = [None if one.cost_estimated else one.cost_nano for one in before]
    return None if own is None or None in costs else own + sum(cost or 0 for cost in costs)


def _priced(attempt: Attempt, usage: Usage, exchange: Exchange) -> int | None:
    outcome, price = attempt.outcome, attempt.deployment.price
    if price is None and outcome.model is not None:
        price = _named_by_the_answer(attempt, outcome.model)
    return None if price is None else price.cost(usage, exchange.started_at, outcome.service_tier)


def _named_by_the_answer(attempt: Attempt, model: str) -> Price | None:
    """The price of the model that says it has answered: a name of the operator's own at the provider has none."""
    prices = attempt.deployment.provider.prices
    return None if prices is None else prices.price_of(model)


def _is_free(attempt: Attempt, exchange: Exchange) -> bool:
    """Whether the provider cannot ask money for an attempt: it refused, was never reached, or had nothing to do."""
    if exchange.operation in _FREE:
        return True
    request = exchange.request
    if request is not None and request.relay is not None and request.relay.method in _HARMLESS:
        return attempt.status != _SESSION
    error = attempt.error
    if attempt.status is not None and attempt.status >= 400 and not attempt.outcome.content:
        return True
    if error is None or attempt.abandoned or attempt.outcome.content:
        return False
    if attempt.status is None:
        lost = isinstance(error, ProviderError) and error.lost
        return not lost and not isinstance(error, GatewayTimeoutError)
    return attempt.outcome.error is not None
