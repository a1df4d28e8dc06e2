"""``weighted``: each deployment is first by its weight, the next by the weights of those that are left."""

from __future__ import annotations

import random
from collections import Counter

import pytest

from llmgate.spec import NoConfig, RoutingContext
from llmgate.stages.routing.weighted import Weighted
from llmgate.testing.samples import sample_deployment, sample_view


def orders(weights, draws=6000):
    stage = Weighted(NoConfig())
    given = [sample_deployment(f"{name}/m", weight=weight) for name, weight in weights.items()]
    dice = random.Random(3)
    view = sample_view()
    return Counter(
        "".join(one.provider_name for one in stage.rank(view, given, RoutingContext(now=0.0, random=dice.random)))
        for _ in range(draws)
    )


def test_whole_orders_have_the_chances_of_drawing_without_putting_back():
    seen = orders({"a": 1, "b": 2, "c": 3})
    chances = {
        "abc": 1 / 6 * 2 / 5,
        "acb": 1 / 6 * 3 / 5,
        "bac": 2 / 6 * 1 / 4,
        "bca": 2 / 6 * 3 / 4,
        "cab": 3 / 6 * 1 / 3,
        "cba": 3 / 6 * 2 / 3,
    }
    for order, chance in chances.items():
        assert seen[order] / 6000 == pytest.approx(chance, abs=0.025), order


def test_weight_nought_is_the_last_resort_in_written_order():
    assert {order[1:] for order in orders({"x": 0, "a": 5, "y": 0}, 50)} == {"xy"}
    assert set(orders({"x": 0, "y": 0}, 50)) == {"xy"}


def test_the_edges_of_chance_do_no_harm():
    given = [sample_deployment("a/m", weight=1e-300), sample_deployment("b/m", weight=1e300)]
    for number in (0.0, 1.0 - 2**-53):
        ranked = Weighted(NoConfig()).rank(sample_view(), given, RoutingContext(now=0.0, random=lambda n=number: n))
        assert len(ranked) == 2
