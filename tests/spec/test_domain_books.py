"""What was asked and decided comes to one standing for each domain."""

from __future__ import annotations

from typing import Any

import pytest

from llmgate.spec import DomainEvent, standings


def test_what_the_events_come_to() -> None:
    events = [
        DomainEvent("1", "a.example", "requested", by="x", token="t", note="Acme"),
        DomainEvent("2", "a.example", "verified", proof="t"),
        DomainEvent("3", "a.example", "approved", by="y"),
        DomainEvent("4", "a.example", "requested", token="u"),
        DomainEvent("5", "b.example", "denied", note="no"),
        DomainEvent("6", "b.example", "requested", token="v"),
        DomainEvent("7", "c.example", "verified"),
    ]
    found = standings(events)
    assert list(found) == ["a.example", "b.example", "c.example"]
    a, b, c = found.values()
    assert (a.approved, a.proven, a.token, a.note, a.by, a.since) == (True, "2", "u", "Acme", "y", "3")
    assert (b.denied, b.token, b.note) == (True, "v", "no"), "who asks again changes nothing of a decision"
    assert (c.approved, c.denied, c.proven) == (False, False, "7")


@pytest.mark.parametrize(
    "wrong", [{"at": 1}, {"domain": None}, {"action": "allowed"}, {"action": []}, {"note": b"x"}, {"proof": 1.0}]
)
def test_an_event_is_text_and_one_of_four_actions(wrong: dict[str, Any]) -> None:
    with pytest.raises((TypeError, ValueError)):
        DomainEvent(**{"at": "1", "domain": "a.example", "action": "denied", **wrong})
