"""Walks the ranked deployments until one answers, in as many rounds as the caller and the operator want."""

from __future__ import annotations

import itertools
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Final, TypeVar

import attrs

from llmgate.config.model import RetryConfig
from llmgate.spec import Deployment, GatewayRequest, InvalidRequestError, ProviderError

from .attempt import Try
from .caller_keys import of_one_vendor
from .candidates import Candidates, candidates_for
from .overflow import is_overflow, through_larger
from .ranking import rank
from .shortening import shortened
from .steering import forced_candidates, through_fallbacks
from .walk import Walk
from .wishes import wishes_of

if TYPE_CHECKING:
    from .frame import ExchangeFrame

__all__ = ["dispatch"]

T = TypeVar("T")
NO_RETRIES = RetryConfig(max_retries=0)
LONGEST_WAIT: Final = 120.0
"""Seconds that a caller is kept waiting for a repeat; where a provider asks for more, its error is the answer."""


async def dispatch(
    frame: ExchangeFrame,
    request: GatewayRequest,
    run: Callable[[Try], Awaitable[T]],
    candidates: Candidates | None = None,
) -> T:
    """Try the candidates in order until one answers.

    Args:
        frame: The exchange.
        request: What is asked, with every edit.
        run: Makes one try; what it returns is the answer, a retryable ``ProviderError`` leads to the next candidate.
        candidates: Where to try; None to find them by the model's name.

    Raises:
        GatewayError: what the last candidate failed with, or why there was none.
    """
    headers = frame.exchange.client_headers
    wishes = wishes_of(headers) if headers else None
    if wishes is not None and wishes.fallbacks:
        return await through_fallbacks(frame, request, run, wishes)
    if candidates is None:
        if wishes is not None and wishes.provider is not None:
            candidates = forced_candidates(frame.snapshot, request, wishes.provider)
        else:
            candidates = candidates_for(frame.snapshot, request)
    if frame.caller_key is not None:
        candidates = of_one_vendor(candidates, request.model)
    if wishes is not None and wishes.too_long is not None:
        request = shortened(frame, request, candidates.deployments, wishes.too_long)
    candidates.route.budget.request(frame.clock.monotonic())
    walk = Walk(frame, request, candidates)
    try:
        ranked = await rank(frame, candidates, request, wishes)
        for round_number in itertools.count():
            answer = await walk.through(ranked, run)
            if answer is not None:
                return answer
            plans = {one: _retries(frame, candidates, request, one) for one in walk.waits}
            now, health = frame.clock.monotonic(), frame.snapshot.health
            ranked = [
                one for one, plan in plans.items() if round_number < plan.max_retries and not health.refuses(one, now)
            ]
            if not ranked:
                raise walk.verdict()
            soonest = min(walk.waits[one] for one in ranked)
            delay = max(soonest, _backoff(plans[ranked[0]], round_number, frame.chance()))
            if delay > LONGEST_WAIT or frame.remaining() <= delay or not walk.pay():
                raise walk.verdict()
            await frame.clock.sleep(delay)
            ranked = [one for one in ranked if walk.waits[one] <= delay]
    except (ProviderError, InvalidRequestError) as error:
        if not is_overflow(error):
            raise
        return await through_larger(walk, run, wishes, error)
    raise AssertionError("the last round returns or raises")  # pragma: no cover


def _retries(
    frame: ExchangeFrame, candidates: Candidates, request: GatewayRequest, deployment: Deployment
) -> RetryConfig:
    """How an attempt at a deployment is repeated: as the caller says, else its provider, else the route."""
    plan = frame.snapshot.runtimes[deployment.provider].retries or candidates.route.retries or NO_RETRIES
    return plan if request.max_retries is None else attrs.evolve(plan, max_retries=request.max_retries)


def _backoff(retries: RetryConfig, round_number: int, chance: float) -> float:
    """Seconds to wait before the next round: full jitter over an exponential wait."""
    return min(retries.max_delay, retries.min_delay * retries.factor**round_number) * chance
