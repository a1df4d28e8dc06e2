"""``sticky``: keys stay where they are, weights are kept, failures release for a while."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import attrs
import pytest
from llmgate_sticky.config import StickyConfig
from llmgate_sticky.strategy import StickyStrategy

from llmgate.spec import (
    Deployment,
    ExchangeView,
    GatewayError,
    InvalidRequestError,
    ProviderConnectionError,
    ProviderError,
    ProviderRateLimitError,
    RoutingContext,
)
from llmgate.testing.samples import sample_attempt, sample_deployment, sample_exchange, sample_request

A, B, C, D = (sample_deployment(f"{name}/model") for name in "abcd")
GONE = ProviderConnectionError("gone", retryable=True)


@pytest.fixture
def stage() -> StickyStrategy:
    return StickyStrategy(StickyConfig(by="session", release=30))


def order(
    stage: StickyStrategy, session: str, deployments: Sequence[Deployment] = (A, B, C), now: float = 0.0
) -> list[Deployment]:
    view = ExchangeView(sample_exchange(attrs.evolve(sample_request(), metadata={"session": session})))
    return list(stage.rank(view, deployments, RoutingContext(now=now, random=lambda: 0.5)))


def ended(stage: StickyStrategy, one: Deployment, error: GatewayError | None, *, abandoned: bool = False) -> None:
    attempt = sample_attempt(one, started=0.0)
    stage.started(attempt)
    attempt.finished, attempt.error, attempt.abandoned = 1.0, error, abandoned
    stage.finished(attempt)


def test_a_session_stays_where_it_is_whatever_the_order_and_the_process(stage: StickyStrategy) -> None:
    other = StickyStrategy(StickyConfig(by="session"))
    for number in range(50):
        first = order(stage, f"s{number}")
        assert order(stage, f"s{number}", (C, B, A), now=99.0) == first
        assert order(other, f"s{number}") == first


def test_the_order_is_the_same_for_good() -> None:
    """Another order in a later release would empty every prompt cache on the day of the update."""
    stage = StickyStrategy(StickyConfig(by="session"))
    orders = ["".join(one.provider_name for one in order(stage, f"s{number}", (A, B, C, D))) for number in range(6)]
    assert orders == ["bacd", "bacd", "dcab", "cabd", "dcba", "dacb"]


def test_sessions_are_spread(stage: StickyStrategy) -> None:
    first = Counter(order(stage, f"s{number}")[0].id for number in range(3000))
    assert all(abs(first[one.id] - 1000) < 120 for one in (A, B, C))


def test_weights_are_kept(stage: StickyStrategy) -> None:
    weighted = [attrs.evolve(A, weight=1.0), attrs.evolve(B, weight=3.0), attrs.evolve(C, weight=0.0)]
    ranked = [order(stage, f"s{number}", weighted) for number in range(4000)]
    first = Counter(one[0].id for one in ranked)
    assert abs(first[B.id] - 3000) < 150
    assert all(one[-1].id == C.id for one in ranked)


def test_only_the_keys_of_a_deployment_that_goes_move(stage: StickyStrategy) -> None:
    moved = 0
    for number in range(1000):
        four = order(stage, f"s{number}", (A, B, C, D))
        three = order(stage, f"s{number}", (A, B, C))
        assert three == [one for one in four if one != D]
        moved += four[0] != three[0]
    assert 180 < moved < 320


def test_who_has_failed_is_last_for_a_while_and_then_has_its_keys_again(stage: StickyStrategy) -> None:
    first, second, third = order(stage, "s")
    ended(stage, first, GONE)
    assert order(stage, "s", now=30.9) == [second, third, first]
    assert order(stage, "s", now=31.1) == [first, second, third]


def test_who_answers_is_taken_back_at_once(stage: StickyStrategy) -> None:
    before = order(stage, "s")
    ended(stage, before[0], GONE)
    ended(stage, before[0], None)
    assert order(stage, "s", now=2.0) == before


def test_who_asks_for_longer_gets_it(stage: StickyStrategy) -> None:
    first = order(stage, "s")[0]
    ended(stage, first, ProviderRateLimitError("slow down", retryable=True, retry_after=120))
    assert order(stage, "s", now=120.0)[-1] == first
    assert order(stage, "s", now=121.5)[0] == first


@pytest.mark.parametrize(
    ("error", "abandoned"),
    [
        (InvalidRequestError("no such field"), False),
        (ProviderError("answered 400", upstream_status=400, retryable=False), False),
        (GONE, True),
        (None, True),
    ],
)
def test_what_is_not_its_fault_releases_nobody(
    stage: StickyStrategy, error: GatewayError | None, abandoned: bool
) -> None:
    before = order(stage, "s")
    ended(stage, before[0], error, abandoned=abandoned)
    assert order(stage, "s", now=1.0) == before


def test_a_caller_that_leaves_says_nothing_about_a_failure_before(stage: StickyStrategy) -> None:
    first = order(stage, "s")[0]
    ended(stage, first, GONE)
    ended(stage, first, None, abandoned=True)
    assert order(stage, "s", now=2.0)[-1] == first


def test_without_a_key_chance_decides(stage: StickyStrategy) -> None:
    view = ExchangeView(sample_exchange(sample_request()))
    dice = iter([0.9, 0.1, 0.5])
    ranked = stage.rank(view, (A, B, C), RoutingContext(now=0.0, random=lambda: next(dice)))
    assert list(ranked) == [B, C, A]


def test_what_is_remembered_is_bounded(stage: StickyStrategy) -> None:
    for number in range(10_050):
        ended(stage, sample_deployment(f"p/{number}"), GONE)
    assert len(stage._released) == 10_000
