from __future__ import annotations

import json
from typing import Any

import pytest

from llmgate.pipeline.fallbacks import Fallback, read_fallbacks
from llmgate.spec import (
    GatewayError,
    GatewayTimeoutError,
    InvalidRequestError,
    NoDeploymentError,
    ProviderAuthenticationError,
    ProviderConnectionError,
    ProviderError,
)


def test_the_list_as_helicone_documents_it() -> None:
    text = json.dumps(
        [
            {
                "target-url": "https://api.openai.com",
                "headers": {"Helicone-Auth": "Bearer a", "Authorization": "Bearer b"},
                "onCodes": [{"from": 400, "to": 500}],
            },
            {
                "target-url": "https://customer.openai.azure.com/openai/deployments/x",
                "headers": {"api-key": "c"},
                "onCodes": [401, 403],
                "bodyKeyOverride": {"model": "gpt-4o"},
            },
            {"model": "anthropic/claude-sonnet-4-5"},
        ]
    )
    assert read_fallbacks(text) == (
        Fallback("api.openai.com", "", ((400, 500),)),
        Fallback("customer.openai.azure.com", "gpt-4o", ((401, 401), (403, 403))),
        Fallback("", "anthropic/claude-sonnet-4-5"),
    )


@pytest.mark.parametrize(
    ("target", "host"),
    [
        ("https://API.openai.com/v1", "api.openai.com"),
        ("https://api.openai.com:443", "api.openai.com"),
        ("http://localhost:11434", "localhost:11434"),
        ("http://host", "host"),
        ("http://host:443", "host:443"),
    ],
)
def test_the_usual_port_is_none(target: str, host: str) -> None:
    assert read_fallbacks(json.dumps([{"target-url": target}]))[0].host == host


@pytest.mark.parametrize(
    ("value", "why"),
    [
        ("", "is no JSON"),
        ("[", "is no JSON"),
        ("[" * 100_000, "is no JSON"),
        ("{}", "is no list"),
        ("[]", "is no list with at least one entry"),
        (json.dumps([{"model": "a/b"}] * 17), "has 17 entries"),
        ("[1]", "entry 0 is no object"),
        ('[{"model": "a/b"}, {}]', "entry 1 needs either a target-url or a model"),
        ('[{"model": "a/b", "target-url": "https://a"}]', "entry 0 needs either"),
        ('[{"model": 1}]', "entry 0 needs either"),
        ('[{"model": "a/b", "onCode": []}]', "unknown key 'onCode'"),
        ('[{"model": "a/b", "onCodes": 500}]', "onCodes that are no list"),
        ('[{"model": "a/b", "onCodes": ["500"]}]', "neither statuses nor"),
        ('[{"model": "a/b", "onCodes": [true]}]', "neither statuses nor"),
        ('[{"model": "a/b", "onCodes": [{"from": 500}]}]', "neither statuses nor"),
        ('[{"model": "a/b", "onCodes": [{"from": 500, "to": 400}]}]', "neither statuses nor"),
        ('[{"model": "a/b", "onCodes": [99]}]', "neither statuses nor"),
        ('[{"model": "a/b", "onCodes": [600]}]', "neither statuses nor"),
        ('[{"target-url": "api.openai.com"}]', "target-url that is none"),
        ('[{"target-url": "ftp://a"}]', "target-url that is none"),
        ('[{"target-url": "https://u:p@a"}]', "target-url that is none"),
        ('[{"target-url": "https://a:99999"}]', "target-url that is none"),
        ('[{"target-url": "https://a", "bodyKeyOverride": {"messages": []}}]', "overrides something else"),
        ('[{"target-url": "https://a", "bodyKeyOverride": {"model": 1}}]', "overrides something else"),
        ('[{"model": "a/b", "bodyKeyOverride": {"model": "c"}}]', "names its model twice"),
    ],
)
def test_what_cannot_be_read_is_refused_with_an_example(value: str, why: str) -> None:
    with pytest.raises(InvalidRequestError) as caught:
        read_fallbacks(value)
    assert caught.value.code == "invalid_routing_header"
    assert why in caught.value.message
    assert "write a JSON list such as" in caught.value.message


@pytest.mark.parametrize(
    ("error", "goes_on"),
    [
        (ProviderError("x", upstream_status=429), True),
        (ProviderError("x", upstream_status=500), True),
        (ProviderError("x", upstream_status=550), True),
        (ProviderError("x", upstream_status=551), False),
        (ProviderError("x", upstream_status=400), False),
        (ProviderAuthenticationError("x", upstream_status=401, retryable=True), False),
        (ProviderConnectionError("x", retryable=True), True),
        (NoDeploymentError("no key", code="missing_credential"), True),
        (GatewayTimeoutError("too late"), False),
        (InvalidRequestError("nonsense"), False),
    ],
)
def test_after_what_the_next_place_is_tried(error: GatewayError, goes_on: bool) -> None:
    codes: Any = ((429, 429), (500, 550))
    assert Fallback("a", "", codes).goes_on(error) is goes_on
