"""Everything that a Redis can do wrong, under a gateway whose limits and cache are all in it: what becomes of requests.

How long they wait is told by what the server was asked: one call that is not answered, and none after it.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import uuid
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
import redis

from llmgate import Pipeline
from llmgate.spec import GatewayError

HOST, PORT = "127.0.0.1", 6379


class Between:
    """Stands between a gateway and the server.

    Attributes:
        port: Where it listens.
        silent: Whether the server is asked nothing any more, and nothing is said.
        late: Seconds by which answers are late.
        asked: What the gateway has asked since the server was silent or late, trials left out.
    """

    def __init__(self) -> None:
        self.port = 0
        self.silent = False
        self.late = 0.0
        self.asked: list[bytes] = []
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._serve, HOST, self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        assert self._server is not None
        self._server.close()
        for writer in self._writers:
            writer.transport.abort()
        await self._server.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        far_reader, far_writer = await asyncio.open_connection(HOST, PORT)
        self._writers |= {writer, far_writer}
        back = asyncio.create_task(self._back(far_reader, writer))
        try:
            with contextlib.suppress(OSError):
                while data := await reader.read(1 << 20):
                    if (self.silent or self.late) and (b"EVALSHA" in data or b"\r\nGET\r\n" in data):
                        self.asked.append(data)
                    if not self.silent:
                        far_writer.write(data)
        finally:
            self._writers -= {writer, far_writer}
            writer.close()
            far_writer.close()
            back.cancel()

    async def _back(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(1 << 20):
                await asyncio.sleep(self.late)
                writer.write(data)


@pytest.fixture
def prefix() -> Iterator[str]:
    own = f"llmgate-test:{os.getpid()}:{uuid.uuid4().hex}:"
    try:
        socket.create_connection((HOST, PORT), timeout=2).close()
    except OSError:
        pytest.skip(f"no Redis or Valkey answers at {HOST}:{PORT}: start one to run these tests")
    yield own
    with redis.Redis(host=HOST, port=PORT) as client:
        for name in client.scan_iter(match=f"{own}*", count=1000):
            client.delete(name)


@pytest.fixture
async def between() -> AsyncIterator[Between]:
    one = Between()
    await one.start()
    yield one
    await one.stop()


def settings(port: int, prefix: str, on_failure: str) -> dict[str, Any]:
    """Two limits in stages of their own, one of places, and a cache, all of them in the server."""
    common = {"use": "rate-limit", "state": "shared", "on-failure": on_failure, "processes": 2}
    return {
        "providers": {"echo": {"use": "echo"}},
        "loggers": [],
        "state": {"shared": {"use": "redis", "url": f"redis://{HOST}:{port}/0", "prefix": prefix, "timeout": "500ms"}},
        "interceptors": [
            {**common, "limits": [{"capacity": 20, "refill-frequency": "1d"}]},
            {**common, "limits": [{"capacity": 1000, "window": "year"}, {"capacity": 50, "unit": "concurrent"}]},
            {"use": "cache", "state": "shared"},
        ],
    }


async def asked(pipeline: Pipeline, count: int) -> Counter[str]:
    """How different requests, one after another, are answered."""
    found: Counter[str] = Counter()
    for _ in range(count):
        try:
            await pipeline.complete(model="echo/echo", messages=[{"role": "user", "content": uuid.uuid4().hex}])
            found["ok"] += 1
        except GatewayError as error:
            found[error.code] += 1
    return found


POLICIES = {
    "deny": {"rate_limit_unknown": 30},
    "allow": {"ok": 30},
    "local-share": {"ok": 10, "rate_limit_exceeded": 20},
}


@pytest.mark.parametrize("on_failure", POLICIES)
@pytest.mark.parametrize("fault", ["silent", "slow", "gone"])
async def test_a_server_that_fails_is_waited_for_once_whatever_uses_it(
    between: Between, prefix: str, fault: str, on_failure: str
) -> None:
    async with Pipeline.from_config(settings(between.port, prefix, on_failure), environment={}) as pipeline:
        assert await asked(pipeline, 3) == {"ok": 3}
        between.silent, between.late = fault == "silent", 2.0 if fault == "slow" else 0.0
        if fault == "gone":
            await between.stop()
        assert await asked(pipeline, 30) == POLICIES[on_failure]
        assert len(between.asked) <= 1, "and every request after it goes on at once"
        between.silent, between.late = False, 0.0
        if fault == "gone":
            await between.start()
        await counts_again(pipeline)


async def counts_again(pipeline: Pipeline) -> None:
    """Wait until the server decides again: the limit is reached, whoever granted what was granted."""
    async with asyncio.timeout(30):
        while (await asked(pipeline, 1))["rate_limit_exceeded"] == 0:
            await asyncio.sleep(0.05)


@pytest.mark.parametrize("on_failure", POLICIES)
async def test_names_that_hold_something_else_are_an_outage_of_the_limit(prefix: str, on_failure: str) -> None:
    with redis.Redis(host=HOST, port=PORT) as client:
        async with Pipeline.from_config(settings(PORT, prefix, on_failure), environment={}) as pipeline:
            assert await asked(pipeline, 3) == {"ok": 3}
            for name in client.scan_iter(match=f"{prefix}*:rate"):
                client.delete(name)
                client.rpush(name, "junk")
            assert await asked(pipeline, 30) == POLICIES[on_failure]
            for name in client.scan_iter(match=f"{prefix}*:rate"):
                client.delete(name)
            await counts_again(pipeline)
