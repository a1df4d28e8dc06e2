"""A door to a database that can be shut: a TCP relay on loopback, or for SQLite a lock on the whole file."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import sqlite3
import warnings
from urllib.parse import urlsplit

__all__ = ["FallingDoor"]

_PORTS = {"postgresql": 5432, "mariadb": 3306, "mysql": 3306}


class FallingDoor:
    """Stands before the database of an address; while it is shut nobody gets in, and whoever is in is thrown out.

    Args:
        url: Of the database.
    """

    def __init__(self, url: str) -> None:
        self._whole = url
        self._url = urlsplit(url)
        self._server: asyncio.Server | None = None
        self._port = 0
        self._writers: set[asyncio.StreamWriter] = set()
        self._lock: sqlite3.Connection | None = None

    @property
    def url(self) -> str:
        """The address of the door."""
        if self._url.scheme == "sqlite":
            return self._whole
        return f"{self._url.scheme}://{self._url.username}@127.0.0.1:{self._port}{self._url.path}"

    async def lift(self) -> None:
        """Let everybody in."""
        if self._url.scheme == "sqlite":
            if self._lock is not None:
                self._lock.rollback()
                self._lock.close()
                self._lock = None
            return
        self._server = await asyncio.start_server(self._relay, "127.0.0.1", self._port)
        self._port = self._server.sockets[0].getsockname()[1]

    async def drop(self) -> None:
        """Let nobody in, and throw everybody out."""
        if self._url.scheme == "sqlite":
            self._lock = sqlite3.connect(self._url.path[1:], isolation_level=None)
            self._lock.execute("PRAGMA busy_timeout = 20000")
            self._lock.execute("BEGIN IMMEDIATE")
            return
        assert self._server is not None
        self._server.close()
        for writer in list(self._writers):
            writer.transport.abort()

    async def leave(self) -> None:
        """Close the door for good. Drivers leave what they were thrown out of to the garbage collector."""
        if self._url.scheme == "sqlite":
            await self.lift()
        elif self._server is not None:
            await self.drop()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ResourceWarning)
            gc.collect()

    async def _relay(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, onward = await asyncio.open_connection("127.0.0.1", _PORTS[self._url.scheme])
        self._writers |= {writer, onward}
        try:
            await asyncio.gather(self._pump(reader, onward), self._pump(there, writer))
        finally:
            self._writers -= {writer, onward}

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(65536):
                writer.write(data)
                await writer.drain()
        writer.transport.abort()
