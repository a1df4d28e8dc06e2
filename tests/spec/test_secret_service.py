"""Calls to the service behind a secret store: every failure names the reference, and nothing shows what was sent."""

from __future__ import annotations

import json
from typing import Any

import pytest

from llmgate.spec import (
    ProviderConnectionError,
    ProviderProtocolError,
    ProviderResponse,
    ProviderTimeoutError,
    SecretNotFoundError,
    SecretRef,
    SecretService,
    SecretUnavailableError,
    secret_field,
    split_field,
)
from llmgate.testing.transport import ScriptedTransport, json_answer

REF = SecretRef("vault", "kv/openai#api_key")


def service(*answers: Any) -> tuple[SecretService, ScriptedTransport]:
    transport = ScriptedTransport(answers)
    return SecretService("Vault", "https://vault.test:8200/base", transport, 2.5, "PEM"), transport


async def test_a_call_goes_to_the_service_with_its_own_bounds_and_authorities() -> None:
    one, transport = service(json_answer({"data": {"key": "canary", "none": None}}, headers={"x-a": "b"}))
    answer = await one.ask(REF, "POST", "/v1/x", headers={"x-token": "canary"}, body=b"{}")
    assert (answer.status, answer.headers["x-a"]) == (200, "b")
    assert answer.at("data", "key") == "canary"
    assert answer.at("data", "key", "deeper") is None
    assert answer.at("nothing") is None
    (request,) = transport.requests
    assert (request.method, request.url, request.body) == ("POST", "https://vault.test:8200/base/v1/x", b"{}")
    assert request.origin == "https://vault.test:8200"
    assert request.authorities == "PEM"
    assert (request.timeouts.connect, request.timeouts.first_byte) == (2.5, 2.5)
    assert "canary" not in f"{request!r} {answer!r}"


@pytest.mark.parametrize(
    ("failure", "words"),
    [
        (ProviderTimeoutError("x"), "vault:kv/openai#api_key: Vault does not answer in time"),
        (ProviderConnectionError("x", code="provider_tls_error"), r"Vault cannot be reached \(provider_tls_error\)"),
        (ProviderProtocolError("x", code="not_http"), r"Vault cannot be understood \(not_http\)"),
    ],
)
async def test_no_answer_is_no_proof_of_absence(failure: Exception, words: str) -> None:
    with pytest.raises(SecretUnavailableError, match=words):
        await service(failure)[0].ask(REF, "GET", "/")


@pytest.mark.parametrize("body", [b"", b"<html>", b"[" * 100_000, b"\xff"])
async def test_what_is_no_json_is_nothing(body: bytes) -> None:
    one, _ = service(ProviderResponse(500, {}, body))
    answer = await one.ask(REF, "GET", "/")
    assert answer.value is None
    assert str(one.failed(REF, answer)) == "vault:kv/openai#api_key: Vault answers 500"
    assert str(one.failed(REF, answer, "sealed")).endswith("Vault answers 500: sealed")


def test_a_reference_may_mean_a_field() -> None:
    assert split_field(REF) == ("kv/openai", "api_key")
    assert split_field(SecretRef("vault", "kv/openai")) == ("kv/openai", None)
    assert split_field(SecretRef("vault", "a#b#c")) == ("a", "b#c")


@pytest.mark.parametrize(
    ("value", "field", "found"),
    [
        ("plain", None, "plain"),
        ('{"a": "1"}', None, '{"a": "1"}'),
        ('{"a": "1"}', "a", "1"),
        ('{"a": 1}', "a", "1"),
        ({"a": {"b": [1]}}, "a", '{"b": [1]}'),
        ({"a": "1"}, None, '{"a": "1"}'),
    ],
)
def test_fields_come_out_as_text(value: Any, field: str | None, found: str) -> None:
    assert secret_field(REF, value, field) == found


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ("canary", "no JSON object"),
        ('["canary"]', "no JSON object"),
        ('{"b": "canary"}', "no field 'a'"),
        ('{"a": null, "b": "canary"}', "no field 'a'"),
    ],
)
def test_a_field_that_is_not_there_shows_nothing_of_the_rest(value: str, words: str) -> None:
    with pytest.raises(SecretNotFoundError, match=words) as caught:
        secret_field(REF, value, "a")
    assert "canary" not in str(caught.value)
    assert json.dumps("canary") not in str(caught.value)
