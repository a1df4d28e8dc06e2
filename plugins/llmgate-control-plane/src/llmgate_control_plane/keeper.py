"""Keeps the keys on disk while the gateway runs: at once when they change, and now and then so that they stay young."""

from __future__ import annotations

import asyncio
import logging
from typing import Final

from llmgate.spec import StageContext

from .feed import KeyFeed
from .keys import KeyTable
from .snapshot import Snapshot, SnapshotError, SnapshotFile

__all__ = ["Keeper"]

log: Final = logging.getLogger("llmgate.control_plane")

_PAUSE: Final = 0.5
"""Seconds between two writings, however often keys change."""
_OFTENEST: Final = 60.0
_PARTS: Final = 20
"""The age of the keys is written so often within the time for which they are good without word of the control plane."""


class Keeper:
    """Reads and writes the snapshot of one stage; a file that fails costs the next restart, and nothing now.

    Args:
        file: The file.
        context: What the stage was opened with.
        table: The keys.
        feed: Since when they are known.
        known_for: Seconds for which they are good without word of the control plane.
    """

    def __init__(
        self, file: SnapshotFile, context: StageContext, table: KeyTable, feed: KeyFeed, known_for: float
    ) -> None:
        self._file = file
        self._context = context
        self._table = table
        self._feed = feed
        self._every = max(_OFTENEST, known_for / _PARTS)
        self._due = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._failed = ""

    async def restore(self) -> bool:
        """Begin with the keys of the file; whether there are any is said by the feed.

        Returns:
            Whether the file was there and could be used.
        """
        try:
            found = await asyncio.to_thread(self._file.read)
        except SnapshotError as wrong:
            log.warning("%s: the snapshot of keys is not used: %s", self._context.id, wrong)
            return False
        if found is None:
            return False
        clock = self._context.clock
        age = max(0.0, clock.now() - found.known_at)
        self._feed.restore(found.keys, clock.monotonic() - age)
        log.info("%s: %d keys from a snapshot that is %d s old", self._context.id, len(found.keys), age)
        return True

    def start(self) -> None:
        """Begin to write."""
        self._task = asyncio.create_task(self._keep(), name=f"{self._context.id}: snapshot")

    def note(self) -> None:
        """The keys have changed."""
        self._due.set()

    async def aclose(self) -> None:
        """Write a last time, and stop. Idempotent."""
        task, self._task = self._task, None
        if task is None:
            return
        task.cancel()
        await asyncio.wait([task])
        if self._feed.filled:
            await self._write()

    async def _keep(self) -> None:
        while True:
            waiting = asyncio.ensure_future(self._due.wait())
            slept = asyncio.ensure_future(self._context.clock.sleep(self._every))
            try:
                await asyncio.wait([waiting, slept], return_when=asyncio.FIRST_COMPLETED)
            finally:
                waiting.cancel()
                slept.cancel()
            changed = self._due.is_set()
            self._due.clear()
            if changed or self._feed.synced:
                await self._write()
                await asyncio.sleep(_PAUSE)

    async def _write(self) -> None:
        clock = self._context.clock
        age = clock.monotonic() - self._feed.known_since(clock.monotonic())
        snapshot = Snapshot(tuple(self._table.keys), clock.now() - age)
        try:
            await asyncio.to_thread(self._file.write, snapshot)
        except OSError as failure:
            why = f"{self._file.path}: {failure.strerror or type(failure).__name__}"
            if why != self._failed:
                log.warning(
                    "%s: the keys cannot be kept on disk (%s): after a restart without the control plane nobody would "
                    "be known: make the directory writable, or name another file under snapshot",
                    self._context.id,
                    why,
                )
            self._failed = why
        else:
            if self._failed:
                log.warning("%s: the keys are kept on disk again", self._context.id)
            self._failed = ""
