"""Ids of calls that are told: whose they are, and how many are remembered."""

from __future__ import annotations

import uuid

from llmgate.pipeline.logged_calls import RecentCalls, record_id_of
from llmgate.spec import Principal

ANN = Principal(id="ann", issuer="static-keys")


def test_the_id_of_a_record_is_the_callers_and_nobody_elses():
    first = record_id_of(ANN, "1")
    assert first == record_id_of(ANN, "1")
    others = [record_id_of(ANN, "2"), record_id_of(Principal(id="bob", issuer="static-keys"), "1")]
    others.append(record_id_of(Principal(id="ann", issuer="oidc"), "1"))
    assert len({first, *others}) == 4
    assert uuid.UUID(first).version == 8


def test_lately_is_bounded_and_what_was_not_recorded_is_forgotten():
    recent = RecentCalls()
    assert recent.add("0")
    assert not recent.add("0")
    recent.forget("0")
    assert recent.add("0")
    for number in range(1, 10_001):
        assert recent.add(str(number))
    assert recent.add("0"), "the oldest has made room"
