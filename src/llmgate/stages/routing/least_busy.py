"""Deployments by how many attempts run at them now."""

from __future__ import annotations

from collections.abc import Sequence

from llmgate.spec import Attempt, Deployment, ExchangeView, NoConfig, RoutingContext, RoutingStrategy

__all__ = ["LeastBusy"]


class LeastBusy(RoutingStrategy[NoConfig]):
    """Sends traffic where the fewest attempts are running; equally busy deployments in random order.

    An attempt runs until its answer has been read to the end, so a long stream counts for as long as it lasts. Good for
    servers of one's own, where what runs is what slows the next one down. Each process counts its own attempts.
    """

    name = "least-busy"

    def __init__(self, config: NoConfig) -> None:
        super().__init__(config)
        self._running: dict[str, int] = {}

    def rank(
        self, view: ExchangeView, deployments: Sequence[Deployment], context: RoutingContext
    ) -> Sequence[Deployment]:
        """The deployments by what runs at them."""
        del view
        if len(deployments) < 2:
            return tuple(deployments)
        drawn = sorted(
            (self._running.get(one.id, 0), context.random(), position) for position, one in enumerate(deployments)
        )
        return tuple(deployments[position] for _, _, position in drawn)

    def started(self, attempt: Attempt) -> None:
        """Count the attempt; what is kept is bounded by the attempts that run."""
        key = attempt.deployment.id
        self._running[key] = self._running.get(key, 0) + 1

    def finished(self, attempt: Attempt) -> None:
        """Count it no longer."""
        key = attempt.deployment.id
        left = self._running.pop(key, 0) - 1
        if left > 0:
            self._running[key] = left
