"""The vault in the database: each change is whole, what is there is sealed, and what goes out is current."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from llmgate_store.config import DatabaseConfig, SqlVaultConfig
from llmgate_store.database import Database
from llmgate_store.errors import StoreUnavailableError
from llmgate_store.tables import vault_secrets
from llmgate_store.vault.book import VaultBook, VaultChangeError, is_name
from llmgate_store.vault.sealing import MasterKeys
from llmgate_store.vault.store import SqlVault
from store_bench import MASTER, PATIENCE, make_context

from llmgate.spec import SecretNotFoundError, SecretRef, SecretUnavailableError, StageContext

KEYS = MasterKeys([bytes.fromhex(MASTER)])
VALUE = "sk-proj-canary-0123456789"
REF = SecretRef("vault", "openai")


@pytest.fixture
def vault(database: Database, context: StageContext) -> VaultBook:
    """The secrets in the database."""
    return VaultBook(database, context.clock)


async def test_a_secret_is_put_replaced_and_removed(vault: VaultBook):
    assert await vault.find("openai") is None
    assert await vault.put("openai", VALUE, KEYS, by="jane", note="Ключ 🔑") == 1
    kept = await vault.find("openai")
    assert kept is not None
    assert KEYS.unseal("openai", 1, kept.sealed) == VALUE
    assert (kept.note, kept.created_by) == ("Ключ 🔑", "jane")
    assert [await vault.put("openai", f"{VALUE}-{number}", KEYS, by="joe") for number in (2, 3)] == [2, 3]
    await vault.put("a/openai", VALUE, KEYS, by="joe")
    assert [(one.name, one.version) for one in await vault.list()] == [("a/openai", 1), ("openai", 3)]
    await vault.remove("openai")
    assert await vault.find("openai") is None
    with pytest.raises(VaultChangeError, match="there is no secret 'openai'"):
        await vault.remove("openai")


async def test_old_versions_do_not_pile_up(vault: VaultBook, database: Database):
    for number in range(5):
        await vault.put("openai", str(number), KEYS, by="x")
    async with database.read() as connection:
        versions = (await connection.execute(sa.select(vault_secrets.c.version))).scalars().all()
    assert sorted(versions) == [4, 5]


async def test_of_many_who_put_at_once_each_makes_a_version(vault: VaultBook):
    versions = await asyncio.gather(*(vault.put("openai", str(number), KEYS, by="x") for number in range(8)))
    assert sorted(versions) == list(range(1, 9))


async def test_no_row_shows_a_secret(vault: VaultBook, database: Database):
    await vault.put("openai", VALUE, KEYS, by="x")
    async with database.read() as connection:
        rows = (await connection.execute(sa.select(vault_secrets))).all()
    assert VALUE.encode() not in b"".join(bytes(cell) for row in rows for cell in row if isinstance(cell, bytes))
    assert VALUE not in str(rows)


async def test_all_are_sealed_anew_or_none(vault: VaultBook):
    new = os.urandom(32)
    for name in ("a", "b", "c"):
        await vault.put(name, f"{VALUE}-{name}", KEYS, by="x")
    with pytest.raises(VaultChangeError, match="secret 'a' cannot be opened"):
        await vault.seal_anew(MasterKeys([new]))
    both = MasterKeys([new, bytes.fromhex(MASTER)])
    await vault.put("d", VALUE, both, by="x")
    assert await vault.seal_anew(both) == 3
    assert await vault.seal_anew(both) == 0
    for kept in await vault.list():
        assert MasterKeys([new]).unseal(kept.name, kept.version, kept.sealed).startswith(VALUE)


@pytest.mark.parametrize(
    ("text", "good"),
    [
        ("openai", True),
        ("team-a/openai_2.x", True),
        ("", False),
        ("-a", False),
        ("../x", False),
        ("a b", False),
        ("x" * 200, True),
        ("x" * 201, False),
        ("ключ", False),
        ("a\n", False),
        ("a'--", False),
    ],
)
def test_names_are_plain(text, good):
    assert is_name(text) is good


class TestStore:
    async def opened(self, url: str, context: StageContext, **keys: Any) -> SqlVault:
        stage = SqlVault(SqlVaultConfig(database=DatabaseConfig(url=url, timeout=PATIENCE), **keys))
        await stage.open(context)
        return stage

    async def test_it_gives_what_is_in_force(self, url: str, context: StageContext, vault: VaultBook):
        stage = await self.opened(url, context)
        await vault.put("openai", VALUE, KEYS, by="x")
        secret = await stage.fetch(REF)
        assert (secret.reveal(), secret.version, secret.ref) == (VALUE, "1", REF)
        await vault.put("openai", "another", KEYS, by="x")
        assert (await stage.fetch(REF)).version == "2"
        await stage.aclose()
        with pytest.raises(SecretNotFoundError, match="not open"):
            await stage.fetch(REF)

    async def test_what_cannot_be_opened_is_unavailable_and_not_absent(
        self, url: str, vault: VaultBook, tmp_path: Path
    ):
        await vault.put("openai", VALUE, MasterKeys([os.urandom(32)]), by="x")
        stage = await self.opened(url, make_context(tmp_path))
        with pytest.raises(SecretUnavailableError, match="vault:openai cannot be opened") as caught:
            await stage.fetch(REF)
        assert VALUE not in str(caught.value)
        await stage.aclose()

    async def test_a_database_that_is_away_is_no_answer(self, url: str, context: StageContext, monkeypatch):
        stage = await self.opened(url, context)

        async def away(_: str) -> Any:
            raise StoreUnavailableError("secrets.vault: the database is not usable")

        monkeypatch.setattr(stage._book, "find", away)
        with pytest.raises(SecretUnavailableError, match="vault:openai cannot be read"):
            await stage.fetch(REF)
        await stage.aclose()
