"""What attempts and exchanges cost: usage times price, nothing for what did nothing, unknown for what is not known."""

from __future__ import annotations

from typing import Any

import pytest

from llmgate.pipeline.costs import cost_of, cost_so_far, estimate
from llmgate.spec import (
    Attempt,
    Deployment,
    ErrorDetail,
    GatewayTimeoutError,
    InvalidRequestError,
    Operation,
    Outcome,
    Price,
    PriceRow,
    ProviderConnectionError,
    ProviderRateLimitError,
    ProviderTimeoutError,
    Rates,
    RelayTarget,
    Usage,
)
from llmgate.testing.samples import sample_attempt, sample_deployment, sample_exchange, sample_request

PRICE = Price((PriceRow(Rates(input=1_000, output=10_000)), PriceRow(Rates(input=500, output=5_000), tier="flex")))
USAGE = Usage(input_tokens=10, output_tokens=2)


def priced(price: Price | None = PRICE) -> Deployment:
    return sample_deployment(price=price)


def answered(**fields: Any) -> Attempt:
    values: dict[str, Any] = {"outcome": Outcome(usage=USAGE, content=True, complete=True), "status": 200}
    return sample_attempt(priced(), **{**values, **fields})


def test_a_whole_answer_costs_what_it_took() -> None:
    assert cost_of(answered(), sample_exchange()) == 30


def test_the_tier_of_service_is_the_one_that_was_given() -> None:
    outcome = Outcome(usage=USAGE, complete=True, service_tier="flex")
    assert cost_of(answered(outcome=outcome), sample_exchange()) == 15


@pytest.mark.parametrize(
    "attempt",
    [
        answered(outcome=Outcome(content=True, complete=True)),
        answered(outcome=Outcome(usage=USAGE, content=True)),  # cut: what was told by then is no account
        answered(outcome=Outcome(usage=USAGE, complete=True, service_tier="priority")),
        answered(outcome=Outcome(content=True), status=None, abandoned=True),
        answered(outcome=Outcome(), status=None, error=ProviderTimeoutError("late", lost=True)),
        answered(outcome=Outcome(), status=None, error=GatewayTimeoutError("late")),
        answered(outcome=Outcome(content=True, error=ErrorDetail("no")), error=ProviderConnectionError("cut")),
        sample_attempt(priced(None), outcome=Outcome(usage=USAGE, complete=True)),
    ],
    ids=["no-usage", "cut", "tier", "left", "lost", "deadline", "event-after-content", "no-price"],
)
def test_what_is_not_known_is_unknown(attempt: Attempt) -> None:
    assert cost_of(attempt, sample_exchange()) is None


@pytest.mark.parametrize(
    "attempt",
    [
        answered(outcome=Outcome(), status=429, error=ProviderRateLimitError("slow down")),
        answered(outcome=Outcome(), status=None, error=ProviderConnectionError("refused")),
        answered(outcome=Outcome(), status=None, error=InvalidRequestError("cannot be said there")),
        answered(outcome=Outcome(error=ErrorDetail("overloaded")), error=ProviderConnectionError("overloaded")),
        sample_attempt(priced(None), status=500, error=ProviderConnectionError("down")),
    ],
    ids=["refused", "unreachable", "unsaid", "event-before-content", "whatever-the-price"],
)
def test_what_did_nothing_costs_nothing(attempt: Attempt) -> None:
    assert cost_of(attempt, sample_exchange()) == 0


def test_counting_tokens_is_free() -> None:
    attempt = answered(outcome=Outcome(content=True, complete=True))
    assert cost_of(attempt, sample_exchange(operation=Operation.COUNT_TOKENS)) == 0


@pytest.mark.parametrize(("method", "cost"), [("GET", 0), ("DELETE", 0), ("POST", None)])
def test_a_relayed_request_that_makes_no_model_work_is_free(method: str, cost: int | None) -> None:
    request = sample_request()
    object.__setattr__(request, "relay", RelayTarget(method=method, path="/files"))
    attempt = answered(outcome=Outcome(complete=True))
    assert cost_of(attempt, sample_exchange(request, operation=Operation.RELAY)) == cost


