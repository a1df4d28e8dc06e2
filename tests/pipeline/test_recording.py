from __future__ import annotations

import json
from typing import Any

import attrs
import pytest

from llmgate.pipeline.recording import make_record
from llmgate.spec import (
    Attempt,
    AuthenticationError,
    Deployment,
    Exchange,
    GatewayError,
    Operation,
    Outcome,
    Principal,
    Provider,
    ProviderConnectionError,
    ProviderRow,
    Usage,
)
from llmgate.testing.samples import sample_request


def finished(**fields: Any) -> Exchange:
    exchange = Exchange("id-1", Operation.CHAT, "test", started_at=1_000.0, started=50.0, finished=52.5)
    for name, value in fields.items():
        setattr(exchange, name, value)
    return exchange


def test_a_record_tells_times_from_the_start_of_the_exchange() -> None:
    provider = Provider("p", ProviderRow("p", "P", None), "https://p.test/v1")
    attempt = Attempt(0, Deployment("p/m", provider, "m"), started=50.5, first_content=51.0, finished=52.0, status=200)
    attempt.outcome = Outcome(usage=Usage(3, 2))
    record = make_record(finished(attempts=[attempt], first_content=51.0, status=200, outcome=attempt.outcome))
    assert (record.duration, record.first_content, record.outcome) == (2.5, 1.0, "ok")
    assert (record.attempts[0].started, record.attempts[0].duration) == (0.5, 1.5)
    assert record.provider_name == "p"
    assert record.usage == Usage(3, 2)


@pytest.mark.parametrize(
    ("fields", "word"),
    [
        ({"disconnected": True}, "cancelled"),
        ({"error": ProviderConnectionError("gone")}, "error"),
        ({"error": ProviderConnectionError("gone"), "first_content": 51.0}, "incomplete"),
    ],
)
def test_a_record_says_how_the_exchange_ended(fields: dict[str, Any], word: str) -> None:
    assert make_record(finished(**fields)).outcome == word


def test_the_true_reason_of_a_refusal_stands_in_the_record_only() -> None:
    error = AuthenticationError("Invalid credentials", reason="the key expired")
    record = make_record(finished(error=error, status=401))
    assert record.error_message == "the key expired"
    assert "expired" not in str(error)


def test_a_record_has_what_the_caller_calls_things() -> None:
    headers = {"helicone-user-id": "u", "helicone-property-env": "test", "user-agent": "curl/8"}
    record = make_record(finished(client_headers=headers, request=attrs.evolve(sample_request(), user="body")))
    assert (record.user, record.properties, record.user_agent) == ("u", {"env": "test"}, "curl/8")
    assert make_record(finished(request=attrs.evolve(sample_request(), user="body"))).user == "body"
    assert make_record(finished()).user is None


@pytest.mark.parametrize(
    ("principal", "key_id", "team"),
    [
        (Principal("alice", "static-keys"), "alice", None),
        (Principal("fam", "llmgate-keys", "user", attributes={"key": "k1", "team": "blue"}), "k1", "blue"),
        (Principal("fam", "llmgate-keys", "user", attributes={"key": None, "team": None}), None, None),
        (Principal("u", "trusted-proxy", "user", attributes={"team": 7}), None, None),
        (Principal.local(), None, None),
        (None, None, None),
    ],
)
def test_a_record_names_the_key_and_the_team(principal: Principal | None, key_id: str | None, team: str | None) -> None:
    record = make_record(finished(principal=principal))
    assert (record.key_id, record.team) == (key_id, team)


def test_what_caches_and_limits_say_stands_in_the_record() -> None:
    exchange = finished()
    exchange.notes("cache")["verdicts"] = {"cache": "miss"}
    exchange.notes("semantic-cache")["verdicts"] = {"cache": "hit"}
    exchange.notes("rate-limit")["verdicts"] = {"limit": "refused: limits (a)"}
    record = make_record(exchange)
    assert (record.cache, record.limit) == ("hit", "refused: limits (a)")
    record = make_record(finished())
    assert (record.cache, record.limit) == (None, None)


def test_what_callers_and_providers_write_is_bounded() -> None:
    long, forged = "m" * 1_000_000, 'a\r\n{"id":"forged"}\x1b\u2028'
    provider = Provider("p", ProviderRow("p", "P", None), "https://p.test/v1")
    attempt = Attempt(0, Deployment("p/m", provider, "m"), started=50.5, finished=52.0, provider_request_id=forged)
    attempt.error = GatewayError(long)
    headers = {"user-agent": long, **{f"helicone-property-{index}": forged for index in range(80)}}
    record = make_record(
        finished(
            attempts=[attempt],
            client_headers=headers,
            error=GatewayError(forged),
            outcome=Outcome(model=long, response_id=long),
            principal=Principal(long, attributes={"team": forged}),
            request=attrs.evolve(
                sample_request(model=long), metadata={f"{index}{forged}": long for index in range(200)}
            ),
        )
    )
    text = json.dumps(record.as_json(), ensure_ascii=False)
    assert not set(text) & set("\r\n\x1b\u2028")
    assert "\\n" not in text
    assert len(text) < 400_000
    assert len(record.properties) == 64
    assert record.metadata["llmgate.dropped-properties"] == "16"
    assert record.metadata["llmgate.dropped-labels"] == "72"
    assert record.request_model is not None
    assert record.request_model.endswith("…")
