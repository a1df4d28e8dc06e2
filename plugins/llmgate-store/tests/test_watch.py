"""The watch looks every so often and when it is told to, and goes on whatever happens."""

from __future__ import annotations

import asyncio
import logging

from llmgate_store.errors import StoreUnavailableError
from llmgate_store.watch import CHANNEL, Watch

from llmgate.stages.state.memory import Memory, MemoryConfig
from llmgate.testing.clock import FakeClock


class Looks:
    def __init__(self) -> None:
        self.count = 0
        self.failure: Exception | None = None

    async def __call__(self) -> None:
        self.count += 1
        if self.failure is not None:
            raise self.failure


async def test_it_looks_every_so_often_and_logs_an_outage_once(caplog):
    clock, look = FakeClock(), Looks()
    watch = Watch(look, "auth[0]", clock, 0.5, None)
    watch.start()
    await asyncio.sleep(0)
    with caplog.at_level(logging.WARNING):
        for failure in (
            None,
            StoreUnavailableError("gone"),
            StoreUnavailableError("gone"),
            ValueError("odd"),
            None,
            None,
        ):
            look.failure = failure
            await clock.advance(0.5)
    assert look.count == 6
    assert [record.message.split(": ", 1)[1] for record in caplog.records] == [
        "changes are not noticed meanwhile: gone", "a look for changes failed", "changes are noticed again",
    ]  # fmt: skip
    await watch.aclose()
    await watch.aclose()
    await clock.advance(5)
    assert look.count == 6


async def test_it_looks_at_once_when_it_is_told_to():
    clock, look = FakeClock(), Looks()
    state = Memory(MemoryConfig())
    watch = Watch(look, "auth[0]", clock, 60, state)
    watch.start()
    await asyncio.sleep(0.01)
    await state.publish(CHANNEL, b"keys")
    async with asyncio.timeout(5):
        while not look.count:  # noqa: ASYNC110 - nobody tells
            await asyncio.sleep(0.001)
    await watch.aclose()
