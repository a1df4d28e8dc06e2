"""What llmgate must not forget, in SQLite, PostgreSQL, MySQL or MariaDB: the keys that it issues to callers."""

from __future__ import annotations

from llmgate.spec import hookimpl

from .config import DatabaseConfig, IssuedKeysConfig
from .errors import StoreUnavailableError
from .keys.provider import IssuedKeys

__all__ = [
    "DatabaseConfig",
    "IssuedKeys",
    "IssuedKeysConfig",
    "StoreUnavailableError",
    "llmgate_register_auth_providers",
]


@hookimpl
def llmgate_register_auth_providers() -> type[IssuedKeys]:
    """``issued-keys``."""
    return IssuedKeys
