"""Deployments in any order, each as likely as the others."""

from __future__ import annotations

from collections.abc import Sequence

from llmgate.spec import Deployment, ExchangeView, NoConfig, RoutingContext, RoutingStrategy

__all__ = ["Shuffle"]


class Shuffle(RoutingStrategy[NoConfig]):
    """Shuffles deployments: every order is as likely as any other, whatever their weights."""

    name = "random"

    def rank(
        self, view: ExchangeView, deployments: Sequence[Deployment], context: RoutingContext
    ) -> Sequence[Deployment]:
        """The deployments as drawn."""
        del view
        if len(deployments) < 2:
            return tuple(deployments)
        drawn = sorted((context.random(), position) for position in range(len(deployments)))
        return tuple(deployments[position] for _, position in drawn)
