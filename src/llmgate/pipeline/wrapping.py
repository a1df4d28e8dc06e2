"""One routing strategy laid over another, as a balance may have it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import attrs

from llmgate.spec import Attempt, Deployment, ExchangeView, NoConfig, RoutingContext, RoutingStrategy

__all__ = ["Wrapping"]


class Wrapping(RoutingStrategy[NoConfig]):
    """Ranks by the outer strategy, which leaves to the inner one what it does not tell apart; both learn.

    Args:
        outer: The strategy that is asked.
        inner: The one below it.
    """

    name = "wrapping"

    def __init__(self, outer: RoutingStrategy[Any], inner: RoutingStrategy[Any]) -> None:
        super().__init__(NoConfig())
        self._outer = outer
        self._inner = inner

    def rank(
        self, view: ExchangeView, deployments: Sequence[Deployment], context: RoutingContext
    ) -> Sequence[Deployment]:
        """The deployments as both rank them."""

        def then(left: Sequence[Deployment]) -> Sequence[Deployment]:
            return self._inner.rank(view, left, context)

        return self._outer.rank(view, deployments, attrs.evolve(context, then=then))

    def started(self, attempt: Attempt) -> None:
        """Tell both."""
        self._outer.started(attempt)
        self._inner.started(attempt)

    def first_content(self, attempt: Attempt) -> None:
        """Tell both."""
        self._outer.first_content(attempt)
        self._inner.first_content(attempt)

    def finished(self, attempt: Attempt) -> None:
        """Tell both."""
        self._outer.finished(attempt)
        self._inner.finished(attempt)
