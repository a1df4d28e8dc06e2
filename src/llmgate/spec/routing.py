"""The kind that puts deployments in order."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Sequence
from typing import ClassVar

import attrs

from .deployments import Deployment
from .exchange import Attempt, ExchangeView
from .stage import ConfigT, Stage

__all__ = ["RoutingContext", "RoutingStrategy"]


@attrs.frozen
class RoutingContext:
    """Time and chance for one decision.

    Args:
        now: Monotonic seconds.
        random: A number in [0, 1) at each call.
        then: Orders deployments that the strategy does not tell apart, where it is laid over another one; None where
            it stands alone.
    """

    now: float
    random: Callable[[], float]
    then: Callable[[Sequence[Deployment]], Sequence[Deployment]] | None = None


class RoutingStrategy(Stage[ConfigT]):
    """Ranks deployments. Synchronous and without I/O; what it learns, it learns from attempts."""

    wraps: ClassVar[bool] = False
    """Whether it can be laid over another one, to which it leaves what it does not tell apart (``context.then``)."""
    orders_models: ClassVar[bool] = False
    """Whether it also orders the models of a chain that a request names; they are tried as they stand otherwise."""

    @abstractmethod
    def rank(
        self, view: ExchangeView, deployments: Sequence[Deployment], context: RoutingContext
    ) -> Sequence[Deployment]:
        """The deployments in order of trial: no repeats, none added, fewer allowed. Changes no state."""

    def started(self, attempt: Attempt) -> None:
        """An attempt has begun."""

    def first_content(self, attempt: Attempt) -> None:
        """The first content of an attempt has come."""

    def finished(self, attempt: Attempt) -> None:
        """An attempt has ended, well or not; called exactly once for each that started."""
