"""Stages see an exchange read-only, and have a place for notes of their own."""

from __future__ import annotations

import pytest

from llmgate.spec import Exchange, ExchangeView, Operation, StageTrace
from llmgate.testing.samples import sample_exchange


def test_a_view_cannot_be_written_to():
    view = ExchangeView(sample_exchange())
    for name in ("status", "error", "router", "attempts", "anything"):
        with pytest.raises(AttributeError):
            setattr(view, name, None)


def test_a_view_shows_what_is_so_now():
    exchange = sample_exchange()
    view = ExchangeView(exchange)
    exchange.status = 418
    exchange.disconnected = True
    assert (view.status, view.disconnected) == (418, True)
    assert (view.id, view.operation, view.surface) == (exchange.id, exchange.operation, exchange.surface)
    assert view.attempts == tuple(exchange.attempts)


def test_an_outcome_taken_from_a_view_is_a_copy():
    exchange = sample_exchange()
    view = ExchangeView(exchange)
    view.outcome.complete = not exchange.outcome.complete
    assert view.outcome == exchange.outcome


def test_notes_are_kept_by_stage():
    exchange = Exchange(id="1", operation=Operation.CHAT, surface="in-process", started_at=0, started=0)
    ExchangeView(exchange).notes("a")["seen"] = 1
    assert exchange.notes("a") == {"seen": 1}
    assert exchange.notes("b") == {}


def test_what_stages_tell_the_caller_is_gathered():
    exchange = sample_exchange()
    exchange.notes("a")["headers"] = {"x-a": "1", "x-b": "1"}
    exchange.notes("b")["headers"] = {"x-b": 2}
    exchange.notes("c")["metadata"] = {"x-c": "3"}
    assert exchange.noted_headers() == {"x-a": "1", "x-b": "2"}


def test_stages_see_no_credential_among_the_headers():
    names = (
        "authorization",
        "x-api-key",
        "api-key",
        "x-goog-api-key",
        "helicone-auth",
        "cookie",
        "proxy-authorization",
    )
    exchange = sample_exchange(client_headers={**dict.fromkeys(names, "c4n4ry"), "helicone-user-id": "u"})
    assert ExchangeView(exchange).client_headers == {"helicone-user-id": "u"}
    assert "c4n4ry" not in repr(exchange)
    assert ExchangeView(sample_exchange()).client_headers == {}


def test_a_control_of_the_callers_is_given_out_and_no_other_header() -> None:
    headers = {
        "cache-control": "no-store",
        "helicone-cache-seed": "s",
        "authorization": "Bearer k",
        "helicone-auth": "k",
    }
    exchange = Exchange("id", Operation.CHAT, "test", 0.0, 0.0, client_headers=headers)
    view = ExchangeView(exchange)
    assert view.control("cache-control") == "no-store"
    assert view.control("helicone-cache-seed") == "s"
    assert view.control("llmgate-cache-seed") is None
    for name in ("authorization", "helicone-auth", "cookie", "Helicone-Cache-Seed"):
        with pytest.raises(ValueError, match="no header that is meant"):
            view.control(name)
    assert "Bearer" not in repr(exchange)


def test_headers_that_stages_have_noted_are_gathered() -> None:
    exchange = Exchange("id", Operation.CHAT, "test", 0.0, 0.0)
    exchange.notes("one")["headers"] = {"helicone-cache": "HIT"}
    exchange.notes("two")["headers"] = {"age": 3}
    assert exchange.noted_headers() == {"helicone-cache": "HIT", "age": "3"}


def test_steps_are_noted_where_they_are_wanted_and_bounded() -> None:
    exchange = sample_exchange()
    exchange.step("auth", "passed", 0.5)
    assert exchange.steps is None
    exchange.steps = []
    for _ in range(1000):
        exchange.step("auth", "passed", 0.0000014)
    assert len(exchange.steps) == 256
    assert exchange.steps[0] == StageTrace("auth", "passed", 1)


def test_what_stages_have_found_is_gathered() -> None:
    exchange = sample_exchange()
    assert exchange.noted_verdict("cache") is None
    exchange.notes("a")["verdicts"] = {"cache": "miss"}
    exchange.notes("b")["verdicts"] = {"limit": "passed"}
    exchange.notes("c")["verdicts"] = {"cache": "hit"}
    assert (exchange.noted_verdict("cache"), exchange.noted_verdict("limit")) == ("hit", "passed")
