"""Keeps the places that this process holds in a store that others share, so that only those of the dead come free."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from typing import Any, Final

from llmgate.spec import Clock, Place, StateStore

__all__ = ["Keeper"]

log = logging.getLogger("llmgate.limits")

_PART: Final = 3
"""How often a place is renewed within its time."""


class Keeper:
    """Renews places until they are given back.

    A store that has lost its data gets them again. It starts with the first place, and sleeps while there is none.

    Args:
        store: The state store.
        clock: Tells the time.
        lease: Seconds for which the store keeps a place that is not renewed.
        timeout: Seconds that one call may take.
    """

    def __init__(self, store: StateStore[Any], clock: Clock, lease: float, timeout: float) -> None:
        self._store = store
        self._clock = clock
        self._lease = lease
        self._timeout = timeout
        self._held: dict[tuple[str, str], Place] = {}
        self._renewed: set[tuple[str, str]] = set()
        self._task: asyncio.Task[None] | None = None

    def __len__(self) -> int:
        """How many places are held."""
        return len(self._held)

    def keep(self, place: Place) -> None:
        """Renew a place from now on."""
        self._held[place.key, place.holder] = place
        if self._task is None or self._task.done():
            self._task = asyncio.get_running_loop().create_task(self._run(), name="llmgate-places")

    def forget(self, place: Place) -> bool:
        """Renew a place no longer: it is given back. Tells whether it has been renewed."""
        name = (place.key, place.holder)
        self._held.pop(name, None)
        renewed = name in self._renewed
        self._renewed.discard(name)
        return renewed

    async def aclose(self) -> None:
        """Stop. Idempotent."""
        self._held.clear()
        self._renewed.clear()
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.wait({task})

    async def _run(self) -> None:
        while self._held:
            await self._clock.sleep(self._lease / _PART)
            for name, place in tuple(self._held.items()):
                if name in self._held:
                    await self._renew(place)

    async def _renew(self, place: Place) -> None:
        # A store that fails is somebody else's news: the next request that is counted says so.
        with contextlib.suppress(Exception):
            async with asyncio.timeout(self._timeout):
                await self._store.lease(place.key, place.holder, limit=place.limit, ttl=place.ttl)
                if (place.key, place.holder) in self._held:
                    self._renewed.add((place.key, place.holder))
                else:
                    await self._store.release(place.key, place.holder)  # given back while it was being renewed
