"""The secret store ``aws-parameters``: the Parameter Store of Systems Manager."""

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

from .config import AwsConfig
from .service import AwsService, error_of

__all__ = ["AwsParameters"]

_NAME: Final = re.compile(r"[A-Za-z0-9/_.:-]{1,2048}")
_GET: Final = "AmazonSSM.GetParameter"
_MISSING: Final = frozenset({"ParameterNotFound", "ParameterVersionNotFound", "ValidationException"})


class AwsParameters(SecretStore[AwsConfig]):
    """``NAME:/llmgate/openai`` is a parameter, ``NAME:/llmgate/openai:3`` a version of it, or one with a label."""

    name = "aws-parameters"
    config_class = AwsConfig

    def __init__(self, config: AwsConfig) -> None:
        super().__init__(config)
        self._service: AwsService | None = None

    @property
    def caching(self) -> SecretCaching:
        """How long the pipeline keeps secrets."""
        return self.config.cache

    async def open(self, context: StageContext) -> None:
        """AWS is not asked yet: a gateway starts although it does not answer."""
        self._service = AwsService("Parameter Store", "ssm", self.config, context)

    async def aclose(self) -> None:
        """Forget the credentials."""
        service, self._service = self._service, None
        if service is not None:
            await service.aclose()

    async def fetch(self, ref: SecretRef) -> Secret:
        """The parameter, decrypted.

        Raises:
            SecretNotFoundError: there is no such parameter, version or field.
            SecretUnavailableError: no region answers, or AWS refuses the gateway.
        """
        if self._service is None:
            raise SecretUnavailableError(f"{ref} cannot be read: its secret store is not open")
        name, field = split_field(ref)
        if not _NAME.fullmatch(name):
            raise SecretNotFoundError(f"{ref}: write {ref.store}:/PATH/NAME, or an ARN in its place")
        answer = await self._service.call(ref, _GET, {"Name": name, "WithDecryption": True})
        error = error_of(answer)
        if error in _MISSING:
            raise SecretNotFoundError(f"{ref}: Parameter Store has no such parameter, or no such version of it")
        if error == "AccessDeniedException":
            raise self._service.failed(ref, answer, "the role needs ssm:GetParameter on it, and kms:Decrypt on its key")
        value = answer.at("Parameter", "Value")
        if answer.status != 200 or not isinstance(value, str):
            raise self._service.failed(ref, answer)
        found = secret_field(ref, value, field)
        if not found:
            raise SecretNotFoundError(f"{ref} is empty: put a key there")
        return Secret(found, ref=ref, version=str(answer.at("Parameter", "Version") or ""))
