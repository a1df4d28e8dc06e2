"""What every auth provider and every secret store promises, kept by ours on a file of SQLite's."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from collections.abc import Awaitable, Callable, Sequence
from contextlib import closing
from pathlib import Path
from typing import ClassVar

import attrs
from llmgate_store.config import IssuedKeysConfig
from llmgate_store.database import Database
from llmgate_store.domains.book import SqlDomains
from llmgate_store.keys.book import KeyBook
from llmgate_store.keys.grant import Grant
from llmgate_store.keys.provider import IssuedKeys
from llmgate_store.keys.text import KeyText
from llmgate_store.records.logger import SqlRecords
from llmgate_store.vault.book import VaultBook
from llmgate_store.vault.sealing import MasterKeys
from llmgate_store.vault.store import SqlVault
from store_bench import MASTER, PEPPER, make_context

from llmgate.spec import Credentials, Peppers, StageContext
from llmgate.testing import FakeClock
from llmgate.testing.conformance import AuthConformance, DomainConformance, LoggerConformance, SecretConformance


async def _fill(context: StageContext) -> tuple[list[Credentials], list[Credentials]]:
    config = IssuedKeysConfig()
    database = await Database(config.database, context).open()
    book, peppers = KeyBook(database, context.clock), Peppers([PEPPER.encode()])
    grant = Grant(label="l", owner="jane", issued_by="root")
    good, _ = await book.create(grant, peppers)
    revoked, _ = await book.create(grant, peppers)
    await book.revoke(revoked.public_id, by="root", reason=None)
    expired, _ = await book.create(attrs.evolve(grant, expires_at=context.clock.now()), peppers)
    replaced, _ = await book.create(grant, peppers)
    await book.rotate(replaced.public_id, peppers, overlap=0)
    elsewhere, _ = await book.create(attrs.evolve(grant, addresses=("192.0.2.0/24",)), peppers)
    other = KeyText.new().text[-38:]
    forged = f"sk-lg-{good.public_id}-{other}"
    await database.aclose()
    bad = [one.text for one in (revoked, expired, replaced, elsewhere, KeyText.new())]
    return [Credentials.of(good.text)], [Credentials.of(text) for text in (*bad, forged, good.text[:-1] + "-")[:6]]


def _apart(work: Callable[[], object]) -> None:
    """In a thread: the kit makes its context where an event loop may run already."""
    working = threading.Thread(target=work)
    working.start()
    working.join()


class TestIssuedKeys(AuthConformance):
    stage_class = IssuedKeys
    secrets: ClassVar = {"env:LLMGATE_KEY_PEPPER": PEPPER}
    strangers: ClassVar = (Credentials.of("sk-another-gateway"), Credentials.of("sk-lg-" + "a" * 43))

    def make_context(self, directory: Path, clock: FakeClock) -> StageContext:
        context = super().make_context(directory, clock)
        filled = attrs.evolve(make_context(directory, clock=clock))
        made: list[tuple[list[Credentials], list[Credentials]]] = []
        _apart(lambda: made.append(asyncio.run(_fill(filled))))
        type(self).valid, type(self).bad = made[0]  # type: ignore[misc]
        return context


class TestSqlVault(SecretConformance):
    stage_class = SqlVault
    secrets: ClassVar = {"env:LLMGATE_VAULT_KEY": MASTER}
    multiline = True

    def plant(self, context: StageContext, path: str, value: str) -> None:
        self._change(context, lambda vault: vault.put(path, value, MasterKeys([bytes.fromhex(MASTER)]), by="kit"))

    def uproot(self, context: StageContext, path: str) -> None:
        self._change(context, lambda vault: vault.remove(path))

    def cut(self, context: StageContext) -> None:
        self._rename(context, "vault_secrets", "away")

    def _rename(self, context: StageContext, name: str, other: str) -> None:
        with closing(sqlite3.connect(context.directory / "llmgate.db")) as connection:
            connection.execute(f"ALTER TABLE {name} RENAME TO {other}")

    def _change(self, context: StageContext, change: Callable[[VaultBook], Awaitable[object]]) -> None:
        async def work() -> None:
            plain = make_context(context.directory, clock=context.clock)
            database = await Database(self.stage_class.config_class().database, plain).open()
            await change(VaultBook(database, plain.clock))
            await database.aclose()

        _apart(lambda: asyncio.run(work()))


class TestSqlRecords(LoggerConformance):
    stage_class = SqlRecords

    def written(self, context: StageContext) -> Sequence[str]:
        with closing(sqlite3.connect(context.directory / "llmgate.db")) as connection:
            return [row[0] for row in connection.execute("SELECT record FROM exchange_records ORDER BY rowid")]


class TestSqlDomains(DomainConformance):
    stage_class = SqlDomains
