"""Deployments by how quickly they answer now: power of two choices over a peak-sensitive moving average."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final

import attrs

from llmgate.spec import (
    Attempt,
    Deployment,
    ExchangeView,
    GatewayClosedError,
    GatewayTimeoutError,
    InvalidRequestError,
    ProviderError,
    RoutingContext,
    RoutingStrategy,
)

__all__ = ["Latency", "LatencyConfig"]

_MAX_ENTRIES: Final = 10_000
"""Deployments remembered; beyond it those that have been idle longest are forgotten."""
_CALLERS_FAULT: Final = frozenset({400, 409, 413, 415, 422})
"""Upstream statuses that say something about the request and nothing about the deployment."""

_NOBODYS_FAULT: Final = (InvalidRequestError, GatewayTimeoutError, GatewayClosedError)
"""Errors of the gateway's own that say nothing about the deployment either."""


def _positive(_: object, attribute: attrs.Attribute[float], value: float) -> None:
    if not (value > 0 and math.isfinite(value)):
        raise ValueError(f"{attribute.name.replace('_', '-')} must be a positive number of seconds")


@attrs.frozen
class LatencyConfig:
    """The config of ``latency``, in seconds.

    Args:
        decay: Time constant with which an old measurement loses its weight: after this long 37 % of it is left.
        default_rtt: What a deployment is taken to need while its first attempt is under way.
        error_penalty: What a failed attempt is taken to have needed at least, so that one who fails quickly does not
            attract traffic.
    """

    decay: float = attrs.field(default=30.0, validator=_positive)
    default_rtt: float = attrs.field(default=0.25, validator=_positive)
    error_penalty: float = attrs.field(default=5.0, validator=_positive)


@attrs.define
class _Score:
    """What is known of one deployment.

    Args:
        cost: The moving average in seconds, as of ``stamp``.
        stamp: Monotonic seconds.
        in_flight: Attempts begun and not ended.
        measured: Whether ``cost`` comes from an attempt; else it is the default.
    """

    cost: float
    stamp: float
    in_flight: int = 0
    measured: bool = False


class Latency(RoutingStrategy[LatencyConfig]):
    """Sends traffic where the time to the first content, times the requests in flight, is lowest.

    The average is the peak-sensitive one of Finagle and Tower: a slower measurement is taken over at once, a quicker
    one by its age against ``decay``, and what is not measured fades, so that a slow or failing deployment is tried
    again after a while. Of two deployments drawn at random the better goes first, so that several gateways do not all
    rush at the same one; the others follow by score, for failover. A deployment that nobody has tried yet goes first:
    one that is never measured would never be chosen.
    """

    name = "latency"
    config_class = LatencyConfig

    def __init__(self, config: LatencyConfig) -> None:
        super().__init__(config)
        self._scores: dict[str, _Score] = {}

    def rank(
        self, view: ExchangeView, deployments: Sequence[Deployment], context: RoutingContext
    ) -> Sequence[Deployment]:
        """The winner of two draws, then the others by score; equal scores in random order."""
        del view
        count = len(deployments)
        if count < 2:
            return tuple(deployments)
        now, chance, exp, decay = context.now, context.random, math.exp, self.config.decay
        scores, new, scored = self._scores, False, []
        for position, one in enumerate(deployments):
            known = scores.get(one.id)
            if known is None:
                score, new = 0.0, True
            else:
                score = known.cost * (known.in_flight + 1) * exp((known.stamp - now) / decay)
            scored.append((score, chance(), position))
        scored.sort()
        ranked = [deployments[entry[2]] for entry in scored]
        if not new:
            # The better of two draws: whoever they would have been, one of them is the better by its place.
            first = int(chance() * count)
            second = (first + 1 + int(chance() * (count - 1))) % count
            if first and second:
                ranked.insert(0, ranked.pop(first if first < second else second))  # noqa: FURB136 - each request comes by
        return ranked

    def score(self, deployment: Deployment, now: float) -> float:
        """Seconds to the first content that a request sent now is taken to need; the lower the better.

        Args:
            deployment: The deployment.
            now: Monotonic seconds.
        """
        known = self._scores.get(deployment.id)
        return 0.0 if known is None else known.cost * (known.in_flight + 1) * self._faded(known, now)

    def started(self, attempt: Attempt) -> None:
        """Count the attempt as in flight."""
        known = self._scores.get(attempt.deployment.id) or self._known(attempt, attempt.started)
        known.in_flight += 1

    def first_content(self, attempt: Attempt) -> None:
        """Take the measurement."""
        if attempt.first_content is not None:
            self._measured(attempt, attempt.first_content - attempt.started, attempt.first_content)

    def finished(self, attempt: Attempt) -> None:
        """Count the attempt as ended; measure an answer without a first content, and a failure."""
        now = attempt.started if attempt.finished is None else attempt.finished
        known = self._known(attempt, now)
        if known.in_flight > 0:
            known.in_flight -= 1
        if attempt.error is None and attempt.first_content is not None:
            return
        elapsed = max(0.0, now - attempt.started)
        if _deployment_failed(attempt):
            self._measured(attempt, max(elapsed, self.config.error_penalty), now)
        elif attempt.first_content is not None:
            return
        elif (attempt.error is None and not attempt.abandoned) or elapsed > known.cost * self._faded(known, now):
            # Of an answer that nobody waited for, all that is known is that it takes longer than this.
            self._measured(attempt, elapsed, now)

    def _faded(self, known: _Score, now: float) -> float:
        age = now - known.stamp
        return math.exp(-age / self.config.decay) if age > 0.0 else 1.0

    def _measured(self, attempt: Attempt, seconds: float, now: float) -> None:
        known = self._scores.get(attempt.deployment.id) or self._known(attempt, now)
        if seconds < 0.0:
            seconds = 0.0
        age = now - known.stamp
        if age > 0.0:
            weight, known.stamp = math.exp(-age / self.config.decay), now
        else:
            weight = 1.0
        old = known.cost * weight
        known.cost = seconds if seconds >= old or not known.measured else old + seconds * (1 - weight)
        known.measured = True

    def _known(self, attempt: Attempt, now: float) -> _Score:
        """The deployment's score, moved to the end of the line of those that may be forgotten."""
        key = attempt.deployment.id
        known = self._scores.pop(key, None)
        if known is None:
            known = _Score(self.config.default_rtt, now)
            self._forget()
        self._scores[key] = known
        return known

    def _forget(self) -> None:
        if len(self._scores) < _MAX_ENTRIES:
            return
        idle = next((key for key, known in self._scores.items() if known.in_flight == 0), None)
        if idle is not None:
            del self._scores[idle]


def _deployment_failed(attempt: Attempt) -> bool:
    """Whether an attempt failed through the deployment: not because the caller left, or asked for nonsense."""
    error = attempt.error
    if error is None or attempt.abandoned or isinstance(error, _NOBODYS_FAULT):
        return False
    return not (isinstance(error, ProviderError) and error.upstream_status in _CALLERS_FAULT)
