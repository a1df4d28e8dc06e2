"""The database behind a stage: its connections, its transactions, and one sort of error for whatever goes wrong.

SQLAlchemy's asyncio engines are used with asyncpg, asyncmy and aiosqlite: a question that takes too long is cancelled
at its socket, where one in a thread would hold its thread and its connection until the server answers.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final, Self

import sqlalchemy as sa
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import DBAPIError, NoSuchModuleError, SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from llmgate.spec import ConfigError, GatewayClosedError, PluginError, StageContext

from .config import VARIABLE, DatabaseConfig, check_address
from .errors import StoreUnavailableError
from .schema import migrate, refuse_other
from .tables import revisions

__all__ = ["Database", "address_of"]

log: Final = logging.getLogger("llmgate.store")

_DRIVERS: Final = {
    "sqlite": "sqlite+aiosqlite",
    "postgresql": "postgresql+asyncpg",
    "mysql": "mysql+asyncmy",
    "mariadb": "mariadb+asyncmy",
}
_EXTRAS: Final = {"asyncpg": "postgresql", "asyncmy": "mysql"}
_DEFAULT: Final = "sqlite:///llmgate.db"
_WRITES: Final = "llmgate_writes"
_PAUSE: Final = 0.02
"""Seconds between two attempts at what SQLite does not wait for."""


async def address_of(config: DatabaseConfig, context: StageContext) -> URL:
    """The address that a configuration leads to, with the driver that speaks to it.

    Args:
        config: What the operator wrote.
        context: Where its references, variables and relative paths lead.

    Raises:
        ConfigError: the address cannot be used; the message shows none of it.
        SecretNotFoundError: ``url-from`` leads nowhere.
    """
    if config.url_from is not None:
        where, text = str(config.url_from), (await context.fetch_secret(config.url_from)).reveal().strip()
    elif config.url is not None:
        where, text = "database", config.url
    else:
        where, text = VARIABLE, context.environment.get(VARIABLE, "").strip() or _DEFAULT
    try:
        check_address(text)
        url = make_url(text)
    except (ValueError, SQLAlchemyError) as wrong:
        reason = wrong if isinstance(wrong, ValueError) else "it is no address"
        raise ConfigError(f"{context.id}: {where}: {reason}") from None
    if url.get_backend_name() == "sqlite":
        url = url.set(database=str((context.directory / str(url.database)).resolve()))
    return url.set(drivername=_DRIVERS[url.get_backend_name()])


class Database:
    """One database, opened for one stage.

    Args:
        config: Where it is, and how long it may take.
        context: What the stage was opened with.
    """

    def __init__(self, config: DatabaseConfig, context: StageContext) -> None:
        self._config = config
        self._context = context
        self._engine: AsyncEngine | None = None

    async def open(self, *, migrations: str | None = None) -> Self:
        """Connect, and bring the tables to the shape that this version wants.

        Args:
            migrations: ``at-start`` to make and change tables, ``by-hand`` to refuse others than it wants, ``never``
                to take what is there; None for what the configuration says.

        Raises:
            StoreUnavailableError: the database cannot be reached.
            PluginError: its tables are of another version, or its driver is not installed.
            ConfigError: its address cannot be used.
        """
        url = await address_of(self._config, self._context)
        self._engine = self._made(url)
        if url.get_backend_name() == "sqlite":
            async with self._patiently(self._config.open_timeout), self._engine.connect() as connection:
                await _into_wal(connection)
        how = migrations or self._config.migrations
        if how == "at-start":
            await self._migrate()
        elif how == "by-hand":
            async with self.read(self._config.open_timeout) as connection:
                await connection.run_sync(refuse_other, self._context.id)
        return self

    async def aclose(self) -> None:
        """Close every connection. Idempotent."""
        engine, self._engine = self._engine, None
        if engine is not None:
            await engine.dispose()

    @asynccontextmanager
    async def read(self, timeout: float | None = None) -> AsyncIterator[AsyncConnection]:
        """A connection to ask; nothing is written.

        Args:
            timeout: Seconds for all of it; None for the configured ones.

        Raises:
            StoreUnavailableError: the database does not answer, or not in time.
        """
        async with self._patiently(timeout), self._open_engine.connect() as connection:
            yield connection

    @asynccontextmanager
    async def write(self, timeout: float | None = None) -> AsyncIterator[AsyncConnection]:
        """A connection in a transaction, committed when the block is left and undone when it fails.

        Raises:
            StoreUnavailableError: the database does not answer, or not in time, or refuses what is written.
        """
        async with self._patiently(timeout), self._open_engine.connect() as connection:
            await connection.execution_options(**{_WRITES: True})
            async with connection.begin():
                yield connection

    async def raise_revision(self, connection: AsyncConnection, subject: str) -> int:
        """Say that a subject is changed in this transaction; the first thing that a writer does.

        Returns:
            The revision that its rows are marked with.
        """
        row = revisions.c.subject == subject
        await connection.execute(sa.update(revisions).where(row).values(revision=revisions.c.revision + 1))
        return int((await connection.execute(sa.select(revisions.c.revision).where(row))).scalar_one())

    @property
    def _open_engine(self) -> AsyncEngine:
        if self._engine is None:
            raise GatewayClosedError(f"{self._context.id}: the database is not open")
        return self._engine

    def _made(self, url: URL) -> AsyncEngine:
        try:
            return _engine_for(url, self._config)
        except (ModuleNotFoundError, NoSuchModuleError) as missing:
            extra = _EXTRAS.get(getattr(missing, "name", "") or "", "")
            raise PluginError(
                f"{self._context.id}: no driver for {url.get_backend_name()} is installed: "
                f"pip install 'llmgate-store[{extra or url.get_backend_name()}]'"
            ) from None
        except OSError as wrong:
            raise ConfigError(f"{self._context.id}: {url.database} cannot be made: {wrong.strerror}") from None

    async def _migrate(self) -> None:
        async with self.write(self._config.open_timeout) as connection:
            changed = await connection.run_sync(migrate, self._context.id)
        if changed:
            log.info("%s: the tables are now of version %s", self._context.id, changed)

    @asynccontextmanager
    async def _patiently(self, timeout: float | None) -> AsyncIterator[None]:
        """One sort of error for whatever the database does; its own words may show addresses and values."""
        try:
            async with asyncio.timeout(self._config.timeout if timeout is None else timeout):
                yield
        except TimeoutError:
            raise self._unavailable("it did not answer in time") from None
        except (SQLAlchemyError, OSError) as failure:
            log.warning("%s: the database failed: %s", self._context.id, _kind_of(failure))
            raise self._unavailable("it cannot be reached, or refuses what it is asked") from None

    def _unavailable(self, reason: str) -> StoreUnavailableError:
        return StoreUnavailableError(f"{self._context.id}: the database is not usable: {reason}")


def _kind_of(failure: BaseException) -> str:
    """The failure's class and, where the database says one, its code; never its words."""
    cause = failure.orig if isinstance(failure, DBAPIError) and failure.orig is not None else failure
    code = getattr(cause, "sqlstate", None) or getattr(cause, "sqlite_errorname", None)
    if code is None and cause.args and isinstance(cause.args[0], int):
        code = cause.args[0]
    return f"{type(cause).__name__} {code or ''}".strip()


