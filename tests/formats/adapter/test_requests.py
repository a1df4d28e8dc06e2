from __future__ import annotations

import json

import attrs
import pytest

from llmgate.formats import get_format
from llmgate.formats.adapter.requests import build_request, origin_of
from llmgate.spec import (
    AttemptCall,
    ChatRequest,
    ConfigError,
    CredentialHeader,
    Deployment,
    GatewayError,
    Message,
    NoDeploymentError,
    Operation,
    Provider,
    ProviderRow,
    RelayBody,
    RelayTarget,
    Role,
    Secret,
    SecretRef,
    Text,
    Timeouts,
)

ROW = ProviderRow(
    "acme", "Acme", "https://api.acme.example/v1", {"openai-chat": "/chat/completions"}, key_variables=("ACME_API_KEY",)
)
CHAT = ChatRequest("asked-for", (Message(Role.USER, (Text("hi"),)),))


def call(
    *, row: ProviderRow = ROW, key: str | None = "sk-1", provider: dict[str, object] | None = None, **fields: object
):
    configured = Provider(
        **{"name": "acme", "row": row, "base_url": row.base_url, "secret": SecretRef("env", "K"), **(provider or {})}
    )
    values = {
        "operation": Operation.CHAT,
        "deployment": Deployment("acme/m", configured, "m"),
        "format": get_format("openai-chat"),
        "body": RelayBody(b"{}"),
        "stream": False,
        "secret": None if key is None else Secret(key, ref=SecretRef("env", "K")),
        **fields,
    }
    return AttemptCall(**values)


def test_everything_has_its_place():
    timeouts = Timeouts(connect=1)
    request = build_request(call(provider={"timeouts": timeouts}))
    assert request.method == "POST"
    assert request.url == "https://api.acme.example/v1/chat/completions"
    assert request.origin == "https://api.acme.example"
    assert request.provider_name == "acme"
    assert request.timeouts == timeouts
    assert request.headers == {
        "content-type": "application/json",
        "accept": "application/json",
        "authorization": "Bearer sk-1",
    }
    assert build_request(call(stream=True)).headers["accept"] == "text/event-stream"


def test_the_credential_is_presented_as_the_row_says():
    row = attrs.evolve(ROW, credential=CredentialHeader("API-Key", ""))
    headers = build_request(call(row=row)).headers
    assert headers["api-key"] == "sk-1"
    assert "authorization" not in headers


def test_headers_by_who_has_the_last_word():
    """Vendor, client, operator, gateway: each replaces what those before it said."""
    row = attrs.evolve(ROW, headers={"X-Vendor": "row", "x-both": "row"})
    request = build_request(
        call(
            row=row,
            provider={"headers": {"X-Both": "operator", "Authorization": "operator"}},
            headers={"x-vendor": "client", "x-client": "client", "authorization": "client", "content-type": "client"},
        )
    )
    assert request.headers == {
        "x-client": "client",
        "x-vendor": "client",
        "x-both": "operator",
        "authorization": "Bearer sk-1",
        "content-type": "application/json",
        "accept": "application/json",
    }


def test_a_canonical_request_asks_for_the_deployments_model():
    body = json.loads(build_request(call(body=CHAT)).body)
    assert body == {"model": "m", "messages": [{"role": "user", "content": "hi"}]}


@pytest.mark.parametrize(
    ("asked", "withhold", "stream", "expected"),
    [
        (False, False, True, None),
        (True, False, True, {"include_usage": True}),
        (False, True, True, {"include_usage": True}),
        (True, True, False, None),
    ],
)
def test_usage_is_asked_for_in_streams_only(asked, withhold, stream, expected):
    chat = attrs.evolve(CHAT, include_usage=asked, stream=not stream)
    body = json.loads(build_request(call(body=chat, stream=stream, withhold_usage=withhold)).body)
    assert body.get("stream_options") == expected
    assert body.get("stream", False) is stream


def test_nothing_leaves_without_the_credential():
    for provider in ({}, {"secret": None}):
        with pytest.raises(NoDeploymentError, match="ACME_API_KEY"):
            build_request(call(key=None, provider=provider))


def test_keyless_providers_need_none_and_may_have_one():
    keyless = attrs.evolve(ROW, keyless=True)
    assert "authorization" not in build_request(call(row=keyless, key=None, provider={"secret": None})).headers
    assert build_request(call(row=keyless)).headers["authorization"] == "Bearer sk-1"
    without = attrs.evolve(ROW, credential=None)
    assert "sk-1" not in str(build_request(call(row=without)).headers)


@pytest.mark.parametrize("key", ["", " sk", "sk\n", "s\x00k", "sk\x7f", "kläy"])
def test_a_credential_is_not_bent_to_fit_a_header(key):
    with pytest.raises(GatewayError) as caught:
        build_request(call(key=key))
    assert caught.value.code == "unusable_credential"
    assert "env:K" in str(caught.value)


def test_a_format_that_the_row_does_not_list():
    with pytest.raises(ConfigError, match="does not speak openai-chat"):
        build_request(call(row=attrs.evolve(ROW, formats={})))


@pytest.mark.parametrize(
    ("url", "origin"),
    [
        ("https://a.example/v1", "https://a.example"),
        ("http://127.0.0.1:8000/v1/x?y", "http://127.0.0.1:8000"),
        ("http://[::1]:80", "http://[::1]:80"),
        ("echo://embedded", "echo://embedded"),
    ],
)
def test_origin(url, origin):
    assert origin_of(url) == origin


@pytest.mark.parametrize("relay", [None, RelayTarget("POST", "/v1/anything")])
def test_a_token_goes_out_as_bearer_whatever_the_row_wants_of_keys(relay: RelayTarget | None):
    row = attrs.evolve(ROW, credential=CredentialHeader("api-key", ""), relay_credential=CredentialHeader("x-key", ""))
    token = Secret("token-1", ref=SecretRef("entra", "default"), bearer=True)
    headers = build_request(call(row=row, secret=token, relay=relay)).headers
    assert headers["authorization"] == "Bearer token-1"
    assert not {"api-key", "x-key"} & headers.keys()
