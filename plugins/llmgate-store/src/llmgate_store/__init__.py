"""What llmgate must not forget, in SQL databases: issued keys, a vault of provider keys, records, domains."""

from __future__ import annotations

from llmgate.spec import hookimpl

from .config import DatabaseConfig, IssuedKeysConfig, SqlDomainsConfig, SqlRecordsConfig, SqlVaultConfig
from .domains.book import SqlDomains
from .errors import StoreUnavailableError
from .keys.provider import IssuedKeys
from .records.logger import SqlRecords
from .vault.store import SqlVault

__all__ = [
    "DatabaseConfig",
    "IssuedKeys",
    "IssuedKeysConfig",
    "SqlDomains",
    "SqlDomainsConfig",
    "SqlRecords",
    "SqlRecordsConfig",
    "SqlVault",
    "SqlVaultConfig",
    "StoreUnavailableError",
    "llmgate_register_auth_providers",
    "llmgate_register_domain_books",
    "llmgate_register_loggers",
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


@hookimpl
def llmgate_register_loggers() -> type[SqlRecords]:
    """``sql``."""
    return SqlRecords


@hookimpl
def llmgate_register_domain_books() -> type[SqlDomains]:
    """``sql-domains``."""
    return SqlDomains
