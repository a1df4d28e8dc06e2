"""The secret store ``aws-parameters``: the Parameter Store of Systems Manager."""

from __future__ import annotations

import re
from typing import Final

from llmgate.spec import Secret, SecretNotFoundError, SecretRef, split_field

from .config import AwsConfig
from .service import error_of
from .store import AwsStore

__all__ = ["AwsParameters"]

_NAME: Final = re.compile(r"[A-Za-z0-9/_.:-]{1,2048}")
_GET: Final = "AmazonSSM.GetParameter"
_MISSING: Final = frozenset({"ParameterNotFound", "ParameterVersionNotFound", "ValidationException"})


class AwsParameters(AwsStore[AwsConfig]):
    """``NAME:/llmgate/openai`` is a parameter, ``NAME:/llmgate/openai:3`` a version of it, or one with a label."""

    name = "aws-parameters"
    config_class = AwsConfig
    title = "Parameter Store"
    code = "ssm"

    async def fetch(self, ref: SecretRef) -> Secret:
        """The parameter, decrypted.

        Raises:
            SecretNotFoundError: there is no such parameter, version or field.
            SecretUnavailableError: no region answers, or AWS refuses the gateway.
        """
        service = self.opened(ref)
        name, field = split_field(ref)
        if not _NAME.fullmatch(name):
            raise SecretNotFoundError(f"{ref}: write {ref.store}:/PATH/NAME, or an ARN in its place")
        answer = await service.call(ref, _GET, {"Name": name, "WithDecryption": True})
        error = error_of(answer)
        if error in _MISSING:
            raise SecretNotFoundError(f"{ref}: Parameter Store has no such parameter, or no such version of it")
        if error == "AccessDeniedException":
            raise service.failed(ref, answer, "the role needs ssm:GetParameter on it, and kms:Decrypt on its key")
        value = answer.at("Parameter", "Value")
        if answer.status != 200 or not isinstance(value, str):
            raise service.failed(ref, answer)
        return self.secret(ref, value, field, answer.at("Parameter", "Version"))
