"""Publish and subscribe: one connection listens for all subscribers of a process, and comes back when it breaks."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

import attrs
from redis.asyncio.connection import AbstractConnection
from redis.exceptions import RedisError

from llmgate.spec import Clock, GatewayClosedError, GatewayError

from .address import Maker
from .connections import reason_of
from .errors import StateUnavailableError

__all__ = ["Listener"]

log: Final = logging.getLogger("llmgate.redis")

_PING: Final = 10.0
"""Seconds between two signs of life that are asked for; two that stay away mean that the connection is dead."""

_FIRST_PAUSE: Final = 0.1
_LONGEST_PAUSE: Final = 5.0


class _Subscription:
    """The messages that one subscriber has not taken yet; when there are too many the oldest goes."""

    def __init__(self, size: int) -> None:
        self._messages: deque[bytes] = deque(maxlen=size)
        self._news = asyncio.Event()
        self._ended = False

    def deliver(self, message: bytes) -> None:
        self._messages.append(message)
        self._news.set()

    def end(self) -> None:
        self._ended = True
        self._news.set()

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        while not self._messages:
            if self._ended:
                raise StopAsyncIteration
            self._news.clear()
            await self._news.wait()
        return self._messages.popleft()


@attrs.define(eq=False)
class _Channel:
    """Who listens to a channel, and whether the server knows that we do."""

    subscriptions: list[_Subscription] = attrs.field(factory=list)
    heard: asyncio.Event = attrs.field(factory=asyncio.Event)


class Listener:
    """Listens for every subscriber of the process.

    Args:
        name: What errors call the store; they may reach a caller of the gateway, who learns no address.
        where: What the log calls the server.
        make: Makes a connection, not yet connected.
        clock: Where pauses are slept.
        queue: Messages that may wait for one subscriber.
        timeout: Seconds within which a subscription must be confirmed.
    """

    def __init__(self, name: str, where: str, make: Maker, clock: Clock, *, queue: int, timeout: float) -> None:
        self._name = name
        self._where = where
        self._make = make
        self._clock = clock
        self._queue = queue
        self._timeout = timeout
        self._channels: dict[bytes, _Channel] = {}
        self._connection: AbstractConnection | None = None
        self._task: asyncio.Task[None] | None = None
        self._closed = False
        self._pause = _FIRST_PAUSE

    @asynccontextmanager
    async def subscribe(self, name: bytes) -> AsyncIterator[AsyncIterator[bytes]]:
        """Listen until the context is left, or everything is closed.

        Raises:
            StateUnavailableError: the server does not confirm in time that it knows of us.
            GatewayClosedError: the store is closed.
        """
        if self._closed:
            raise GatewayClosedError("the state store is closed")
        if self._task is None:
            self._task = asyncio.create_task(self._listen(), name="llmgate-redis-listener")
        subscription = _Subscription(self._queue)
        channel = self._channels.get(name)
        try:
            if channel is None:
                channel = self._channels[name] = _Channel()
                channel.subscriptions.append(subscription)
                await self._say("SUBSCRIBE", name)
            else:
                channel.subscriptions.append(subscription)
            await self._confirmed(channel)
            yield subscription
        finally:
            subscription.end()
            await self._leave(name, subscription)

    async def aclose(self) -> None:
        """End every subscription once it has taken what waits for it. Idempotent."""
        self._closed = True
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        for channel in self._channels.values():
            for subscription in channel.subscriptions:
                subscription.end()
        self._channels.clear()

    async def _confirmed(self, channel: _Channel) -> None:
        try:
            async with asyncio.timeout(self._timeout):
                await channel.heard.wait()
        except TimeoutError:
            connection, self._connection = self._connection, None
            if connection is not None and not channel.heard.is_set():
                # A server that owes an answer would confuse the next subscriber with it.
                await connection.disconnect(nowait=True)
            raise StateUnavailableError(f"{self._name} does not confirm a subscription in time") from None

    async def _leave(self, name: bytes, subscription: _Subscription) -> None:
        channel = self._channels.get(name)
        if channel is None or subscription not in channel.subscriptions:
            return
        channel.subscriptions.remove(subscription)
        if not channel.subscriptions:
            del self._channels[name]
            await self._say("UNSUBSCRIBE", name)

    async def _say(self, *command: str | bytes) -> None:
        """Send something on the connection that listens; without one, the next one subscribes to what there is."""
        connection = self._connection
        if connection is not None:
            with contextlib.suppress(OSError, RedisError):  # whoever reads from it finds out, too
                await connection.send_command(*command, check_health=False)

    async def _listen(self) -> None:
        """Keep a connection; when it breaks, make another one and subscribe to everything again."""
        while True:
            connection = self._make()
            try:
                await self._hear(connection)
            except (OSError, RedisError, GatewayError) as failure:
                reason = reason_of(failure)
                log.warning(
                    "%s: listening to %s was interrupted, messages may be lost: %s", self._name, self._where, reason
                )
            finally:
                self._connection = None
                for channel in self._channels.values():
                    channel.heard.clear()
                await connection.disconnect(nowait=True)
            await self._clock.sleep(self._pause)
            self._pause = min(self._pause * 2, _LONGEST_PAUSE)

    async def _hear(self, connection: AbstractConnection) -> None:
        """Subscribe and hand out what comes, until the connection breaks."""
        async with asyncio.timeout(2 * _PING):
            await connection.connect()  # type: ignore[no-untyped-call] # redis-py does not type it
        self._connection = connection
        if self._channels:
            await connection.send_command("SUBSCRIBE", *self._channels, check_health=False)
        pinging = asyncio.create_task(self._ping(), name="llmgate-redis-ping")
        try:
            while True:
                async with asyncio.timeout(2.5 * _PING):
                    said = await connection.read_response(disable_decoding=True)
                self._pause = _FIRST_PAUSE
                if isinstance(said, list):
                    self._take(said)
        finally:
            pinging.cancel()
            await asyncio.gather(pinging, return_exceptions=True)

    async def _ping(self) -> None:
        while True:
            await asyncio.sleep(_PING)  # of the socket's life, in real seconds
            await self._say("PING")

    def _take(self, said: list[bytes]) -> None:
        channel = self._channels.get(said[1])
        if channel is None:
            return
        if said[0] == b"message":
            for subscription in channel.subscriptions:
                subscription.deliver(said[2])
        elif said[0] == b"subscribe":
            channel.heard.set()
