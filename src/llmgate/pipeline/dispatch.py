"""Walks the ranked deployments until one answers, in as many rounds as the caller and the operator want."""

from __future__ import annotations

import itertools
from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, Final, TypeVar

import attrs

from llmgate.config.model import RetryConfig
from llmgate.spec import Deployment, GatewayError, GatewayRequest, InvalidRequestError, ProviderError

from .attempt import Try
from .caller_keys import of_one_vendor
from .candidates import Candidates, candidates_for
from .hedging import through_hedged
from .overflow import is_overflow, through_larger
from .ranking import rank
from .shortening import shortened
from .steering import through_fallbacks, wished_candidates
from .walk import Walk
from .wishes import Wishes, wishes_of

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
    steps = frame.exchange.steps
    started = 0.0 if steps is None else frame.clock.monotonic()
    wishes = wishes_of(frame.exchange.client_headers)
    if wishes is not None and wishes.fallbacks:
        return await through_fallbacks(frame, request, run, wishes)
    if candidates is None and wishes is not None:
        candidates = wished_candidates(frame.snapshot, request, wishes)
    elif candidates is None:
        candidates = candidates_for(frame.snapshot, request)
    if frame.caller_key is not None:
        candidates = of_one_vendor(candidates, request.model)
    if wishes is not None:
        request = shortened(frame, request, candidates.deployments, wishes.too_long)
    candidates.route.budget.request(frame.clock.monotonic())
    walk = Walk(frame, request, candidates)
    try:
        ranked = await rank(frame, candidates, request, wishes)
        if steps is not None:
            frame.exchange.step("route", f"{len(ranked)} found", frame.clock.monotonic() - started)
        hedge_after = candidates.route.hedge_after
        for round_number in itertools.count():
            if hedge_after is None or round_number > 0:
                answer = await walk.through(ranked, run)
            else:
                answer = await through_hedged(walk, ranked, run, hedge_after)
            if answer is not None:
                return answer
            ranked, delay = _next_round(walk, wishes, round_number)
            await frame.clock.sleep(delay)
    except (ProviderError, InvalidRequestError) as error:
        if not is_overflow(error):
            raise
        return await through_larger(walk, run, wishes, error)
    raise AssertionError("the last round returns or raises")  # pragma: no cover


def _next_round(walk: Walk, wishes: Wishes | None, round_number: int) -> tuple[Sequence[Deployment], float]:
    """Who may do better when it is asked again, and the seconds until then.

    Raises:
        GatewayError: nobody, or not in time, or the retry budget is spent.
    """
    frame = walk.frame
    plans = {one: _retries(walk, wishes, one) for one in walk.waits}
    now, health = frame.clock.monotonic(), frame.snapshot.health
    ranked = [one for one, plan in plans.items() if round_number < plan.max_retries and not health.refuses(one, now)]
    if not ranked:
        raise _verdict(walk, round_number)
    soonest = min(walk.waits[one] for one in ranked)
    delay = max(soonest, _backoff(plans[ranked[0]], round_number, frame.chance()))
    if delay > LONGEST_WAIT or frame.remaining() <= delay or not walk.pay():
        raise _verdict(walk, round_number)
    return [one for one in ranked if walk.waits[one] <= delay], delay


def _verdict(walk: Walk, round_number: int) -> GatewayError:
    """What the caller is told, and whether the gateway has repeated the request as often as it would."""
    error = walk.verdict()
    if isinstance(error, ProviderError):
        error.repeated = round_number > 0
    return error


def _retries(walk: Walk, wishes: Wishes | None, deployment: Deployment) -> RetryConfig:
    """How an attempt at a deployment is repeated: as the caller says, else its provider, else the route."""
    if wishes is not None and wishes.retries is not None:
        return wishes.retries
    own = walk.frame.snapshot.runtimes[deployment.provider].retries
    plan, allowed = own or walk.candidates.route.retries or NO_RETRIES, walk.request.max_retries
    return plan if allowed is None else attrs.evolve(plan, max_retries=allowed)


def _backoff(retries: RetryConfig, round_number: int, chance: float) -> float:
    """Seconds to wait before the next round: full jitter over an exponential wait."""
    return min(retries.max_delay, retries.min_delay * retries.factor**round_number) * chance
