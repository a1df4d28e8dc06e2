"""Microsoft Entra ID: tokens in place of keys for Azure OpenAI, and the secrets of Azure Key Vault."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from llmgate.spec import SecretStore, hookimpl

from .entra import AzureEntra
from .key_vault import AzureKeyVault

__all__ = ["AzureEntra", "AzureKeyVault", "llmgate_register_secret_stores"]


@hookimpl
def llmgate_register_secret_stores() -> Sequence[type[SecretStore[Any]]]:
    """``azure-entra`` and ``azure-key-vault``."""
    return (AzureEntra, AzureKeyVault)
