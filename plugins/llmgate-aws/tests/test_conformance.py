"""What every secret store promises, kept for secrets and parameters in moto's server."""

from __future__ import annotations

import contextlib
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import attrs
import pytest
from aws_server import KEYS, REGION, Redirected
from llmgate_aws.config import AwsConfig, AwsSecretsConfig
from llmgate_aws.parameters import AwsParameters
from llmgate_aws.secrets import AwsSecrets

from llmgate.spec import SecretCaching, StageContext
from llmgate.testing.clock import FakeClock
from llmgate.testing.conformance import SecretConformance


class OfAws(SecretConformance):
    """What both stores have in common."""

    notices_within = 60.0
    multiline = True
    service: str

    @pytest.fixture(autouse=True)
    async def _server(self, aws: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[None]:
        monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
        monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
        self.client = aws.client(self.service)
        self.transport = Redirected(aws.address)
        self.name = aws.new_name()
        yield
        await self.transport.aclose()

    @property
    def path(self) -> str:  # type: ignore[override]
        return f"{self.name}#key"

    def make_context(self, directory: Path, clock: FakeClock) -> StageContext:
        context = super().make_context(directory, clock)
        return attrs.evolve(context, transport=self.transport, environment=KEYS)

    def cut(self, context: StageContext) -> None:  # noqa: ARG002 - the kit's signature
        self.transport.down.add(REGION)


class TestSecrets(OfAws):
    stage_class = AwsSecrets
    config = AwsSecretsConfig(region=REGION, timeout=20, cache=SecretCaching(pause=1, timeout=40))
    service = "secretsmanager"

    def plant(self, context: StageContext, path: str, value: str) -> None:  # noqa: ARG002 - the kit's signature
        name = path.partition("#")[0]
        with contextlib.suppress(self.client.exceptions.ResourceExistsException):
            self.client.create_secret(Name=name)
        self.client.put_secret_value(SecretId=name, SecretString=json.dumps({"key": value}))

    def uproot(self, context: StageContext, path: str) -> None:  # noqa: ARG002 - the kit's signature
        self.client.delete_secret(SecretId=path.partition("#")[0], ForceDeleteWithoutRecovery=True)


class TestParameters(OfAws):
    stage_class = AwsParameters
    config = AwsConfig(region=REGION, timeout=20, cache=SecretCaching(pause=1, timeout=40))
    service = "ssm"

    @property
    def path(self) -> str:  # type: ignore[override]
        return f"/{self.name}#key"

    def plant(self, context: StageContext, path: str, value: str) -> None:  # noqa: ARG002 - the kit's signature
        settings = {"Type": "SecureString", "Tier": "Advanced", "Overwrite": True}
        self.client.put_parameter(Name=path.partition("#")[0], Value=json.dumps({"key": value}), **settings)

    def uproot(self, context: StageContext, path: str) -> None:  # noqa: ARG002 - the kit's signature
        self.client.delete_parameter(Name=path.partition("#")[0])
