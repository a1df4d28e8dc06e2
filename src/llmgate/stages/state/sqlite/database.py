"""The file and the one thread that touches it; each piece of work is a transaction, whole or absent.

The write-ahead log (``journal_mode=WAL``) lets processes read while one writes, and leaves a file that opens after a
crash at any moment. Triggers count what there is, so that a bound costs no look at all of it.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import sqlite3
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final, TypeVar

from llmgate.spec import GatewayClosedError, GatewayError, PluginError

__all__ = ["KINDS", "Database", "StateFileError"]

T = TypeVar("T")

KINDS: Final = ("counters", "rates", "leases", "vals", "once", "messages")
"""The tables; each has a column ``ends``, when an entry is gone in seconds since the epoch."""

_MARK: Final = 0x6C6C6D67
"""``application_id``: tells a file of ours from any other."""
_VERSION: Final = 1
_PATIENCE: Final = 5.0
"""Seconds that opening may wait for processes that open it, too."""

_TABLES: Final = """
CREATE TABLE IF NOT EXISTS counters (key BLOB PRIMARY KEY, value INTEGER NOT NULL, ends REAL NOT NULL);
CREATE TABLE IF NOT EXISTS rates (key BLOB PRIMARY KEY, units REAL NOT NULL, at REAL NOT NULL, ends REAL NOT NULL);
CREATE TABLE IF NOT EXISTS leases (key BLOB, holder BLOB, ends REAL NOT NULL, PRIMARY KEY (key, holder));
CREATE TABLE IF NOT EXISTS vals (key BLOB PRIMARY KEY, value BLOB NOT NULL, used REAL NOT NULL, ends REAL NOT NULL);
CREATE TABLE IF NOT EXISTS once (key BLOB PRIMARY KEY, answer TEXT NOT NULL, ends REAL NOT NULL);
CREATE TABLE IF NOT EXISTS messages
  (id INTEGER PRIMARY KEY AUTOINCREMENT, channel BLOB NOT NULL, message BLOB NOT NULL, ends REAL NOT NULL);
CREATE TABLE IF NOT EXISTS totals (one INTEGER PRIMARY KEY, entries INTEGER NOT NULL, size INTEGER NOT NULL);
INSERT OR IGNORE INTO totals VALUES (1, 0, 0);
CREATE INDEX IF NOT EXISTS vals_used ON vals (used);
CREATE INDEX IF NOT EXISTS messages_channel ON messages (channel, id);
"""
_SIZE: Final = "length({row}.key) + length({row}.value)"


class StateFileError(GatewayError):
    """The file of a state store cannot be read or written now: locked, full, or damaged (503)."""

    status_code = 503
    default_code = "state_file_failed"


class Database:
    """One connection to the file, used by one thread.

    Args:
        name: What the configuration calls the store, for messages.
        path: The file.
        timeout: Seconds that a piece of work may wait for another process.
    """

    def __init__(self, name: str, path: Path, timeout: float) -> None:
        self._name = name
        self._path = path
        self._timeout = timeout
        self._thread: ThreadPoolExecutor | None = None
        self._connection: sqlite3.Connection | None = None

    async def open(self) -> None:
        """Open the file, or make it.

        Raises:
            PluginError: it cannot be, or is none of ours.
        """
        self._thread = ThreadPoolExecutor(1, thread_name_prefix=f"llmgate-{self._name}")
        try:
            await asyncio.get_running_loop().run_in_executor(self._thread, self._open)
        except (OSError, sqlite3.Error) as failure:
            await self.aclose()
            raise PluginError(f"{self._name}: {self._path} cannot be used as a state store: {failure}") from failure

    async def run(self, work: Callable[[sqlite3.Connection], T], *, writes: bool = True) -> T:
        """Do a piece of work in the thread, as one transaction.

        Args:
            work: Is given the connection; what it returns is returned.
            writes: Whether it may change anything.

        Raises:
            StateFileError: the file does not allow it now.
            GatewayClosedError: the store is not open.
        """
        thread = self._thread
        if thread is None:
            raise GatewayClosedError(f"{self._name} is not open")
        try:
            return await asyncio.get_running_loop().run_in_executor(thread, self._do, work, writes)
        except sqlite3.Error as failure:
            raise StateFileError(f"{self._name} cannot use its file now: {failure}") from failure

    async def aclose(self) -> None:
        """Close the file. Idempotent."""
        thread, self._thread = self._thread, None
        if thread is not None:
            await asyncio.get_running_loop().run_in_executor(thread, self._close)
            thread.shutdown(wait=False)

    def _do(self, work: Callable[[sqlite3.Connection], T], writes: bool) -> T:
        connection = self._connection
        assert connection is not None, "the thread ends with the connection"
        if not writes:
            return work(connection)
        connection.execute("BEGIN IMMEDIATE")
        try:
            found = work(connection)
            connection.execute("COMMIT")
        except BaseException:
            with contextlib.suppress(sqlite3.Error):
                connection.execute("ROLLBACK")
            raise
        return found

    def _open(self) -> None:
        # Answers are kept here: nobody else may read them, nor what sqlite puts beside the file.
        os.close(os.open(self._path, os.O_RDWR | os.O_CREAT, 0o600))
        connection = sqlite3.connect(self._path, timeout=_PATIENCE, isolation_level=None, check_same_thread=False)
        self._connection = connection
        # In this order: another process that makes the file writes tables and mark in one transaction.
        (tables,) = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
        (mark,) = connection.execute("PRAGMA application_id").fetchone()
        if tables and mark != _MARK:
            raise OSError("it is a database of something else: write another path")
        (version,) = connection.execute("PRAGMA user_version").fetchone()
        if version > _VERSION:
            raise OSError("a newer version of llmgate has written it: write another path")
        self._prepare(connection)
        connection.execute(f"PRAGMA busy_timeout={int(self._timeout * 1000)}")

    def _prepare(self, connection: sqlite3.Connection) -> None:
        if not connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]:
            connection.execute("PRAGMA auto_vacuum=INCREMENTAL")
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=NORMAL")
        connection.execute("BEGIN IMMEDIATE")
        for statement in _TABLES.split(";"):
            connection.execute(statement)
        for kind in KINDS:
            connection.execute(f"CREATE INDEX IF NOT EXISTS {kind}_ends ON {kind} (ends)")
            grows, shrinks = (_SIZE.format(row=row) if kind == "vals" else "0" for row in ("new", "old"))
            connection.execute(
                f"CREATE TRIGGER IF NOT EXISTS {kind}_in AFTER INSERT ON {kind} BEGIN "  # noqa: S608 - the names are ours
                f"UPDATE totals SET entries = entries + 1, size = size + {grows}; END"
            )
            connection.execute(
                f"CREATE TRIGGER IF NOT EXISTS {kind}_out AFTER DELETE ON {kind} BEGIN "  # noqa: S608 - the names are ours
                f"UPDATE totals SET entries = entries - 1, size = size - ({shrinks}); END"
            )
        connection.execute(f"PRAGMA application_id={_MARK}")
        connection.execute(f"PRAGMA user_version={_VERSION}")
        connection.execute("COMMIT")

    def _close(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()
