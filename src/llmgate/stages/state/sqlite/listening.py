"""Publish and subscribe through the file: messages are rows, and whoever listens looks for new ones."""

from __future__ import annotations

import asyncio
import logging
import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

from llmgate.spec import Clock, GatewayError
from llmgate.stages.state.memory.channels import Channels

from .database import Database

__all__ = ["Listener"]

log = logging.getLogger("llmgate.state")

_LIFE: Final = 60.0
"""Seconds for which a message stays in the file."""
_AT_ONCE: Final = 1000


class Listener:
    """Hands messages to those who listen in this process; looks into the file only while somebody does.

    Args:
        database: The file.
        clock: Tells the time.
        queue: Messages that may wait for one subscriber.
        interval: Seconds between two looks.
    """

    def __init__(self, database: Database, clock: Clock, queue: int, interval: float) -> None:
        self._database = database
        self._clock = clock
        self._channels = Channels(queue)
        self._interval = interval
        self._listening: dict[str, int] = {}
        self._seen = 0
        self._looking = asyncio.Lock()
        self._news = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    async def publish(self, channel: str, message: bytes) -> None:
        """Put a message into the file."""
        row = (_blob(channel), message, self._clock.now() + _LIFE)
        await self._database.run(
            lambda file: file.execute("INSERT INTO messages (channel, message, ends) VALUES (?, ?, ?)", row)
        )
        self._news.set()

    @asynccontextmanager
    async def subscribe(self, channel: str) -> AsyncIterator[AsyncIterator[bytes]]:
        """Listen until the context is left, or everything is closed."""
        # What is there already is the past: to nobody, or to those who listen already.
        if self._task is None:
            self._seen = await self._database.run(_last, writes=False)
        else:
            await self._look()
        async with self._channels.subscribe(channel) as messages:
            self._listening[channel] = self._listening.get(channel, 0) + 1
            if self._task is None:
                self._task = asyncio.get_running_loop().create_task(self._run(), name="llmgate-state-messages")
            try:
                yield messages
            finally:
                self._listening[channel] -= 1
                if not self._listening[channel]:
                    del self._listening[channel]
                if not self._listening:
                    await self._stop()

    async def aclose(self) -> None:
        """End every subscription. Idempotent."""
        await self._stop()
        self._channels.close()

    async def _stop(self) -> None:
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.wait({task})

    async def _run(self) -> None:
        while True:
            self._news.clear()
            try:
                await self._look()
            except GatewayError as failure:
                log.warning("messages cannot be read: %s", failure.message)
            # By real time, not by the clock of the context: other processes do not wait for a test's.
            try:
                async with asyncio.timeout(self._interval):
                    await self._news.wait()
            except TimeoutError:
                continue

    async def _look(self) -> None:
        """Hand on what is new."""

        def work(file: sqlite3.Connection) -> list[tuple[int, bytes, bytes]]:
            return file.execute(
                "SELECT id, channel, message FROM messages WHERE id > ? ORDER BY id LIMIT ?", (self._seen, _AT_ONCE)
            ).fetchall()

        async with self._looking:
            more = True
            while more:
                rows = await self._database.run(work, writes=False)
                for number, channel, message in rows:
                    self._seen = number
                    self._channels.publish(channel.decode("utf-8", "surrogatepass"), bytes(message))
                more = len(rows) == _AT_ONCE


def _last(file: sqlite3.Connection) -> int:
    found = file.execute("SELECT seq FROM sqlite_sequence WHERE name = 'messages'").fetchone()
    return 0 if found is None else int(found[0])


def _blob(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")
