"""Deployments in a random order in which heavier ones come first more often."""

from __future__ import annotations

import math
from collections.abc import Sequence

from llmgate.spec import Deployment, ExchangeView, NoConfig, RoutingContext, RoutingStrategy

__all__ = ["Weighted"]


class Weighted(RoutingStrategy[NoConfig]):
    """Draws deployments by weight, without putting any back: each is first in proportion to its ``weight``.

    A deployment of weight 0 is never drawn while another is left: it stands at the end, in written order, as a last
    resort. One exponential draw per deployment orders them all (Efraimidis and Spirakis, "Weighted random sampling with
    a reservoir", 2006).
    """

    name = "weighted"

    def rank(
        self, view: ExchangeView, deployments: Sequence[Deployment], context: RoutingContext
    ) -> Sequence[Deployment]:
        """The deployments as drawn."""
        del view
        if len(deployments) < 2:
            return tuple(deployments)
        drawn = [
            (-math.log1p(-context.random()) / deployment.weight if deployment.weight > 0 else math.inf, position)
            for position, deployment in enumerate(deployments)
        ]
        return tuple(deployments[position] for _, position in sorted(drawn))
