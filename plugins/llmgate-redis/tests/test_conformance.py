"""What every state store promises, kept by ``redis`` on a real server.

The server's clock cannot be moved, so here the scripts read the time from a key, and what ends by itself is brought
nearer to its end by as much. Everything else is as it is served; ``test_store.py`` has the server's own clock.
"""

from __future__ import annotations

from typing import Any, cast

import pytest
import redis
from llmgate_redis.config import RedisConfig
from llmgate_redis.scripts import Scripts
from llmgate_redis.store import Redis

from llmgate.testing import FakeClock
from llmgate.testing.conformance import StateConformance

START = 1_800_000_000_000_000


class TestRedis(StateConformance):
    stage_class = Redis

    @pytest.fixture(autouse=True)
    def _on_the_server(self, server: redis.Redis, prefix: str) -> None:
        self._server = server
        self._prefix = prefix
        server.set(f"{prefix}clock", START)

    def make_config(self) -> RedisConfig:
        config = RedisConfig(prefix=self._prefix)
        object.__setattr__(config, "timeout", 20.0)  # more than an operator may say: the machine may be busy
        return config

    def make_stage(self) -> Any:
        stage = super().make_stage()
        stage._scripts = Scripts(
            f"local function clock() return tonumber(redis.call('GET', '{self._prefix}clock')) end"
        )
        return stage

    async def pass_time(self, clock: FakeClock, seconds: float) -> None:
        await super().pass_time(clock, seconds)
        self._server.incrby(f"{self._prefix}clock", round(seconds * 1_000_000))
        for name in self._server.scan_iter(match=f"{self._prefix}*"):
            rest = cast("int", self._server.pttl(name))
            if rest > 0:
                self._server.pexpire(name, max(0, rest - round(seconds * 1000)))
