"""Signatures are those of botocore, for the very bytes that go out."""

from __future__ import annotations

from datetime import UTC, datetime

import attrs
import botocore.auth
import botocore.awsrequest
import botocore.credentials
import pytest

from llmgate.codecs.aws_keys import Keys
from llmgate.codecs.aws_signing import signature_headers

NOW = 1_700_000_000.0
KEYS = Keys("AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY", "a-session-token")
HOST = "https://bedrock-runtime.eu-central-1.amazonaws.com"


@pytest.mark.parametrize("service", ["bedrock", "secretsmanager"])
@pytest.mark.parametrize(
    "url",
    [
        f"{HOST}/model/us.anthropic.claude-v1%3A0/converse",
        f"{HOST}/model/m/converse?x=1&a=b%20c&flag=",
        f"{HOST}/",
        HOST,
        "https://host.example:443/x",
        "http://127.0.0.1:8080/model/arn%3Aaws%2Fx/converse",
        "http://[::1]:8080/a~b%7Ec",
    ],
)
@pytest.mark.parametrize("keys", [KEYS, attrs.evolve(KEYS, token=None)])
def test_a_signature_is_botocores(monkeypatch: pytest.MonkeyPatch, url: str, keys: Keys, service: str) -> None:
    headers = {"content-type": "application/json", "accept": "*/*", "x-amz-target": "a  b ", "x-amzn-trace": "ENABLED"}
    body = "{}\u00fc".encode()
    ours = signature_headers("POST", url, headers, body, keys, service=service, region="eu-central-1", now=NOW)
    monkeypatch.setattr(
        botocore.auth, "get_current_datetime", lambda: datetime.fromtimestamp(NOW, UTC).replace(tzinfo=None)
    )
    signed = {name: value for name, value in headers.items() if name != "accept"}
    theirs = botocore.awsrequest.AWSRequest("POST", url, headers=signed, data=body)
    credentials = botocore.credentials.Credentials(keys.access_key, keys.secret_key, keys.token)
    botocore.auth.SigV4Auth(credentials, service, "eu-central-1").add_auth(theirs)
    assert ours["authorization"] == theirs.headers["Authorization"]
    assert ours["x-amz-date"] == "20231114T221320Z" == theirs.headers["X-Amz-Date"]
    assert ours.get("x-amz-security-token") == keys.token
