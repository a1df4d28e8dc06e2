"""The store as the cache uses it: what is late, broken or no entry is a miss, and a store that fails is left alone."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable
from typing import Any, Final, TypeVar

from llmgate.spec import Clock, StateStore

from .entries import Entry

__all__ = ["Shelf"]

T = TypeVar("T")

log = logging.getLogger("llmgate.cache")

_PREFIX: Final = "llmgate:cache:"


class Shelf:
    """Where entries are kept.

    Args:
        store: The state store.
        clock: Time.
        name: What the configuration calls the stage, for messages.
        timeout: Seconds that one call may take.
        pause: Seconds for which the store is left alone after a failure.
    """

    def __init__(self, store: StateStore[Any], clock: Clock, *, name: str, timeout: float, pause: float) -> None:
        self._store = store
        self._clock = clock
        self._name = name
        self._timeout = timeout
        self._pause = pause
        self._blind_until = float("-inf")
        self._failed = False

    async def find(self, key: str, buckets: int) -> list[Entry | None]:
        """The entries of a request, one for each bucket; None where there is none."""
        if buckets == 1:
            return [await self.find_one(key)]
        return list(await asyncio.gather(*(self.find_one(key, bucket) for bucket in range(buckets))))

    async def keep(self, bucket: int, entry: Entry, ttl: float) -> None:
        """Keep an entry for so many seconds."""
        await self._guarded(self._store.put(f"{_PREFIX}{entry.key}:{bucket}", entry.dump(), ttl=ttl))

    async def take(self, key: str, bucket: int, holder: str, seconds: float) -> bool:
        """Take the place of the one who renews an entry, in all processes that share the store, for so long at most."""
        place = f"{_PREFIX}{key}:{bucket}:renewal"
        return await self._guarded(self._store.lease(place, holder, limit=1, ttl=seconds)) is True

    async def leave(self, key: str, bucket: int, holder: str) -> None:
        """Give that place back."""
        await self._guarded(self._store.release(f"{_PREFIX}{key}:{bucket}:renewal", holder))

    async def find_one(self, key: str, bucket: int = 0) -> Entry | None:
        """The entry of one bucket of a request."""
        call = self._store.get(f"{_PREFIX}{key}:{bucket}")
        if self._store.instant and not self._failed:
            try:
                data = await call
            except Exception as failure:  # noqa: BLE001 - whatever a store does, the request goes on without it
                self._note(failure)
                return None
        else:
            data = await self._guarded(call)
        return None if data is None else Entry.load(data, key)

    async def _guarded(self, call: Awaitable[T]) -> T | None:
        if self._clock.monotonic() < self._blind_until:
            if asyncio.iscoroutine(call):
                call.close()
            return None
        try:
            if self._store.instant:
                found = await call
            else:
                async with asyncio.timeout(self._timeout):
                    found = await call
        except Exception as failure:  # noqa: BLE001 - whatever a store does, the request goes on without it
            self._note(failure)
            return None
        if self._failed:
            self._failed = False
            log.info("%s: the state store answers again", self._name)
        return found

    def _note(self, failure: Exception) -> None:
        self._blind_until = self._clock.monotonic() + self._pause
        if self._failed:
            return
        self._failed = True
        what = "took too long" if isinstance(failure, TimeoutError) else f"failed ({type(failure).__name__}: {failure})"
        log.warning("%s: the state store %s: nothing is found or kept until it answers", self._name, what)
