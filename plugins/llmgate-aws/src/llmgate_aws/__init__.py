"""Secrets of AWS: Secrets Manager and the Parameter Store of Systems Manager."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from llmgate.spec import SecretStore, hookimpl

from .parameters import AwsParameters
from .secrets import AwsSecrets

__all__ = ["AwsParameters", "AwsSecrets", "llmgate_register_secret_stores"]


@hookimpl
def llmgate_register_secret_stores() -> Sequence[type[SecretStore[Any]]]:
    """``aws-secrets`` and ``aws-parameters``."""
    return (AwsSecrets, AwsParameters)
