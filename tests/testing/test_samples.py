"""The samples are valid values, each with an id of its own."""

from __future__ import annotations

import json

import attrs

from llmgate.spec import ExchangeView
from llmgate.testing.samples import (
    sample_attempt,
    sample_chunk,
    sample_deployment,
    sample_exchange,
    sample_record,
    sample_request,
    sample_response,
    sample_view,
)


def test_a_deployment_is_what_its_id_says():
    deployment = sample_deployment("groq/llama/3", weight=2)
    assert (deployment.provider_name, deployment.model, deployment.weight) == ("groq", "llama/3", 2)


def test_a_request_and_its_canonical_view_agree():
    request = sample_request("m", max_output_tokens=5, stream=True)
    assert json.loads(request.body)["model"] == request.model == request.chat.model == "m"
    assert (request.chat.max_output_tokens, request.stream) == (5, True)


def test_exchanges_and_records_have_ids_of_their_own():
    ids = [sample_exchange().id for _ in range(3)] + [sample_record().id for _ in range(3)]
    assert len(set(ids)) == 6


def test_a_view_shows_its_exchange():
    exchange = sample_exchange(client_address="::1")
    view = sample_view(exchange)
    assert isinstance(view, ExchangeView)
    assert (view.id, view.client_address) == (exchange.id, "::1")


def test_fields_may_be_given():
    assert sample_attempt(index=3).index == 3
    assert sample_chunk("x", index=1, final=True).choices[0].index == 1
    assert sample_response("x", status=500).chat.text == "x"
    assert attrs.asdict(sample_record(status=429))["status"] == 429
