"""HashiCorp Vault and OpenBao as a secret store: KV, dynamic secrets, and logins that are renewed."""

from __future__ import annotations

from llmgate.spec import hookimpl

from .store import Vault

__all__ = ["Vault", "llmgate_register_secret_stores"]


@hookimpl
def llmgate_register_secret_stores() -> type[Vault]:
    """``vault``."""
    return Vault
