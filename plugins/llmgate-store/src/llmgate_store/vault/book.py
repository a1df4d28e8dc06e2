"""The secrets in the database: put, found, taken out, sealed anew. What is read and written here is sealed."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

import attrs
import sqlalchemy as sa

from llmgate.spec import Clock, GatewayError
from llmgate_store.config import VAULT
from llmgate_store.database import Database
from llmgate_store.tables import MICROSECONDS, vault_secrets

from .sealing import MasterKeys, Sealed, UnsealError

__all__ = ["Kept", "VaultBook", "VaultChangeError", "is_name"]

_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._/-]{0,199}")
KEPT_VERSIONS: Final = 2
"""Versions of a secret that are kept: the one in force, and the one before it."""


class VaultChangeError(GatewayError):
    """The vault cannot be changed as asked; the message says why."""

    default_code = "vault_not_changed"


@attrs.frozen
class Kept:
    """What is known of a secret without opening it.

    Args:
        name: What references call it.
        version: How often it has been put.
        sealed: The secret, sealed.
        note: What somebody wrote about it.
        created_at: When it was put, in seconds since the epoch.
        created_by: Who put it.
    """

    name: str
    version: int
    sealed: Sealed
    note: str | None
    created_at: float
    created_by: str


def is_name(text: str) -> bool:
    """Whether a secret can be called so: letters, digits and ``. _ / -``, 200 at most."""
    return _NAME.fullmatch(text) is not None


class VaultBook:
    """Sealed secrets, in a database.

    Args:
        database: Where they are.
        clock: Time.
    """

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    async def find(self, name: str) -> Kept | None:
        """The version of a secret that is in force; None for unknown."""
        columns = vault_secrets.c
        question = sa.select(vault_secrets).where(columns.name == name).order_by(columns.version.desc()).limit(1)
        async with self._database.read() as connection:
            row = (await connection.execute(question)).mappings().one_or_none()
        return None if row is None else _kept(row)

    async def list(self) -> Sequence[Kept]:
        """The versions in force of all secrets, by name."""
        columns = vault_secrets.c
        question = sa.select(vault_secrets).order_by(columns.name, columns.version)
        async with self._database.read() as connection:
            newest = {row["name"]: _kept(row) for row in (await connection.execute(question)).mappings()}
        return list(newest.values())

    async def put(self, name: str, value: str, keys: MasterKeys, *, by: str, note: str | None = None) -> int:
        """Put a secret into the vault, or a new version in the place of the one in force.

        Returns:
            The version.
        """
        columns = vault_secrets.c
        async with self._database.write() as connection:
            # Also the lock that puts those in order who put the same secret at once.
            await self._database.raise_revision(connection, VAULT)
            newest = sa.select(sa.func.max(columns.version)).where(columns.name == name)
            version = ((await connection.execute(newest)).scalar_one_or_none() or 0) + 1
            sealed = keys.seal(name, version, value)
            await connection.execute(
                sa.insert(vault_secrets).values(
                    name=name,
                    version=version,
                    ciphertext=sealed.ciphertext,
                    wrapped_key=sealed.wrapped_key,
                    master_id=sealed.master_id,
                    note=note,
                    created_at=round(self._clock.now() * MICROSECONDS),
                    created_by=by,
                )
            )
            old = (columns.name == name) & (columns.version <= version - KEPT_VERSIONS)
            await connection.execute(sa.delete(vault_secrets).where(old))
        return version

    async def remove(self, name: str) -> None:
        """Take a secret out of the vault, with all its versions.

        Raises:
            VaultChangeError: it is not there.
        """
        async with self._database.write() as connection:
            await self._database.raise_revision(connection, VAULT)
            gone = await connection.execute(sa.delete(vault_secrets).where(vault_secrets.c.name == name))
        if not gone.rowcount:
            raise VaultChangeError(f"there is no secret {name!r} in the vault: see `llmgate vault list`")

    async def seal_anew(self, keys: MasterKeys) -> int:
        """Seal every secret with the master key in force; all of them or, when one cannot be opened, none.

        Returns:
            How many were sealed with another.

        Raises:
            VaultChangeError: one of them cannot be opened.
        """
        columns = vault_secrets.c
        async with self._database.write() as connection:
            await self._database.raise_revision(connection, VAULT)
            question = sa.select(vault_secrets).where(columns.master_id != keys.current)
            rows = (await connection.execute(question)).mappings().all()
            for row in rows:
                one = _kept(row)
                try:
                    sealed = keys.sealed_anew(one.name, one.version, one.sealed)
                except UnsealError as wrong:
                    raise VaultChangeError(f"secret {one.name!r} cannot be opened: {wrong}") from None
                place = (columns.name == one.name) & (columns.version == one.version)
                changed = {"wrapped_key": sealed.wrapped_key, "master_id": sealed.master_id}
                await connection.execute(sa.update(vault_secrets).where(place).values(**changed))
        return len(rows)


def _kept(row: sa.RowMapping) -> Kept:
    return Kept(
        name=row["name"],
        version=row["version"],
        sealed=Sealed(bytes(row["ciphertext"]), bytes(row["wrapped_key"]), row["master_id"]),
        note=row["note"],
        created_at=row["created_at"] / MICROSECONDS,
        created_by=row["created_by"],
    )
