"""What llmgate must not forget, in SQL databases: the keys that it issues to callers, and a vault of provider keys."""

from __future__ import annotations

from llmgate.spec import hookimpl

from .config import DatabaseConfig, IssuedKeysConfig, SqlVaultConfig
from .errors import StoreUnavailableError
from .keys.provider import IssuedKeys
from .vault.store import SqlVault

__all__ = [
    "DatabaseConfig",
    "IssuedKeys",
    "IssuedKeysConfig",
    "SqlVault",
    "SqlVaultConfig",
    "StoreUnavailableError",
    "llmgate_register_auth_providers",
    "llmgate_register_secret_stores",
]


@hookimpl
def llmgate_register_auth_providers() -> type[IssuedKeys]:
    """``issued-keys``."""
    return IssuedKeys


@hookimpl
def llmgate_register_secret_stores() -> type[SqlVault]:
    """``sql-vault``."""
    return SqlVault
