"""Requests are signed for the region of their address, and nobody else sees what with."""

from __future__ import annotations

from typing import Any

import pytest
from llmgate_bedrock.adapter import BedrockSigV4
from llmgate_bedrock.config import BedrockSigV4Config

from llmgate.codecs.aws_keys import Keys
from llmgate.formats import get_format
from llmgate.spec import (
    AttemptCall,
    ConfigError,
    Deployment,
    NoDeploymentError,
    Operation,
    Provider,
    ProviderRow,
    RelayBody,
    RelayTarget,
    Secret,
)

NOW = 1_700_000_000.0
KEYS = Keys("AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY", "a-session-token")


def call(base_url: str, secret: str | None = None, **more: Any) -> AttemptCall:
    row = ProviderRow("bedrock", "AWS Bedrock", base_url, formats={"bedrock-converse": "/model/{model}/converse"})
    provider = Provider("bedrock", row, base_url)
    return AttemptCall(
        Operation.CHAT,
        Deployment("bedrock/m", provider, "m:0"),
        get_format("bedrock-converse"),
        RelayBody(b"{}"),
        stream=False,
        secret=Secret(KEYS.to_text() if secret is None else secret),
        now=NOW,
        **more,
    )


@pytest.mark.parametrize(
    ("base_url", "region", "wanted"),
    [
        ("https://bedrock-runtime.us-west-2.amazonaws.com", None, "us-west-2"),
        ("https://bedrock-runtime-fips.us-gov-west-1.amazonaws.com", None, "us-gov-west-1"),
        ("https://vpce-1.bedrock-runtime.eu-west-1.vpce.amazonaws.com", None, "eu-west-1"),
        ("https://bedrock-runtime.us-west-2.amazonaws.com", "eu-west-3", "eu-west-3"),
        ("http://127.0.0.1:9", "eu-west-3", "eu-west-3"),
    ],
)
def test_the_region_is_that_of_the_address_or_the_operators(base_url: str, region: str | None, wanted: str) -> None:
    request = BedrockSigV4(BedrockSigV4Config(region)).build_request(call(base_url))
    assert f"/20231114/{wanted}/bedrock/aws4_request" in request.headers["authorization"]
    assert request.url == f"{base_url}/model/m%3A0/converse"
    assert KEYS.secret_key not in f"{request.headers} {request.pool}"


def test_an_address_without_a_region_needs_one() -> None:
    with pytest.raises(ConfigError, match="write region too"):
        BedrockSigV4(BedrockSigV4Config()).build_request(call("http://127.0.0.1:9"))


def test_the_direct_relay_is_signed_too() -> None:
    relayed = call("https://bedrock-runtime.us-west-2.amazonaws.com", relay=RelayTarget("POST", "/model/m%3A0/invoke"))
    request = BedrockSigV4(BedrockSigV4Config()).build_request(relayed)
    assert request.url.endswith("/model/m%3A0/invoke")
    assert request.headers["authorization"].startswith("AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/")


@pytest.mark.parametrize("secret", ["ABSK-an-api-key", "{}", "[]"])
def test_a_secret_that_is_no_pair_of_keys_is_refused_without_being_shown(secret: str) -> None:
    with pytest.raises(NoDeploymentError, match="aws-credentials") as refused:
        BedrockSigV4(BedrockSigV4Config()).build_request(call("https://bedrock-runtime.a.amazonaws.com", secret))
    assert "ABSK" not in str(refused.value)


def test_a_region_is_written_as_aws_does() -> None:
    with pytest.raises(ValueError, match="eu-central-1"):
        BedrockSigV4Config("EU Central")
