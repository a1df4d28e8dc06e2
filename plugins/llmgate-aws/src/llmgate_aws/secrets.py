"""The secret store ``aws-secrets``: Secrets Manager."""

from __future__ import annotations

import re
from typing import Final

from llmgate.spec import Secret, SecretNotFoundError, SecretRef, split_field

from .config import AwsSecretsConfig
from .service import error_of
from .store import AwsStore

__all__ = ["AwsSecrets"]

_NAME: Final = re.compile(r"[A-Za-z0-9/_+=.@!:-]{1,2048}")
_GET: Final = "secretsmanager.GetSecretValue"


class AwsSecrets(AwsStore[AwsSecretsConfig]):
    """``NAME:llmgate/openai#api_key`` is a field of the secret ``llmgate/openai``; an ARN stands for a name as well."""

    name = "aws-secrets"
    config_class = AwsSecretsConfig
    title = "Secrets Manager"
    code = "secretsmanager"

    async def fetch(self, ref: SecretRef) -> Secret:
        """The version of the secret that carries the configured stage.

        Raises:
            SecretNotFoundError: there is no such secret, stage or field, or it is about to be deleted.
            SecretUnavailableError: no region answers, or AWS refuses the gateway.
        """
        service = self.opened(ref)
        name, field = split_field(ref)
        if not _NAME.fullmatch(name):
            raise SecretNotFoundError(f"{ref}: write {ref.store}:NAME#FIELD, or an ARN in place of the name")
        stage = self.config.stage
        answer = await service.call(ref, _GET, {"SecretId": name, "VersionStage": stage})
        error = error_of(answer)
        if error == "ResourceNotFoundException":
            raise SecretNotFoundError(f"{ref}: Secrets Manager has no such secret, or no version of it is {stage}")
        if error == "InvalidRequestException":
            raise SecretNotFoundError(f"{ref}: the secret is marked for deletion, or has no value: restore it")
        if error == "AccessDeniedException":
            raise service.failed(ref, answer, "the role needs secretsmanager:GetSecretValue on it")
        if error == "DecryptionFailure":
            raise service.failed(ref, answer, "the role needs kms:Decrypt on the key of the secret")
        value = answer.at("SecretString")
        if answer.status != 200:
            raise service.failed(ref, answer)
        if not isinstance(value, str):
            raise SecretNotFoundError(f"{ref}: the secret is no text: keep it as SecretString")
        return self.secret(ref, value, field, answer.at("VersionId"))
