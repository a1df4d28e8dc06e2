"""What every routing strategy promises."""

from __future__ import annotations

import inspect
import random
from collections import Counter
from collections.abc import Sequence
from typing import Any, ClassVar, Final

import attrs
import pytest

from llmgate.spec import (
    Deployment,
    ExchangeView,
    ProviderConnectionError,
    ProviderRateLimitError,
    RoutingContext,
    StageContext,
)
from llmgate.testing.samples import sample_attempt, sample_deployment, sample_view

from .base import StageConformance

__all__ = ["RoutingConformance"]

_DRAWS: Final = 4000


class RoutingConformance(StageConformance):
    """Routing strategies.

    Attributes:
        weighs: Whether each deployment is to come first in proportion to its weight.
    """

    kind = "routing"
    weighs: ClassVar[bool] = False

    def rank(self, stage: Any, deployments: Sequence[Deployment], *, seed: int = 0, now: float = 1000.0) -> list[str]:
        """The ids as the stage ranks them, with dice of that seed."""
        context = RoutingContext(now=now, random=random.Random(seed).random)
        return [one.id for one in stage.rank(sample_view(), deployments, context)]

    def deployments(self, count: int) -> list[Deployment]:
        """That many deployments, of different weights."""
        return [sample_deployment(f"provider-{number}/model", weight=1.0 + number % 3) for number in range(count)]

    @pytest.mark.asyncio
    @pytest.mark.parametrize("count", [0, 1, 2, 3, 10, 1000])
    async def test_ranks_what_it_is_given(self, context: StageContext, count: int) -> None:
        """The answer has no repeats, nothing that was not there, and the input is left as it was."""
        given = self.deployments(count)
        before = list(given)
        async with self.opened(context) as stage:
            for seed in range(5):
                ranked = self.rank(stage, given, seed=seed)
                assert len(set(ranked)) == len(ranked), "a deployment is tried once"
                assert set(ranked) <= {one.id for one in given}, "rank what is given, add nothing"
                assert ranked or not given, "an empty answer leaves the request without a deployment"
        assert given == before, "rank a copy: the list belongs to the caller"

    @pytest.mark.asyncio
    async def test_the_same_dice_give_the_same_answer(self, context: StageContext) -> None:
        """Time and chance come from the context, and ranking changes no state."""
        given = self.deployments(5)
        async with self.opened(context) as stage:
            for seed in range(20):
                assert self.rank(stage, given, seed=seed) == self.rank(stage, given, seed=seed)

    def test_is_synchronous(self) -> None:
        """Ranking and learning do no I/O: none of the methods is a coroutine."""
        for name in ("rank", "started", "first_content", "finished"):
            assert not inspect.iscoroutinefunction(getattr(self.stage_class, name)), f"make {name} a plain method"

    @pytest.mark.asyncio
    async def test_learning_never_raises(self, context: StageContext) -> None:
        """Whatever becomes of an attempt, the strategy goes on."""
        given = self.deployments(3)
        ends: list[dict[str, Any]] = [
            {"finished": 1000.5, "status": 200, "first_content": 1000.2},
            {"finished": 1000.5, "status": 200},
            {"finished": 1000.0, "error": ProviderConnectionError("gone")},
            {"finished": 1000.1, "status": 429, "error": ProviderRateLimitError("slow down", upstream_status=429)},
            {"finished": 1003.0, "abandoned": True},
            {"finished": 999.0, "first_content": 998.0},
            {},
        ]
        async with self.opened(context) as stage:
            for end in ends:
                attempt = sample_attempt(given[0])
                stage.started(attempt)
                attempt = attrs.evolve(attempt, **end)
                if attempt.first_content is not None:
                    stage.first_content(attempt)
                stage.finished(attempt)
            # A reload may hand the end of an attempt to a strategy that has not seen its beginning.
            stage.first_content(sample_attempt(given[1], first_content=1000.1))
            stage.finished(sample_attempt(given[1], finished=1000.2))
            assert set(self.rank(stage, given, now=1010.0)) <= {one.id for one in given}

    @pytest.mark.asyncio
    async def test_weights_are_kept(self, context: StageContext) -> None:
        """In the long run each deployment is first as often as its weight says; or weights change nothing."""
        given = [sample_deployment(f"provider-{weight}/model", weight=weight) for weight in (1, 2, 5)]
        views = [sample_view() for _ in range(_DRAWS)]
        drawn = await self._drawn(context, given, views)
        if not self.weighs:
            even = [sample_deployment(one.id) for one in given]
            # Compared apart from the assertion: two thousand rankings make no readable difference, only a slow one.
            alike = drawn == await self._drawn(context, even, views)
            assert alike, "weights count here: set `weighs`"
            return
        first = Counter(float(ids[0].rpartition("/")[0].rpartition("-")[2]) for ids in drawn)
        for weight in (1, 2, 5):
            share, wanted = first[weight] / _DRAWS, weight / 8
            assert abs(share - wanted) < 0.04, f"weight {weight} of 8 came first in {share:.1%} of {_DRAWS} draws"

    async def _drawn(
        self, context: StageContext, given: Sequence[Deployment], views: Sequence[ExchangeView]
    ) -> list[list[str]]:
        """The rankings of a new stage for these exchanges, as ids; the same chance each time."""
        dice = random.Random(1)
        async with self.opened(context) as stage:
            return [
                [one.id for one in stage.rank(view, given, RoutingContext(now=1000.0, random=dice.random))]
                for view in views
            ]
