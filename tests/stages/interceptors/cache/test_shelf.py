from __future__ import annotations

import asyncio
from typing import Any

import pytest

from llmgate.spec import Outcome
from llmgate.stages.interceptors.cache.entries import Entry
from llmgate.stages.interceptors.cache.shelf import Shelf
from llmgate.stages.state.memory import Memory, MemoryConfig
from llmgate.testing.clock import FakeClock


def entry() -> Entry:
    outcome = Outcome(content=True, complete=True)
    return Entry("k", "openai-chat", False, "application/json", 1.0, 60.0, "m", outcome, b"{}")


class Store(Memory):
    """A store that can be broken or slow, and counts its calls."""

    broken = slow = instant = False
    calls = 0

    async def get(self, key: str) -> Any:
        self.calls += 1
        if self.broken:
            raise ConnectionError("refused")
        if self.slow:
            await asyncio.Event().wait()
        return await super().get(key)


def shelf(store: Store, clock: FakeClock, timeout: float = 0.5) -> Shelf:
    return Shelf(store, clock, name="global.cache", timeout=timeout, pause=5)


async def test_an_entry_is_found_in_its_bucket() -> None:
    one = shelf(Store(MemoryConfig()), FakeClock())
    await one.keep(1, entry(), ttl=60)
    assert await one.find("k", 1) == [None]
    assert await one.find("k", 3) == [None, entry(), None]


@pytest.mark.parametrize("fault", ["broken", "slow"])
async def test_a_failing_store_is_a_miss_said_once_and_left_alone_for_a_while(fault: str, caplog: Any) -> None:
    store, clock = Store(MemoryConfig()), FakeClock()
    one = shelf(store, clock, timeout=0.01)
    await one.keep(0, entry(), ttl=600)
    setattr(store, fault, True)
    with caplog.at_level("INFO", logger="llmgate.cache"):
        for _ in range(3):
            assert await one.find("k", 1) == [None]
        assert store.calls == 1
        clock.advance(6)
        assert await one.find("k", 1) == [None]
        assert [record.levelname for record in caplog.records] == ["WARNING"]
        clock.advance(6)
        setattr(store, fault, False)
        assert await one.find("k", 1) == [entry()]
    assert [record.levelname for record in caplog.records] == ["WARNING", "INFO"]


async def test_what_another_has_put_there_is_a_miss() -> None:
    store = Store(MemoryConfig())
    await store.put("llmgate:cache:k:0", b"cos\nsystem\n(S'id'\ntR.")
    assert await shelf(store, FakeClock()).find("k", 1) == [None]