def _engine_for(url: URL, config: DatabaseConfig) -> AsyncEngine:
    if url.get_backend_name() == "sqlite":
        return _sqlite(Path(str(url.database)), url, config)
    options: dict[str, Any] = {"isolation_level": "READ COMMITTED"}
    if url.get_backend_name() != "postgresql":
        url = url.update_query_dict({"charset": "utf8mb4"})
    return create_async_engine(
        url,
        pool_size=config.pool_size,
        max_overflow=1,
        pool_pre_ping=True,
        pool_timeout=config.timeout,
        hide_parameters=True,
        **options,
    )


async def _into_wal(connection: AsyncConnection) -> None:
    """Have a file's readers and writers not wait for each other, which it remembers.

    SQLite does not wait for others who do the same at that moment, whatever ``busy_timeout`` says, but fails.
    """
    raw = (await connection.get_raw_connection()).driver_connection
    assert raw is not None, "the pool has handed out a connection"
    while True:
        try:
            cursor = await raw.execute("PRAGMA journal_mode = WAL")
        except sqlite3.OperationalError as failure:
            if failure.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY:
                raise
            await asyncio.sleep(_PAUSE)
        else:
            await cursor.close()
            return


def _sqlite(path: Path, url: URL, config: DatabaseConfig) -> AsyncEngine:
    """An engine whose file only its owner may read, and whose writers wait for each other rather than fail."""
    logging.getLogger("aiosqlite").setLevel(logging.WARNING)  # below that it writes down every value
    with contextlib.suppress(FileExistsError):
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
    engine = create_async_engine(url, pool_size=config.pool_size, max_overflow=1, hide_parameters=True)

    @sa.event.listens_for(engine.sync_engine, "connect")
    def prepare(connection: Any, _: object) -> None:
        connection.isolation_level = None  # transactions are begun below, not by the driver's own rules
        cursor = connection.cursor()
        cursor.execute(f"PRAGMA busy_timeout = {round(config.timeout * 1000)}")
        cursor.execute("PRAGMA foreign_keys = ON")
        cursor.close()

    @sa.event.listens_for(engine.sync_engine, "begin")
    def begin(connection: sa.Connection) -> None:
        writes = connection.get_execution_options().get(_WRITES)
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")

    return engine
