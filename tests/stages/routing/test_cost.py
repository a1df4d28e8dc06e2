"""``cost``: the cheapest for this very request comes first, the unknown behind the known, the incapable last."""

from __future__ import annotations

import random
from typing import Any

import attrs
import pytest
from hypothesis import given, strategies as st

from llmgate.spec import Deployment, ModelFacts, Operation, Price, PriceRow, Rates, RoutingContext
from llmgate.stages.routing.cost import Cost, CostConfig
from llmgate.testing.samples import sample_deployment, sample_exchange, sample_request, sample_view

USUAL = CostConfig()


def costing(name: str, input_rate: int, output_rate: int, **row: Any) -> Deployment:
    price = Price((PriceRow(Rates(input=input_rate, output=output_rate), **row),))
    return sample_deployment(f"{name}/m", price=price)


def ranked(*deployments: Deployment, size: int = 4000, config: CostConfig = USUAL, **request: Any) -> list[str]:
    asked = attrs.evolve(sample_request(), body=b"x" * size, **request)
    view = sample_view(sample_exchange(asked))
    context = RoutingContext(now=0.0, random=random.Random(1).random)
    return [one.provider_name for one in Cost(config).rank(view, deployments, context)]


def test_the_cheapest_comes_first_and_the_others_follow_by_cost() -> None:
    assert ranked(costing("dear", 9, 9), costing("cheap", 1, 1), costing("middle", 5, 5)) == ["cheap", "middle", "dear"]


def test_what_is_cheapest_depends_on_the_request() -> None:
    reader, writer = costing("reader", 1, 100), costing("writer", 10, 10)
    assert ranked(reader, writer, size=400) == ["writer", "reader"]
    assert ranked(reader, writer, size=400_000) == ["reader", "writer"]
    assert ranked(reader, writer, size=400, config=CostConfig(expected_output=1)) == ["reader", "writer"]


def test_unknown_prices_stand_behind_known_ones_in_written_order() -> None:
    unknown = [sample_deployment(f"{name}/m") for name in ("x", "y")]
    assert ranked(unknown[0], costing("dear", 10**9, 10**9), unknown[1]) == ["dear", "x", "y"]


def test_a_price_that_lacks_what_is_billed_is_unknown() -> None:
    half = sample_deployment("half/m", price=Price((PriceRow(Rates(input=1)),)))
    assert ranked(half, costing("whole", 9, 9)) == ["whole", "half"]


def test_equally_dear_ones_stay_in_written_order() -> None:
    assert ranked(*(costing(name, 5, 5) for name in "cab")) == ["c", "a", "b"]


def test_what_is_free_is_cheapest() -> None:
    assert ranked(costing("paid", 1, 1), costing("free", 0, 0)) == ["free", "paid"]


def test_one_that_cannot_hold_the_request_comes_last() -> None:
    small = attrs.evolve(costing("small", 1, 1), facts=ModelFacts(context_window=1000))
    assert ranked(small, costing("large", 9, 9), size=4000) == ["small", "large"]
    assert ranked(small, costing("large", 9, 9), sample_deployment("unknown/m"), size=4004)[-1] == "small"


def test_rates_for_long_input_count() -> None:
    steep = costing("steep", 1, 1, longer=((1000, Rates(input=50, output=50)),))
    assert ranked(steep, costing("flat", 5, 5), size=4000)[0] == "steep"
    assert ranked(steep, costing("flat", 5, 5), size=8000)[0] == "flat"


def test_the_price_of_now_counts() -> None:
    """The sample exchange begins at 22:13 UTC."""
    night = costing("night", 1, 1, daily=(79_200, 3600))
    day = costing("day", 1, 1, daily=(3600, 79_200))
    assert ranked(day, night, costing("always", 5, 5)) == ["night", "always", "day"]


@pytest.mark.parametrize(
    ("operation", "rates"),
    [
        (Operation.EMBEDDINGS, Rates(input=1)),
        (Operation.IMAGE_GENERATION, Rates(image=1)),
        (Operation.TRANSCRIPTION, Rates(audio_hour=60)),
        (Operation.RERANK, Rates(search_unit=1)),
    ],
)
def test_what_is_not_billed_by_the_written_token_is_compared_too(operation: Operation, rates: Rates) -> None:
    dear = sample_deployment("dear/m", price=Price((PriceRow(Rates(**_tenfold(rates))),)))
    cheap = sample_deployment("cheap/m", price=Price((PriceRow(rates),)))
    assert ranked(dear, cheap, operation=operation) == ["cheap", "dear"]


def _tenfold(rates: Rates) -> dict[str, int]:
    return {name: value * 10 for name, value in attrs.asdict(rates).items() if value and name != "audio_least"}


def test_every_request_goes_to_the_same_cheapest_one() -> None:
    """Over 100,000 draws nothing is left to chance."""
    given_ = [costing("a", 3, 3), costing("b", 2, 2), sample_deployment("c/m"), costing("d", 2, 2)]
    stage, view, dice = Cost(CostConfig()), sample_view(), random.Random(7)
    first = {stage.rank(view, given_, RoutingContext(now=0.0, random=dice.random))[0].id for _ in range(100_000)}
    assert first == {"b/m"}


@given(st.lists(st.none() | st.tuples(st.integers(0, 10**9), st.integers(0, 10**9)), min_size=1, max_size=12))
def test_the_order_is_that_of_the_sums(prices: list[tuple[int, int] | None]) -> None:
    deployments = [
        sample_deployment(f"p{number}/m") if rates is None else costing(f"p{number}", *rates)
        for number, rates in enumerate(prices)
    ]
    expected = sorted(
        range(len(prices)),
        key=lambda one: (
            prices[one] is None,
            0 if (rates := prices[one]) is None else rates[0] * 1000 + rates[1] * 500,
        ),
    )
    assert ranked(*deployments) == [f"p{number}" for number in expected]
