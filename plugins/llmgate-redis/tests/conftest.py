"""A real server on loopback; each test has a prefix of its own there and leaves nothing behind."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import ssl
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any, Final, NoReturn, TypeAlias

import pytest
import redis
from llmgate_redis.config import RedisConfig
from llmgate_redis.store import Redis

from llmgate.spec import Clock, Secret, SecretNotFoundError, SecretRef, StageContext, SystemClock
from llmgate.testing.transport import ScriptedTransport

HOST: Final = "127.0.0.1"
PORT: Final = 6379
PATIENCE: Final = 20.0
"""Seconds that a call may take where a test is not about time; more than an operator may say."""


@pytest.fixture(scope="session")
def server() -> Iterator[redis.Redis]:
    """A client of the server for the tests themselves."""
    try:
        socket.create_connection((HOST, PORT), timeout=2).close()
    except OSError:
        pytest.skip(f"no Redis or Valkey answers at {HOST}:{PORT}: start one to run these tests")
    with redis.Redis(host=HOST, port=PORT) as client:
        yield client


@pytest.fixture
def prefix(server: redis.Redis) -> Iterator[str]:
    """What the names of the test's keys begin with."""
    own = f"llmgate-test:{os.getpid()}:{uuid.uuid4().hex}:"
    yield own
    names = list(server.scan_iter(match=f"{own}*", count=1000))
    if names:
        server.delete(*names)


class Proxy:
    """Stands between the store and the server, and gets in the way.

    Attributes:
        held: While it is not set, what the server says is kept back.
        answer: What is said to the store in the server's place, whatever it asks.
        connections: How many have come in.
        tls: What it speaks TLS with; takes effect with ``start``.
    """

    def __init__(self) -> None:
        self.held = asyncio.Event()
        self.held.set()
        self.answer: bytes | None = None
        self.connections = 0
        self.port = 0
        self.tls: ssl.SSLContext | None = None
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()
        self._answered = asyncio.Event()

    @property
    def url(self) -> str:
        return f"{'redis' if self.tls is None else 'rediss'}://{HOST}:{self.port}/0"

    async def start(self) -> None:
        """Begin, or begin again at the same port."""
        self._server = await asyncio.start_server(self._serve, HOST, self.port, ssl=self.tls)
        self.port = self._server.sockets[0].getsockname()[1]

    async def wait_for_answer(self) -> None:
        """Wait until the server has carried out what it was asked, and has said so to the proxy."""
        self._answered.clear()
        async with asyncio.timeout(10):
            await self._answered.wait()

    def cut(self) -> None:
        """Break every connection."""
        for writer in self._writers:
            writer.transport.abort()

    async def stop(self) -> None:
        """Refuse new connections and break those that there are."""
        assert self._server is not None
        self._server.close()
        self.cut()
        await self._server.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        far_reader, far_writer = await asyncio.open_connection(HOST, PORT)
        self._writers |= {writer, far_writer}
        back = asyncio.create_task(self._back(far_reader, writer))
        try:
            with contextlib.suppress(OSError):
                while data := await reader.read(65536):
                    if self.answer is None:
                        far_writer.write(data)
                    else:
                        writer.write(self.answer)
        finally:
            self._writers -= {writer, far_writer}
            writer.close()
            far_writer.close()
            back.cancel()

    async def _back(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(65536):
                self._answered.set()
                await self.held.wait()
                writer.write(data)
        writer.transport.abort()


@pytest.fixture
async def proxy(server: redis.Redis) -> AsyncIterator[Proxy]:
    """A proxy before the server."""
    assert server.ping()
    one = Proxy()
    await one.start()
    yield one
    one.held.set()
    await one.stop()


OpenStore: TypeAlias = Callable[..., Awaitable[Redis]]


@pytest.fixture
async def open_store(prefix: str, tmp_path: Path) -> AsyncIterator[OpenStore]:
    """Opens stores with the test's prefix; ``secrets`` is what references lead to, ``clock`` is the breaker's."""
    async with AsyncExitStack() as stack:

        async def open_one(clock: Clock | None = None, secrets: Mapping[str, str] | None = None, **keys: Any) -> Redis:
            async def fetch(ref: SecretRef) -> Secret:
                if str(ref) not in (secrets or {}):
                    raise SecretNotFoundError(f"{ref} is not there")
                return Secret(value=(secrets or {})[str(ref)], ref=ref)

            def no_state(_: str) -> NoReturn:
                raise AssertionError("a state store needs no other")

            config = RedisConfig(**{"prefix": prefix, **keys})
            if "timeout" not in keys:
                object.__setattr__(config, "timeout", PATIENCE)
            store = Redis(config)
            stack.push_async_callback(store.aclose)
            await store.open(
                StageContext(
                    id="state.shared",
                    clock=clock or SystemClock(),
                    transport=ScriptedTransport(),
                    fetch_secret=fetch,
                    state=no_state,
                    directory=tmp_path,
                )
            )
            return store

        yield open_one
