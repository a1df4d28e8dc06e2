"""Shares of the callers to each deployment, the same caller always to the same one: canaries and experiments."""

from __future__ import annotations

import hashlib
import itertools
import math
from collections.abc import Mapping, Sequence
from typing import Final

import attrs

from llmgate.formats.end_user import end_user_of
from llmgate.spec import Deployment, ExchangeView, RoutingContext, RoutingStrategy

__all__ = ["Split", "SplitConfig", "segment"]

_HEADERS: Final[Mapping[str, str]] = {"user": "helicone-user-id", "session": "helicone-session-id"}
"""Where callers may say what else stands in the body; the header wins, as it does for limits and records."""


def _some_text(_: object, attribute: attrs.Attribute[str], value: str) -> None:
    if not value.strip():
        raise ValueError(f"{attribute.name}: write user, principal, exchange, or the name of a label such as session")


@attrs.frozen
class SplitConfig:
    """The config of ``split``.

    Args:
        by: Who stays together: ``user`` (the header Helicone-User-Id, else the request's own field), ``principal`` (who
            has logged in), ``exchange`` (each request for itself, so that its id tells where it went), or the name of a
            label in the request's metadata, such as ``session`` (for which the header Helicone-Session-Id comes first).
            Requests that name nobody are drawn by chance, in the same shares.
        seed: Any text; another one deals the callers out anew, so that two experiments do not pick the same ones.
    """

    by: str = attrs.field(default="user", validator=_some_text)
    seed: str = ""


class Split(RoutingStrategy[SplitConfig]):
    """Deals callers out by weight: each has a fixed place between 0 and 1, and each deployment a segment of that line.

    The segments stand in written order, so that the last one keeps its callers while it grows. Nothing is stored:
    every process, and every replica, deals alike. The other deployments follow for failover, in an order of each
    caller's own, by weight; laid over another strategy, in that one's order. One of weight 0 is the last resort.
    """

    name = "split"
    wraps = True
    config_class = SplitConfig

    def rank(
        self, view: ExchangeView, deployments: Sequence[Deployment], context: RoutingContext
    ) -> Sequence[Deployment]:
        """The deployment whose segment the caller is in, then the others."""
        if len(deployments) < 2:
            return tuple(deployments)
        key = self._key(view)
        place = context.random() if key is None else self._share(key)
        first = segment(place, [one.weight for one in deployments])
        if context.then is not None:
            rest = [one for position, one in enumerate(deployments) if position != first]
            return (deployments[first], *context.then(rest))
        others = [
            (_distance(context.random() if key is None else self._share(key, one.id), one.weight), position)
            for position, one in enumerate(deployments)
            if position != first
        ]
        return (deployments[first], *(deployments[position] for _, position in sorted(others)))

    def _key(self, view: ExchangeView) -> str | None:
        by = self.config.by
        named = view.client_headers.get(_HEADERS[by]) if by in _HEADERS else None
        if named:
            return named
        if by == "user":
            return end_user_of(view.request)
        if by == "principal":
            return f"{view.principal.issuer}\n{view.principal.id}"
        if by == "exchange":
            return view.id
        return view.request.metadata.get(by) or None

    def _share(self, key: str, deployment: str = "") -> float:
        """A number in [0, 1) that is a key's own, the same in every process."""
        text = f"{self.config.seed}\0{deployment}\0{key}".encode("utf-8", "surrogatepass")
        # 53 bits, as many as a float holds: the quotient never rounds up to 1.
        return (int.from_bytes(hashlib.blake2b(text, digest_size=8).digest()) >> 11) / 2**53


def segment(place: float, weights: Sequence[float]) -> int:
    """The position of the weight whose segment a place is in; 0 where no weight is above 0.

    Args:
        place: From 0 up to, and without, 1.
        weights: Lengths of the segments, in any unit.
    """
    ends = list(itertools.accumulate(weights))
    wanted = place * ends[-1]
    return next((position for position, end in enumerate(ends) if wanted < end), 0)


def _distance(share: float, weight: float) -> float:
    """How far a deployment is from the front: exponentially distributed, so that weights are kept."""
    return -math.log1p(-share) / weight if weight > 0 else math.inf
