"""The Parameter Store: decrypted parameters, their versions and labels."""

from __future__ import annotations

import pytest
from aws_server import REGION, Opener
from llmgate_aws.parameters import AwsParameters

from llmgate.spec import SecretNotFoundError, SecretRef, SecretUnavailableError


async def test_a_parameter_a_version_and_a_label(opened: Opener) -> None:
    name = f"/{opened.aws.new_name()}"
    client = opened.aws.client("ssm")
    client.put_parameter(Name=name, Value="one", Type="SecureString")
    client.put_parameter(Name=name, Value='{"key": "two"}', Type="SecureString", Overwrite=True)
    client.label_parameter_version(Name=name, ParameterVersion=1, Labels=["stable"])
    store = await opened(AwsParameters)
    found = await store.fetch(SecretRef("ssm", f"{name}#key"))
    assert (found.reveal(), found.version) == ("two", "2")
    assert (await store.fetch(SecretRef("ssm", f"{name}:1"))).reveal() == "one"
    assert (await store.fetch(SecretRef("ssm", f"{name}:stable"))).reveal() == "one"
    asked = opened.transport.asked[0]
    assert asked.url == f"https://ssm.{REGION}.amazonaws.com/"
    assert b'"WithDecryption": true' in asked.body
    for path, words in ((f"{name}:9", "no such version"), ("/none", "no such parameter"), ("a b", "write ssm:/PATH")):
        with pytest.raises(SecretNotFoundError, match=words) as caught:
            await store.fetch(SecretRef("ssm", path))
        assert not isinstance(caught.value, SecretUnavailableError)
