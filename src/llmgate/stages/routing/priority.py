"""Deployments in the order in which the configuration lists them."""

from __future__ import annotations

from collections.abc import Sequence

from llmgate.spec import Deployment, ExchangeView, NoConfig, RoutingContext, RoutingStrategy

__all__ = ["Priority"]


class Priority(RoutingStrategy[NoConfig]):
    """Tries deployments in written order: the first while it works, the next when it fails."""

    name = "priority"

    def rank(
        self, view: ExchangeView, deployments: Sequence[Deployment], context: RoutingContext
    ) -> Sequence[Deployment]:
        """The deployments as they stand."""
        del view, context
        return tuple(deployments)
