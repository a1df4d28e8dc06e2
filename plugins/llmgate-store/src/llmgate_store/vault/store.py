"""The secret store ``sql-vault``: provider keys from the database, opened in this process."""

from __future__ import annotations

from typing import TYPE_CHECKING

from llmgate.spec import (
    Secret,
    SecretCaching,
    SecretNotFoundError,
    SecretRef,
    SecretStore,
    SecretUnavailableError,
    StageContext,
)
from llmgate_store.config import SqlVaultConfig
from llmgate_store.errors import StoreUnavailableError

if TYPE_CHECKING:
    from llmgate_store.database import Database

    from .book import VaultBook
    from .sealing import MasterKeys

__all__ = ["SqlVault"]


class SqlVault(SecretStore[SqlVaultConfig]):
    """Gives the provider keys that ``llmgate vault put`` has put into the database.

    They are sealed there with keys that are sealed with a master key, which is somewhere else.
    """

    name = "sql-vault"
    config_class = SqlVaultConfig

    def __init__(self, config: SqlVaultConfig) -> None:
        super().__init__(config)
        self._database: Database | None = None
        self._book: VaultBook | None = None
        self._keys: MasterKeys | None = None

    @property
    def caching(self) -> SecretCaching:
        """How long the pipeline keeps a secret."""
        return self.config.cache

    async def open(self, context: StageContext) -> None:
        """Connect to the database.

        Raises:
            SecretNotFoundError: there is no master key.
            ConfigError: the master key or the database's address cannot be used.
            StoreUnavailableError: the database cannot be reached.
            PluginError: its tables are of another version.
        """
        # Late: SQLAlchemy takes a second, which a configuration that is only checked must not pay for.
        from llmgate_store.database import Database

        from .book import VaultBook
        from .sealing import MasterKeys

        config = self.config
        self._keys = await MasterKeys.fetch((config.master_key, *config.former_master_keys), context)
        self._database = Database(config.database, context)
        await self._database.open()
        self._book = VaultBook(self._database, context.clock)

    async def aclose(self) -> None:
        """Close the database and forget the master key."""
        if self._database is not None:
            await self._database.aclose()
        self._database = self._book = self._keys = None

    async def fetch(self, ref: SecretRef) -> Secret:
        """The secret, as the vault has it now.

        Raises:
            SecretNotFoundError: it is not there.
            SecretUnavailableError: the database does not answer, or the secret cannot be opened.
        """
        # Late: it comes with the cryptography that ``open`` has imported.
        from .book import is_name
        from .sealing import UnsealError

        book, keys = self._book, self._keys
        if book is None or keys is None:
            raise SecretNotFoundError(f"{ref} cannot be read: its secret store is not open")
        try:
            kept = await book.find(ref.path) if is_name(ref.path) else None
        except StoreUnavailableError as away:
            raise SecretUnavailableError(f"{ref} cannot be read: {away.message}") from None
        if kept is None:
            raise SecretNotFoundError(f"{ref} is not in the vault: put it there with `llmgate vault put`")
        try:
            value = keys.unseal(kept.name, kept.version, kept.sealed)
        except UnsealError as wrong:
            raise SecretUnavailableError(f"{ref} cannot be opened: {wrong}") from None
        if not value.strip():
            raise SecretNotFoundError(f"{ref} is empty: put the secret there with `llmgate vault put`")
        return Secret(value=value, ref=ref, version=str(kept.version))