def test_a_session_that_ends_badly_costs_what_its_answers_took() -> None:
    assert cost_of(answered(status=101, outcome=Outcome(usage=USAGE, content=True)), sample_exchange()) == 30


def test_the_model_that_says_it_has_answered_is_asked_where_the_name_asked_for_has_no_price() -> None:
    deployment = sample_deployment("azure/my-own-name", price={"gpt-4o-2024-08-06": PRICE})
    outcome = Outcome(usage=USAGE, model="gpt-4o-2024-08-06", complete=True)
    assert cost_of(sample_attempt(deployment, outcome=outcome), sample_exchange()) == 30


def test_an_exchange_costs_what_its_attempts_cost_and_is_unknown_where_one_is() -> None:
    first, second = answered(cost_nano=30), answered(cost_nano=12)
    assert sample_exchange(attempts=[first, second]).cost_nano == 42
    assert sample_exchange(attempts=[first, answered()]).cost_nano is None
    assert sample_exchange().cost_nano == 0


def test_what_is_told_within_an_answer_has_the_attempts_before_it_in_it() -> None:
    running = answered(outcome=Outcome(content=True))
    assert cost_so_far(USAGE, sample_exchange(attempts=[answered(cost_nano=5), running])) == 35
    assert cost_so_far(USAGE, sample_exchange(attempts=[answered(), running])) is None
    assert cost_so_far(Usage(input_tokens=1), sample_exchange(attempts=[running])) is None


CUT = Outcome(usage=Usage(input_tokens=10, output_tokens=1, cache_read=4), content=True)


@pytest.mark.parametrize(
    ("attempt", "given", "made"),
    [
        (answered(outcome=CUT, received=25_300, events=100), 10, 100),
        (answered(outcome=CUT, received=8_250, events=1), 10, 2_000),
        (answered(outcome=Outcome(content=True), received=100, events=0), 18, 1),
        (answered(outcome=Outcome(), status=None, error=ProviderTimeoutError("late", lost=True)), 18, 0),
        (answered(outcome=Outcome(), status=None, abandoned=True), 18, 0),
    ],
    ids=["an-event-a-token", "many-a-token", "told-nothing", "lost", "left"],
)
def test_what_was_cut_or_lost_is_estimated_and_marked(attempt: Attempt, given: int, made: int) -> None:
    estimate(attempt, sample_exchange())
    usage = attempt.estimated_usage
    assert usage is not None
    assert (usage.input_tokens, usage.output_tokens, usage.estimated) == (given, made, True)
    assert (attempt.cost_nano, attempt.cost_estimated) == (PRICE.cost(usage, 0.0), True)


@pytest.mark.parametrize(
    "attempt",
    [
        answered(outcome=Outcome(content=True, complete=True)),
        answered(outcome=Outcome(usage=USAGE, content=True, service_tier="priority")),
        sample_attempt(priced(None), outcome=CUT),
    ],
    ids=["whole-without-usage", "tier", "no-price"],
)
def test_what_nobody_can_tell_stays_unknown(attempt: Attempt) -> None:
    estimate(attempt, sample_exchange())
    assert (attempt.cost_nano, attempt.cost_estimated, attempt.estimated_usage) == (None, False, None)


def test_pictures_within_a_request_are_not_counted_by_their_bytes() -> None:
    request = sample_request()
    object.__setattr__(request, "body", b'{"a": "' + b"A" * 4_000_000 + b'"}')
    attempt = answered(outcome=Outcome(), abandoned=True)
    estimate(attempt, sample_exchange(request))
    assert attempt.estimated_usage is not None
    assert attempt.estimated_usage.input_tokens == 1003


def test_an_estimate_is_no_part_of_what_an_answer_tells_of_its_cost() -> None:
    running = answered(outcome=Outcome(content=True))
    assert cost_so_far(USAGE, sample_exchange(attempts=[answered(cost_nano=5, cost_estimated=True), running])) is None
    assert sample_exchange(attempts=[answered(cost_nano=5, cost_estimated=True)]).cost_estimated
