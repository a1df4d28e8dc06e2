"""Stores on a file of the test's own."""

from __future__ import annotations

from contextlib import AsyncExitStack

import pytest

from llmgate.spec import StageContext
from llmgate.stages.state.sqlite import Sqlite, SqliteConfig
from llmgate.testing.clock import FakeClock
from llmgate.testing.transport import ScriptedTransport


@pytest.fixture
def clock():
    return FakeClock()


@pytest.fixture
async def open_store(tmp_path, clock):
    async with AsyncExitStack() as stack:

        async def open_one(**config):
            store = Sqlite(SqliteConfig(**{"path": "state.db", "poll_interval": 0.01, **config}))
            stack.push_async_callback(store.aclose)
            await store.open(
                StageContext(
                    id="state.disk",
                    clock=clock,
                    transport=ScriptedTransport(),
                    fetch_secret=None,
                    state=None,
                    directory=tmp_path,
                )
            )
            return store

        yield open_one
