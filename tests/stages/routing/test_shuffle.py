"""``random``: every order is as likely as any other."""

from __future__ import annotations

import itertools
import random
from collections import Counter

from llmgate.spec import NoConfig, RoutingContext
from llmgate.stages.routing.shuffle import Shuffle
from llmgate.testing.samples import sample_deployment, sample_view

DRAWS = 12_000


def test_every_order_is_as_likely_as_any_other() -> None:
    stage, view, dice = Shuffle(NoConfig()), sample_view(), random.Random(11)
    given = [sample_deployment(f"{name}/m", weight=weight) for name, weight in {"a": 1, "b": 50, "c": 0}.items()]
    context = RoutingContext(now=0.0, random=dice.random)
    seen = Counter("".join(one.provider_name for one in stage.rank(view, given, context)) for _ in range(DRAWS))
    assert set(seen) == {"".join(order) for order in itertools.permutations("abc")}
    expected = DRAWS / 6
    three_sigma = 3 * (expected * 5 / 6) ** 0.5
    assert all(abs(count - expected) < three_sigma for count in seen.values()), seen


def test_equal_draws_leave_none_out() -> None:
    given = [sample_deployment(f"{name}/m") for name in "abc"]
    assert len(Shuffle(NoConfig()).rank(sample_view(), given, RoutingContext(now=0.0, random=lambda: 0.5))) == 3
