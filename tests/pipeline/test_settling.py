from __future__ import annotations

import asyncio
from typing import Any

from llmgate.pipeline.settling import DirectWay, RecordQueue
from llmgate.spec import Logger, NoConfig, Record
from llmgate.testing.samples import sample_record


class Keeping(Logger[Any]):
    name = "keeping"

    def __init__(self) -> None:
        super().__init__(NoConfig())
        self.kept: list[str] = []
        self.flushes = 0
        self.gate = asyncio.Event()
        self.gate.set()

    async def record(self, record: Record) -> None:
        await self.gate.wait()
        if record.id == "bad":
            raise OSError("disk full")
        self.kept.append(record.id)

    async def flush(self) -> None:
        self.flushes += 1


async def test_a_logger_gets_every_record_and_a_failing_one_is_counted() -> None:
    logger = Keeping()
    queue = RecordQueue("loggers[0]", logger)
    queue.start()
    for name in ("a", "bad", "b"):
        queue.offer(sample_record(id=name))
    await queue.aclose()
    assert logger.kept == ["a", "b"]
    assert (queue.failed, queue.dropped) == (1, 0)
    assert logger.flushes >= 1


async def test_a_logger_that_cannot_keep_up_loses_records_and_they_are_counted() -> None:
    logger = Keeping()
    logger.gate.clear()
    queue = RecordQueue("loggers[0]", logger, size=2)
    queue.start()
    for _ in range(10):
        queue.offer(sample_record())
    assert queue.dropped == 8
    logger.gate.set()
    await queue.aclose()
    assert len(logger.kept) == 2


async def test_closing_twice_is_fine_and_so_is_closing_what_never_started() -> None:
    queue = RecordQueue("loggers[0]", Keeping())
    await queue.aclose()
    await queue.aclose()


async def test_what_takes_records_at_once_has_them_at_once_and_its_failures_are_counted() -> None:
    taken: list[str] = []

    def take(record: Record) -> None:
        if record.id == "bad":
            raise OSError("no")
        taken.append(record.id)

    way = DirectWay("telemetry", take)
    way.start()
    for name, failing in (("a", False), ("bad", True), ("b", False)):
        way.offer(sample_record(id=name))
        assert way.failing is failing
    assert taken == ["a", "b"]
    assert (way.failed, way.dropped, await way.depth()) == (1, 0, (0, 0, None))
    await way.aclose()
