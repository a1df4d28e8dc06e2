"""Rendezvous hashing, and how long a deployment that has failed is left alone."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from typing import Final

from llmgate.spec import Attempt, Deployment, ExchangeView, ProviderError, RoutingContext, RoutingStrategy

from .config import StickyConfig
from .keys import key_of

__all__ = ["StickyStrategy"]

_MOST: Final = 10_000
"""Deployments remembered as having failed; beyond it the one that failed longest ago is forgotten."""


class StickyStrategy(RoutingStrategy[StickyConfig]):
    """Sends the same user, principal or session to the same deployment, which has its prompt in a cache.

    Weighted rendezvous hashing (Thaler and Ravishankar, "Using name-based mappings to increase hit rates", 1998):
    nothing is stored, every process comes to the same order, and a deployment that goes moves no keys but its own. Laid
    over another strategy it leaves to that one the requests without a key, and the order of those that follow.
    """

    name = "sticky"
    wraps = True
    config_class = StickyConfig

    def __init__(self, config: StickyConfig) -> None:
        super().__init__(config)
        self._released: dict[str, float] = {}

    def rank(
        self, view: ExchangeView, deployments: Sequence[Deployment], context: RoutingContext
    ) -> Sequence[Deployment]:
        """The order of the request's key; those that have failed lately are last, in that order."""
        if len(deployments) < 2:
            return tuple(deployments)
        key = key_of(view, self.config.by)
        if key is None and context.then is not None:
            return context.then(deployments)
        places = [
            (
                self._released.get(one.id, -math.inf) > context.now,
                _distance(context.random() if key is None else _share(key, one.id), one.weight),
                position,
            )
            for position, one in enumerate(deployments)
        ]
        ranked = tuple(deployments[position] for _, _, position in sorted(places))
        return ranked if context.then is None else (ranked[0], *context.then(ranked[1:]))

    def finished(self, attempt: Attempt) -> None:
        """Release a deployment that has failed, take back one that has answered."""
        key = attempt.deployment.id
        error = attempt.error
        if error is None:
            if not attempt.abandoned:
                self._released.pop(key, None)
        elif isinstance(error, ProviderError) and error.retryable and not attempt.abandoned:
            ended = attempt.started if attempt.finished is None else attempt.finished
            self._released.pop(key, None)
            self._released[key] = ended + max(self.config.release, error.retry_after or 0.0)
            if len(self._released) > _MOST:
                del self._released[next(iter(self._released))]


def _share(key: str, deployment: str) -> float:
    """A number in [0, 1) that a key and a deployment have in common, the same in every process."""
    text = f"{deployment}\0{key}".encode("utf-8", "surrogatepass")
    # 53 bits, as many as a float holds: the quotient never rounds up to 1.
    return (int.from_bytes(hashlib.blake2b(text, digest_size=8).digest()) >> 11) / 2**53


def _distance(share: float, weight: float) -> float:
    """How far a deployment is from the front: exponentially distributed, so that weights are kept."""
    return -math.log1p(-share) / weight if weight > 0 else math.inf
