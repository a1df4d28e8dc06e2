"""What the tests share: the secrets, the context of a stage, and where databases are made and dropped."""

from __future__ import annotations

import asyncio
import os
import socket
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, NoReturn

import pytest
import sqlalchemy as sa
from llmgate_store.config import DatabaseConfig
from llmgate_store.database import Database
from llmgate_store.tables import metadata, revisions
from sqlalchemy.ext.asyncio import create_async_engine

from llmgate.spec import Clock, Secret, SecretNotFoundError, SecretRef, StageContext, SystemClock
from llmgate.testing.transport import ScriptedTransport

PEPPER: Final = "0123456789abcdef0123456789abcdef"
FORMER: Final = "fedcba9876543210fedcba9876543210"
MASTER: Final = "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"
SECRETS: Final = {"env:LLMGATE_VAULT_KEY": MASTER, "env:LLMGATE_KEY_PEPPER": PEPPER, "env:FORMER_PEPPER": FORMER}

ADMIN: Final = "root"
SERVERS: Final = {
    "postgresql": ("postgresql+asyncpg://postgres@127.0.0.1:5432/postgres", 5432),
    "mariadb": (f"mariadb+asyncmy://{ADMIN}@127.0.0.1:3306/", 3306),
    "mysql": (f"mysql+asyncmy://{ADMIN}@127.0.0.1:3306/", 3306),
}
"""Where a database may be made and dropped, by what the configuration calls it. MariaDB answers for MySQL, too."""

PATIENCE: Final = 30.0


async def _on_server(backend: str, *statements: str) -> None:
    engine = create_async_engine(SERVERS[backend][0], isolation_level="AUTOCOMMIT")
    async with engine.connect() as connection:
        for statement in statements:
            await connection.execute(sa.text(statement))
    await engine.dispose()


def _expect(backend: str) -> None:
    port = SERVERS[backend][1]
    try:
        socket.create_connection(("127.0.0.1", port), timeout=2).close()
    except OSError:
        pytest.skip(f"no {backend} answers at 127.0.0.1:{port}: start one to run these tests")


@contextmanager
def making_database(backend: str, directory: Path) -> Iterator[str]:
    """The address of an empty database, dropped afterwards."""
    if backend == "sqlite":
        yield f"sqlite:///{directory}/llmgate.db"
        return
    _expect(backend)
    name = f"llmgate_test_{os.getpid()}_{uuid.uuid4().hex[:12]}"
    asyncio.run(_on_server(backend, f"CREATE DATABASE {name}"))
    user = "postgres" if backend == "postgresql" else ADMIN
    yield f"{backend}://{user}@127.0.0.1/{name}"
    force = " WITH (FORCE)" if backend == "postgresql" else ""
    asyncio.run(_on_server(backend, f"DROP DATABASE {name}{force}"))


def make_context(
    directory: Path,
    *,
    clock: Clock | None = None,
    secrets: Mapping[str, str] = SECRETS,
    environment: Mapping[str, str] | None = None,
    state: Callable[[str], Any] | None = None,
) -> StageContext:
    """What a stage is opened with."""

    async def fetch(ref: SecretRef) -> Secret:
        if str(ref) not in secrets:
            raise SecretNotFoundError(f"{ref} is not there")
        return Secret(value=secrets[str(ref)], ref=ref)

    def no_state(_: str) -> NoReturn:
        raise AssertionError("no state store is needed")

    return StageContext(
        id="auth[0]",
        clock=clock or SystemClock(),
        transport=ScriptedTransport(),
        fetch_secret=fetch,
        state=state or no_state,
        environment=environment or {},
        directory=directory,
    )


async def make_tables(url: str) -> None:
    """Migrate an empty database."""
    database = await Database(DatabaseConfig(url=url, timeout=PATIENCE), make_context(Path("/"))).open()
    await database.aclose()


async def empty_tables(url: str) -> None:
    """Take every row out of the tables, and begin to count revisions anew."""
    database = Database(DatabaseConfig(url=url, timeout=PATIENCE), make_context(Path("/")))
    await database.open(migrations="never")
    async with database.write() as connection:
        for table in metadata.sorted_tables:
            change = sa.update(table).values(revision=0) if table is revisions else sa.delete(table)
            await connection.execute(change)
    await database.aclose()
