"""What llmgate keeps at AWS: secrets in Secrets Manager and the Parameter Store, records in S3."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from llmgate.spec import SecretStore, hookimpl

from .objects import S3Records
from .parameters import AwsParameters
from .secrets import AwsSecrets

__all__ = ["AwsParameters", "AwsSecrets", "S3Records", "llmgate_register_loggers", "llmgate_register_secret_stores"]


@hookimpl
def llmgate_register_secret_stores() -> Sequence[type[SecretStore[Any]]]:
    """``aws-secrets`` and ``aws-parameters``."""
    return (AwsSecrets, AwsParameters)


@hookimpl
def llmgate_register_loggers() -> type[S3Records]:
    """``s3``."""
    return S3Records
