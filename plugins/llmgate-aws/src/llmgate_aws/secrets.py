"""The secret store ``aws-secrets``: Secrets Manager."""

from __future__ import annotations

import re
from typing import Final

from llmgate.spec import (
    Secret,
    SecretCaching,
    SecretNotFoundError,
    SecretRef,
    SecretStore,
    SecretUnavailableError,
    StageContext,
    secret_field,
    split_field,
)

from .config import AwsSecretsConfig
from .service import AwsService, error_of

__all__ = ["AwsSecrets"]

_NAME: Final = re.compile(r"[A-Za-z0-9/_+=.@!:-]{1,2048}")
_GET: Final = "secretsmanager.GetSecretValue"


class AwsSecrets(SecretStore[AwsSecretsConfig]):
    """``NAME:llmgate/openai#api_key`` is a field of the secret ``llmgate/openai``; an ARN stands for a name as well."""

    name = "aws-secrets"
    config_class = AwsSecretsConfig

    def __init__(self, config: AwsSecretsConfig) -> None:
        super().__init__(config)
        self._service: AwsService | None = None

    @property
    def caching(self) -> SecretCaching:
        """How long the pipeline keeps secrets."""
        return self.config.cache

    async def open(self, context: StageContext) -> None:
        """AWS is not asked yet: a gateway starts although it does not answer."""
        self._service = AwsService("Secrets Manager", "secretsmanager", self.config, context)

    async def aclose(self) -> None:
        """Forget the credentials."""
        service, self._service = self._service, None
        if service is not None:
            await service.aclose()

    async def fetch(self, ref: SecretRef) -> Secret:
        """The version of the secret that carries the configured stage.

        Raises:
            SecretNotFoundError: there is no such secret, stage or field, or it is about to be deleted.
            SecretUnavailableError: no region answers, or AWS refuses the gateway.
        """
        if self._service is None:
            raise SecretUnavailableError(f"{ref} cannot be read: its secret store is not open")
        name, field = split_field(ref)
        if not _NAME.fullmatch(name):
            raise SecretNotFoundError(f"{ref}: write {ref.store}:NAME#FIELD, or an ARN in place of the name")
        stage = self.config.stage
        answer = await self._service.call(ref, _GET, {"SecretId": name, "VersionStage": stage})
        error = error_of(answer)
        if error == "ResourceNotFoundException":
            raise SecretNotFoundError(f"{ref}: Secrets Manager has no such secret, or no version of it is {stage}")
        if error == "InvalidRequestException":
            raise SecretNotFoundError(f"{ref}: the secret is marked for deletion, or has no value: restore it")
        if error == "AccessDeniedException":
            raise self._service.failed(ref, answer, "the role needs secretsmanager:GetSecretValue on it")
        if error == "DecryptionFailure":
            raise self._service.failed(ref, answer, "the role needs kms:Decrypt on the key of the secret")
        value = answer.at("SecretString")
        if answer.status != 200:
            raise self._service.failed(ref, answer)
        if not isinstance(value, str):
            raise SecretNotFoundError(f"{ref}: the secret is no text: keep it as SecretString")
        found = secret_field(ref, value, field)
        if not found:
            raise SecretNotFoundError(f"{ref} is empty: put a key there")
        return Secret(found, ref=ref, version=str(answer.at("VersionId") or ""))
