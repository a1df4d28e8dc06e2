"""Where chance decides, it decides as it says: 100,000 draws of each strategy, every share within three sigma."""

from __future__ import annotations

import collections
import math
import random
from collections.abc import Mapping, Sequence
from typing import Any

import attrs
import pytest

from llmgate.spec import Deployment, ExchangeView, RoutingContext, RoutingStrategy
from llmgate.stages.routing.latency import Latency, LatencyConfig
from llmgate.stages.routing.least_busy import LeastBusy, NoConfig
from llmgate.stages.routing.priority import Priority
from llmgate.stages.routing.shuffle import Shuffle
from llmgate.stages.routing.split import Split, SplitConfig
from llmgate.stages.routing.tags import Tags, TagsConfig
from llmgate.stages.routing.weighted import Weighted
from llmgate.testing.samples import sample_attempt, sample_deployment, sample_view

DRAWS = 100_000
WEIGHTS = (1.0, 2.0, 5.0)
GIVEN = [sample_deployment(f"p/{place}", weight=weight) for place, weight in enumerate(WEIGHTS)]
EVEN = (1 / 3, 1 / 3, 1 / 3)
BY_WEIGHT = tuple(weight / sum(WEIGHTS) for weight in WEIGHTS)


def within(counts: Mapping[str, int], shares: Sequence[float], draws: int = DRAWS) -> None:
    for one, share in zip(GIVEN, shares, strict=True):
        sigma = math.sqrt(draws * share * (1 - share))
        assert abs(counts[one.id] - draws * share) <= 3 * sigma, (one.id, counts, shares)


def firsts(
    stage: RoutingStrategy[Any], view: ExchangeView | None = None, given: Sequence[Deployment] = GIVEN
) -> collections.Counter[str]:
    chance = random.Random(11).random
    seen = view or sample_view()
    return collections.Counter(
        stage.rank(seen, given, RoutingContext(now=1000.0, random=chance))[0].id for _ in range(DRAWS)
    )


def measured(seconds: Sequence[float]) -> Latency:
    stage = Latency(LatencyConfig())
    for one, wait in zip(GIVEN, seconds, strict=True):
        attempt = sample_attempt(one, started=1000.0, first_content=1000.0 + wait, finished=1000.0 + wait)
        stage.started(attempt)
        stage.first_content(attempt)
        stage.finished(attempt)
    return stage


@pytest.mark.parametrize(
    ("stage", "shares"),
    [
        (Weighted(NoConfig()), BY_WEIGHT),
        (Split(SplitConfig()), BY_WEIGHT),
        (Shuffle(NoConfig()), EVEN),
        (LeastBusy(NoConfig()), EVEN),
        (Latency(LatencyConfig()), EVEN),
        (Priority(NoConfig()), (1.0, 0.0, 0.0)),
        (Tags(TagsConfig(["x"])), (1.0, 0.0, 0.0)),
    ],
    ids=lambda value: value.name if isinstance(value, RoutingStrategy) else "",
)
def test_who_comes_first(stage: RoutingStrategy[Any], shares: Sequence[float]) -> None:
    within(firsts(stage), shares)


def test_of_two_that_latency_draws_the_quicker_one_comes_first() -> None:
    """Of three pairs, each as likely, the quickest is in two, and the next one is the better half of one."""
    within(firsts(measured((0.1, 0.5, 0.9))), (2 / 3, 1 / 3, 0.0))


def test_callers_are_dealt_out_by_weight() -> None:
    stage, chance = Split(SplitConfig(by="exchange")), random.Random(5).random
    counts: collections.Counter[str] = collections.Counter()
    plain = sample_view()
    for number in range(DRAWS):
        plain._exchange.id = f"exchange-{number}"
        counts[stage.rank(plain, GIVEN, RoutingContext(now=0.0, random=chance))[0].id] += 1
    within(counts, BY_WEIGHT)


def test_who_comes_second_is_drawn_by_what_is_left_of_the_weights() -> None:
    chance, stage = random.Random(3).random, Weighted(NoConfig())
    counts: collections.Counter[tuple[str, str]] = collections.Counter()
    for _ in range(DRAWS):
        ranked = stage.rank(sample_view(), GIVEN, RoutingContext(now=0.0, random=chance))
        counts[ranked[0].id, ranked[1].id] += 1
    for first, heavy in enumerate(WEIGHTS):
        for second, weight in enumerate(WEIGHTS):
            if first == second:
                continue
            share = heavy / sum(WEIGHTS) * weight / (sum(WEIGHTS) - heavy)
            sigma = math.sqrt(DRAWS * share * (1 - share))
            assert abs(counts[f"p/{first}", f"p/{second}"] - DRAWS * share) <= 3 * sigma


def test_laid_over_another_a_split_keeps_its_shares() -> None:
    chance, stage = random.Random(4).random, Split(SplitConfig())
    context = RoutingContext(now=0.0, random=chance, then=tuple)
    counts = collections.Counter(stage.rank(sample_view(), GIVEN, attrs.evolve(context))[0].id for _ in range(DRAWS))
    within(counts, BY_WEIGHT)
