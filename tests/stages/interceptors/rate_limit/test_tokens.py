"""What is charged before an answer, and what after it."""

from __future__ import annotations

import attrs
import pytest

from llmgate.spec import ExchangeView, Operation, Outcome, ProviderConnectionError, ProviderError, Usage
from llmgate.stages.interceptors.rate_limit.tokens import estimated, used
from llmgate.testing.samples import sample_attempt, sample_exchange, sample_request


def view(*attempts, **fields):
    exchange = sample_exchange(**fields)
    exchange.attempts.extend(attempts)
    return ExchangeView(exchange)


def served(**usage):
    return sample_attempt(outcome=Outcome(usage=Usage(**usage) if usage else None))


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


def test_a_request_stays_charged_whatever_becomes_of_it():
    assert used("requests", view(sample_attempt(error=ProviderError("no"))), 1) == 1
