"""What is charged before an answer, and what after it."""

from __future__ import annotations

import attrs
import pytest

from llmgate.spec import (
    ExchangeView,
    InvalidRequestError,
    NoDeploymentError,
    Operation,
    Outcome,
    Price,
    PriceRow,
    ProviderConnectionError,
    ProviderError,
    RateLimitError,
    Rates,
    Usage,
)
from llmgate.stages.interceptors.rate_limit.units import CENTS, UNITS, Ended
from llmgate.testing.samples import sample_attempt, sample_deployment, sample_exchange, sample_request


def estimated(unit, request, assumed_output):
    return UNITS[unit].estimate(request, assumed_output)


def used(unit, exchange, charged):
    return UNITS[unit].used(Ended.of(exchange), charged)


def view(*attempts, **fields):
    exchange = sample_exchange(**fields)
    exchange.attempts.extend(attempts)
    return ExchangeView(exchange)


def served(**usage):
    return sample_attempt(outcome=Outcome(usage=Usage(**usage) if usage else None))


PRICE = Price((PriceRow(Rates(input=10**6, output=10**7), longer=((1000, Rates(input=10**7, output=10**7)),)),))


def costing(*nanos, **fields):
    return view(*(sample_attempt(cost_nano=nano, status=200, **fields) for nano in nanos))


def test_an_attempt_is_expected_to_cost_what_its_deployment_asks():
    request = attrs.evolve(sample_request(max_output_tokens=50, choice_count=2), body=b"x" * 400)
    cents = CENTS.priced(request, 1000, sample_deployment(price=PRICE), 0.0)
    assert cents == pytest.approx((100 * 10**6 + 100 * 10**7) / 10**10)
    unbounded = attrs.evolve(sample_request(), body=b"x" * 8000)
    assert CENTS.priced(unbounded, 1000, sample_deployment(price=PRICE), 0.0) == pytest.approx(3000 * 10**7 / 10**10)
    assert CENTS.priced(request, 1000, sample_deployment(), 0.0) is None
    assert estimated("cents", request, 1000) == 0, "before it is known where the request goes"


def test_what_an_attempt_cost_takes_the_place_of_the_estimate():
    assert used("cents", costing(25_000_000), 9.0) == 2.5
    assert used("cents", costing(25_000_000, 5_000_000), 9.0) == 3.0
    assert used("cents", costing(0), 9.0) == 0
    assert used("cents", view(), 9.0) == 0


def test_an_unknown_cost_is_charged_as_estimated_where_a_provider_may_have_worked():
    assert used("cents", costing(None), 9.0) == 9.0
    gone = ProviderConnectionError("gone")
    assert used("cents", view(sample_attempt(error=gone)), 9.0) == 0
    assert used("cents", view(sample_attempt(error=ProviderConnectionError("gone", lost=True))), 9.0) == 9.0


def never_decode(body):
    raise AssertionError("nothing that is counted needs the body")


@pytest.mark.parametrize("unit", ["requests", "input-tokens"])
def test_a_body_is_decoded_only_for_its_output(unit):
    assert estimated(unit, sample_request(decode=never_decode), 1000) >= 1


def test_an_estimate_is_of_the_body_and_the_bound():
    request = attrs.evolve(sample_request(max_output_tokens=50, choice_count=2), body=b"x" * 41)
    units = ("requests", "input-tokens", "output-tokens", "tokens")
    assert [estimated(unit, request, 1000) for unit in units] == [1, 11, 100, 111]
    assert estimated("output-tokens", sample_request(), 1000) == 1000
    embedding = attrs.evolve(sample_request(decode=never_decode), operation=Operation.EMBEDDINGS)
    assert estimated("output-tokens", embedding, 1000) == 0


@pytest.mark.parametrize(("unit", "tokens"), [("tokens", 12.0), ("input-tokens", 9.0), ("output-tokens", 3.0)])
def test_what_was_used_counts(unit, tokens):
    assert used(unit, view(served(input_tokens=9, output_tokens=3)), 1000) == tokens
    twice = view(served(input_tokens=9, output_tokens=3), served(input_tokens=9, output_tokens=3))
    assert used(unit, twice, 1000) == 2 * tokens, "what an attempt that was given up has used counts, too"


def test_input_alone_is_known_of_an_embedding():
    assert used("tokens", view(served(input_tokens=9)), 1000) == 9


def test_an_answer_without_usage_is_charged_as_estimated():
    assert used("tokens", view(served()), 1000) == 1000


@pytest.mark.parametrize(("lost", "charged"), [(True, 1000), (False, 0)])
def test_a_failure_costs_what_may_have_been_done(lost, charged):
    failed = sample_attempt(error=ProviderConnectionError("gone", lost=lost))
    assert used("tokens", view(failed), 1000) == charged


def test_a_refusal_of_the_provider_and_an_answer_from_a_cache_cost_nothing():
    assert used("tokens", view(sample_attempt(error=ProviderError("no"))), 1000) == 0
    assert used("tokens", view(outcome=Outcome(usage=Usage(input_tokens=9, output_tokens=3))), 1000) == 0


def test_a_caller_who_left_is_charged_as_estimated():
    assert used("tokens", view(sample_attempt(error=ProviderError("no")), disconnected=True), 1000) == 1000


def failed(status, first=None, **fields):
    return sample_attempt(error=ProviderError("no", upstream_status=status, **fields), first_content=first)


def test_a_request_that_was_answered_stays_charged():
    assert used("requests", view(sample_attempt()), 1) == 1
    assert used("requests", view(failed(503), sample_attempt()), 1) == 1


def test_an_answer_without_a_provider_costs_no_request():
    assert used("requests", view(), 1) == 0
    assert used("requests", view(disconnected=True), 1) == 0
    assert used("requests", view(failed(503), disconnected=True), 1) == 1, "leaving is no way to ask for free"


@pytest.mark.parametrize(
    ("error", "attempt", "charged"),
    [
        (ProviderError("no", upstream_status=503), failed(503), 0),
        (RateLimitError("another limit"), None, 0),
        (NoDeploymentError("none is left"), None, 0),
        (InvalidRequestError("wrong"), None, 1),
        (ProviderError("gone", upstream_status=503, lost=True), failed(503, lost=True), 1),
        (ProviderError("cut", upstream_status=503), failed(503, first=5.0), 1),
    ],
    ids=["provider", "limit", "none", "callers-fault", "lost", "after-content"],
)
def test_a_failure_that_is_not_the_callers_is_given_back(error, attempt, charged):
    attempts = [] if attempt is None else [attempt]
    assert used("requests", view(*attempts, error=error), 1) == charged


def test_a_place_is_always_given_back():
    assert used("concurrent", view(sample_attempt()), 1) == 0
