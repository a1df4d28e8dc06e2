"""Secrets Manager: names and ARNs, fields, rotation stages; and what is said for certain, and what is not."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from aws_server import REGION, Opener
from llmgate_aws.config import AwsSecretsConfig
from llmgate_aws.secrets import AwsSecrets

from llmgate import Pipeline
from llmgate.spec import SecretNotFoundError, SecretRef, SecretUnavailableError
from llmgate.testing.upstream import FakeUpstream

HELLO = [{"role": "user", "content": "Hello"}]


def ref(path: str) -> SecretRef:
    return SecretRef("aws", path)


@pytest.fixture
def name(aws: Any) -> str:
    made: str = aws.new_name()
    aws.client("secretsmanager").create_secret(Name=made, SecretString='{"api_key": "sk-canary", "org": "o-1"}')
    return made


async def test_a_name_an_arn_and_a_field(opened: Opener, name: str) -> None:
    store = await opened(AwsSecrets)
    found = await store.fetch(ref(f"{name}#api_key"))
    assert found.reveal() == "sk-canary"
    described = opened.aws.client("secretsmanager").describe_secret(SecretId=name)
    assert found.version in described["VersionIdsToStages"]
    assert (await store.fetch(ref(f"{described['ARN']}#org"))).reveal() == "o-1"
    assert (await store.fetch(ref(name))).reveal().startswith("{")
    (asked, *_) = opened.transport.asked
    assert asked.url == f"https://secretsmanager.{REGION}.amazonaws.com/"
    assert f"/{REGION}/secretsmanager/aws4_request" in asked.headers["authorization"]
    assert "secret-of-the-gateway" not in str(asked.headers)


async def test_the_stages_of_a_rotation(opened: Opener, name: str) -> None:
    client = opened.aws.client("secretsmanager")
    client.put_secret_value(SecretId=name, SecretString="new", VersionStages=["AWSCURRENT"])
    current, previous = await opened(AwsSecrets), await opened(AwsSecrets, stage="AWSPREVIOUS")
    assert (await current.fetch(ref(name))).reveal() == "new"
    assert (await previous.fetch(ref(f"{name}#org"))).reveal() == "o-1"
    pending = await opened(AwsSecrets, stage="AWSPENDING")
    with pytest.raises(SecretNotFoundError, match="no version of it is AWSPENDING") as caught:
        await pending.fetch(ref(name))
    assert not isinstance(caught.value, SecretUnavailableError)
    client.put_secret_value(SecretId=name, SecretString="next", VersionStages=["AWSPENDING"])
    assert (await pending.fetch(ref(name))).reveal() == "next"
    assert (await current.fetch(ref(name))).reveal() == "new"


async def test_what_is_marked_for_deletion_is_gone(opened: Opener, name: str) -> None:
    store = await opened(AwsSecrets)
    await store.fetch(ref(name))
    opened.aws.client("secretsmanager").delete_secret(SecretId=name, RecoveryWindowInDays=7)
    with pytest.raises(SecretNotFoundError, match="marked for deletion") as caught:
        await store.fetch(ref(name))
    assert not isinstance(caught.value, SecretUnavailableError)


@pytest.mark.parametrize(
    ("path", "words"), [("none", "has no such secret"), ("a b", "write aws:NAME#FIELD"), ("{name}#x", "no field 'x'")]
)
async def test_what_is_not_there_is_said_for_certain(opened: Opener, name: str, path: str, words: str) -> None:
    with pytest.raises(SecretNotFoundError, match=words) as caught:
        await (await opened(AwsSecrets)).fetch(ref(path.replace("{name}", name)))
    assert not isinstance(caught.value, SecretUnavailableError)
    assert "canary" not in str(caught.value)


async def test_bytes_are_no_key(opened: Opener) -> None:
    name = opened.aws.new_name()
    opened.aws.client("secretsmanager").create_secret(Name=name, SecretBinary=b"\x00")
    with pytest.raises(SecretNotFoundError, match="keep it as SecretString"):
        await (await opened(AwsSecrets)).fetch(ref(name))


async def test_rotation_in_the_middle_of_a_burst_loses_no_request(
    aws: Any, name: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> None:
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    async with FakeUpstream() as upstream:
        store = {"use": "aws-secrets", "region": REGION, "endpoint": aws.address, "cache": {"refresh": "100ms"}}
        config = {
            "secrets": {"aws": store},
            "providers": {"mine": {"base-url": f"{upstream.url}/v1", "secret": f"aws:{name}#api_key"}},
        }
        environment = {"AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b"}
        async with Pipeline.from_config(config, environment=environment) as pipeline:
            for number in range(8):
                if number == 3:
                    aws.client("secretsmanager").put_secret_value(SecretId=name, SecretString='{"api_key": "sk-new"}')
                await asyncio.gather(*(pipeline.complete(model="mine/gpt", messages=HELLO) for _ in range(10)))
                await asyncio.sleep(0.05)
        sent = [request.headers["authorization"] for request in upstream.requests]
    assert len(sent) == 80
    assert (sent[0], sent[-1]) == ("Bearer sk-canary", "Bearer sk-new")


@pytest.mark.parametrize(
    "wrong",
    [{"region": "EU Central"}, {"replicas": ("a b",)}, {"replicas": ("a",) * 5}, {"stage": "a b"}, {"profile": "a b"},
     {"endpoint": "ftp://x"}],
)  # fmt: skip
def test_what_aws_would_not_understand_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=f"^{next(iter(wrong))}: write|{next(iter(wrong))}: write"):
        AwsSecretsConfig(**wrong)
