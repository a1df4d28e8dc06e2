"""Azure OpenAI with Microsoft Entra ID: tokens in place of keys."""

from __future__ import annotations

from llmgate.spec import hookimpl

from .entra import AzureEntra

__all__ = ["AzureEntra", "llmgate_register_secret_stores"]


@hookimpl
def llmgate_register_secret_stores() -> type[AzureEntra]:
    """``azure-entra``."""
    return AzureEntra
