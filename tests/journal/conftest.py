from __future__ import annotations

import asyncio
import errno
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from llmgate.journal import Journal, JournalSettings
from llmgate.journal.disk import Disk
from llmgate.spec import Logger, NoConfig, Record, SystemClock


class FailingDisk(Disk):
    """Fails the operations whose numbers it is told; counts them all."""

    def __init__(self, *numbers: int) -> None:
        self.numbers = set(numbers)
        self.count = 0
        self.half = False
        self.full = False

    def _maybe(self) -> None:
        self.count += 1
        if self.full or self.count in self.numbers:
            raise OSError(errno.ENOSPC, "No space left on device")

    def create(self, path: Path) -> int:
        self._maybe()
        return super().create(path)

    def write(self, descriptor: int, data: bytes) -> None:
        try:
            self._maybe()
        except OSError:
            if self.half:
                super().write(descriptor, data[: len(data) // 2])
            raise
        super().write(descriptor, data)

    def sync(self, descriptor: int) -> None:
        self._maybe()
        super().sync(descriptor)

    def truncate(self, descriptor: int, size: int) -> None:
        self._maybe()
        super().truncate(descriptor, size)

    def put(self, path: Path, data: bytes) -> None:
        self._maybe()
        super().put(path, data)

    def sync_directory(self, path: Path) -> None:
        self._maybe()
        super().sync_directory(path)


class Sink(Logger[Any]):
    """A durable logger that keeps each record once, and fails when it is told to."""

    name = "sink"
    durable = True

    def __init__(self) -> None:
        super().__init__(NoConfig())
        self.kept: list[str] = []
        self.seen: list[str] = []
        self._taken: list[str] = []
        self.repeats = 0
        self.down = False
        self.refused: set[str] = set()
        self.flushes = 0

    async def record(self, record: Record) -> None:
        self.seen.append(record.id)
        if self.down or record.id in self.refused:
            raise OSError("the sink is down")
        self._taken.append(record.id)

    async def flush(self) -> None:
        if self.down:
            raise OSError("the sink is down")
        self.flushes += 1
        self.kept += [one for one in self._taken if one not in self.kept]
        self._taken = []

    async def expect_repeats(self) -> None:
        self.repeats += 1
        self._taken = []


async def until(condition: Callable[[], Any], seconds: float = 30) -> None:
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.005)


@pytest.fixture
def quick(monkeypatch):
    monkeypatch.setattr("llmgate.journal.courier.FIRST_WAIT", 0.002)
    monkeypatch.setattr("llmgate.journal.courier.LONGEST_WAIT", 0.02)
    monkeypatch.setattr("llmgate.journal.courier.LINGER", 0.0)
    monkeypatch.setattr("llmgate.journal.journal.ADOPT_EVERY", 0.02)


@pytest.fixture
def journal_at():
    """Makes journals in a directory."""

    def make(path: Path, disk: Disk | None = None, **settings: Any) -> Journal:
        return Journal(JournalSettings(path, **{"sync": "os", **settings}), SystemClock(), disk)

    return make
