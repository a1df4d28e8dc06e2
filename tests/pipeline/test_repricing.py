"""Records whose cost waited for a price."""

from __future__ import annotations

from typing import Any

import attrs

from llmgate.pipeline.repricing import repriced
from llmgate.spec import Price, PriceRow, Provider, Rates, Record, Usage
from llmgate.testing.samples import sample_deployment, sample_record

PENDING = {"llmgate.mapping": "pending", "team": "blue"}
PRICE = Price((PriceRow(Rates(input=1_000, output=10_000)),))


def providers(price: Price | None = PRICE) -> dict[str, Provider]:
    return {"openai": sample_deployment("openai/gpt-4o-mini", price=price).provider}


def pending(**attempt: Any) -> Record:
    record = sample_record(metadata=PENDING)
    return attrs.evolve(record, attempts=(attrs.evolve(record.attempts[0], **attempt),))


def test_what_was_unknown_is_reckoned_and_said_so() -> None:
    found = repriced(pending(), providers())
    assert found is not None
    assert found.cost_nano == found.attempts[0].cost_nano == 9 + 30
    assert found.metadata == {"llmgate.mapping": "back-filled", "team": "blue"}
    assert repriced(found, providers()) is None


def test_what_is_unknown_for_another_reason_stays_so() -> None:
    assert repriced(sample_record(), providers()) is None
    assert repriced(pending(), providers(None)) is None
    assert repriced(pending(), {}) is None
    assert repriced(pending(usage=None), providers()) is None
    assert repriced(pending(usage=Usage(input_tokens=1, output_tokens=1, estimated=True)), providers()) is None
    assert repriced(pending(error_code="provider_timeout"), providers()) is None
    assert repriced(pending(service_tier="priority"), providers()) is None


def test_an_attempt_that_stays_unknown_keeps_the_whole_unknown() -> None:
    record = pending()
    record = attrs.evolve(record, attempts=(attrs.evolve(record.attempts[0], usage=None), *record.attempts))
    found = repriced(record, providers())
    assert found is not None
    assert (found.cost_nano, found.attempts[1].cost_nano) == (None, 39)
    assert found.metadata["llmgate.mapping"] == "pending"
