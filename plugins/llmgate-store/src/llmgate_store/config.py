"""What the configuration may say: each field is a key, in kebab-case in the file."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final
from urllib.parse import urlsplit

import attrs

from llmgate.spec import SecretCaching, SecretRef, bounded, words_of

__all__ = [
    "DOMAINS",
    "KEYS",
    "STAGES",
    "VAULT",
    "DatabaseConfig",
    "IssuedKeysConfig",
    "SqlDomainsConfig",
    "SqlRecordsConfig",
    "SqlVaultConfig",
    "check_address",
]

KEYS: Final = "keys"
"""What issued keys are called where changes of several things are told apart."""
VAULT: Final = "vault"
"""The same, of the vault."""
DOMAINS: Final = "domains"
"""The same, of domains."""
STAGES: Final = (("auth", "issued-keys"), ("secrets", "sql-vault"), ("loggers", "sql"), ("domains", "sql-domains"))
"""The kinds and names of the stages that have a database."""
SCHEMES: Final = ("sqlite", "postgresql", "mysql", "mariadb")
MIGRATIONS: Final = ("at-start", "by-hand")
VARIABLE: Final = "LLMGATE_DATABASE_URL"
"""Where the address is taken from when the configuration says none, so that it is said once for every stage."""


def check_address(url: str) -> None:
    """Refuse an address that cannot be used, without showing any of it: it may hold a password.

    Raises:
        ValueError: it has another scheme, or lacks the file, the host or the database.
    """
    parts = urlsplit(url)
    if parts.scheme not in SCHEMES:
        raise ValueError(
            "url: write sqlite:///llmgate.db, postgresql://user@host/database, mysql://user@host/database "
            "or mariadb://user@host/database"
        )
    path = parts.path.removeprefix("/")
    if parts.scheme == "sqlite":
        if parts.netloc or not path or path == ":memory:" or parts.query:
            raise ValueError("url: write the file's path behind three slashes, sqlite:///llmgate.db, and nothing else")
    elif not parts.hostname or not path:
        raise ValueError(f"url: write the host and the database, {parts.scheme}://user@host/database")


def _an_address_without_a_password(_: object, field: attrs.Attribute[Any], url: str | None) -> None:
    # The field beside the message lets the configuration's reader name the line.
    if url is None:
        return
    try:
        check_address(url)
    except ValueError as wrong:
        raise ValueError(str(wrong), field) from None
    if urlsplit(url).password:
        raise ValueError("url: a password does not stand in the file: write url-from: env:NAME", field)


@attrs.frozen
class DatabaseConfig:
    """Where a stage keeps what it must not forget.

    Args:
        url: The database: ``sqlite:///llmgate.db`` (a path relative to the configuration), ``postgresql://…``,
            ``mysql://…`` or ``mariadb://…``. None for what the variable ``LLMGATE_DATABASE_URL`` says, or else
            ``sqlite:///llmgate.db``.
        url_from: A reference to the whole address instead, which may then hold a password.
        migrations: When tables are made and changed: ``at-start``, or ``by-hand`` with ``llmgate db upgrade``.
        pool_size: Connections that a process holds for this stage; one more listens for changes.
        timeout: Seconds that one piece of work may take, waiting for a connection included.
        open_timeout: Seconds that connecting and migrating may take when the gateway starts.
    """

    url: str | None = attrs.field(default=None, validator=_an_address_without_a_password)
    url_from: SecretRef | None = None
    migrations: str = attrs.field(default="at-start", validator=words_of(MIGRATIONS))
    pool_size: int = bounded(4, 1, 1000)
    timeout: float = bounded(5.0, 0.01, 60)
    open_timeout: float = bounded(30.0, 0.1, 3600)

    def __attrs_post_init__(self) -> None:
        """Check what one field alone cannot tell."""
        if self.url is not None and self.url_from is not None:
            raise ValueError("write either url or url-from")


@attrs.frozen
class IssuedKeysConfig:
    """The keys of ``issued-keys``.

    Args:
        database: Where the keys are kept.
        pepper: The secret that every key is hashed with, 32 characters at least. It is not in the database, so that
            who can only read or write that can neither try keys nor make any.
        former_peppers: Peppers of before, under which older keys still work.
        max_cached: Keys that a process remembers, so that they cost no question to the database.
        max_unknown: Unknown keys that a process remembers as such.
        unknown_for: Seconds for which an unknown key is remembered; one that is made meanwhile works at once.
        max_lookups: Questions to the database at once; more callers than ten times as many are refused at once.
        poll: Seconds between two looks for keys that were made, changed or revoked.
        stale_for: Seconds for which keys that are remembered still work while the database does not answer.
        last_used_every: Seconds between two times at which it is written when keys were last used.
        state: A state store over which changes are told to other processes at once; None for looking every ``poll``.
    """

    database: DatabaseConfig = attrs.field(factory=DatabaseConfig)
    pepper: SecretRef = SecretRef("env", "LLMGATE_KEY_PEPPER")
    former_peppers: Sequence[SecretRef] = ()
    max_cached: int = bounded(10_000, 1, 10_000_000)
    max_unknown: int = bounded(10_000, 1, 10_000_000)
    unknown_for: float = bounded(5.0, 0, 3600)
    max_lookups: int = bounded(8, 1, 1000)
    poll: float = bounded(0.5, 0.01, 60)
    stale_for: float = bounded(300.0, 0, 31 * 86400)
    last_used_every: float = bounded(60.0, 1, 86400)
    state: str | None = None


@attrs.frozen
class SqlVaultConfig:
    """The keys of ``sql-vault``.

    Args:
        database: Where the vault is.
        master_key: The key that it is sealed with, 32 bytes in hexadecimal or base64. It is not in the database.
        former_master_keys: Master keys of before; ``llmgate vault rekey`` makes them superfluous.
        cache: How long what the vault gives is kept.
    """

    database: DatabaseConfig = attrs.field(factory=DatabaseConfig)
    master_key: SecretRef = SecretRef("env", "LLMGATE_VAULT_KEY")
    former_master_keys: Sequence[SecretRef] = ()
    cache: SecretCaching = SecretCaching(refresh=5.0, pause=1.0)


@attrs.frozen
class SqlDomainsConfig:
    """The keys of ``sql-domains``.

    Args:
        database: Where the book of domains is.
    """

    database: DatabaseConfig = attrs.field(factory=DatabaseConfig)


def _time(default: float | None) -> Any:
    """A length of time from a minute on, or None for ever."""
    return bounded(default, 60, 100 * 365 * 86400)


@attrs.frozen
class SqlRecordsConfig:
    """The keys of ``sql``.

    Args:
        database: Where the records are kept.
        keep: Seconds for which records are kept, with all that belongs to them; null for ever.
        keep_content: Seconds for which what was asked and answered is kept; null for as long as the records.
        keep_usage: Seconds for which it is kept what records add up to, by hours and days; null for ever.
        batch: Records that one transaction writes at most.
        max_waiting: Records that wait in memory at most while the database does not take any.
        max_waiting_bytes: Bytes that they have at most, about.
        write_timeout: Seconds that a transaction may take.
        read_timeout: Seconds that a question may take.
        sweep_every: Seconds between two looks for what is older than it may be.
    """

    database: DatabaseConfig = attrs.field(factory=DatabaseConfig)
    keep: float | None = _time(90 * 86400.0)
    keep_content: float | None = _time(None)
    keep_usage: float | None = _time(3 * 365 * 86400.0)
    batch: int = bounded(500, 1, 5000)
    max_waiting: int = bounded(20_000, 1, 10_000_000)
    max_waiting_bytes: int = bounded(64 * 1024 * 1024, 1024, 64 * 1024**3)
    write_timeout: float = bounded(30.0, 0.1, 3600)
    read_timeout: float = bounded(30.0, 0.1, 3600)
    sweep_every: float = bounded(600.0, 1, 86400)
