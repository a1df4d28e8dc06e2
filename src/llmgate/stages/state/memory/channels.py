"""Publish and subscribe inside one process."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

__all__ = ["Channels"]


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


class Channels:
    """Who listens to what.

    Args:
        size: Messages that may wait for one subscriber.
    """

    def __init__(self, size: int) -> None:
        self._size = size
        self._subscribers: dict[str, list[_Subscription]] = {}

    def publish(self, channel: str, message: bytes) -> None:
        """Hand a message to everybody who listens now."""
        for subscription in self._subscribers.get(channel, ()):
            subscription.deliver(message)

    @asynccontextmanager
    async def subscribe(self, channel: str) -> AsyncIterator[AsyncIterator[bytes]]:
        """Listen until the context is left, or everything is closed."""
        subscription = _Subscription(self._size)
        self._subscribers.setdefault(channel, []).append(subscription)
        try:
            yield subscription
        finally:
            subscription.end()
            listening = self._subscribers.get(channel, [])
            if subscription in listening:
                listening.remove(subscription)
            if not listening:
                self._subscribers.pop(channel, None)

    def close(self) -> None:
        """End every subscription once it has taken what waits for it."""
        for listening in self._subscribers.values():
            for subscription in listening:
                subscription.end()
        self._subscribers.clear()
