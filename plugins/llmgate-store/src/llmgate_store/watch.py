"""Notices that rows were changed by another process: looks at their revision now and then, and when it is told to."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable
from typing import Any, Final

from llmgate.spec import Clock, GatewayError, StateStore

__all__ = ["CHANNEL", "Watch"]

log: Final = logging.getLogger("llmgate.store")

CHANNEL: Final = "llmgate-store"
"""What changes are told over, by the name of the subject."""


class Watch:
    """Calls somebody every so often, and at once when a change is told over a state store.

    Args:
        look: What is called; what it raises of ``GatewayError`` is logged once until it works again.
        name: What the log calls the stage.
        clock: Where the pauses are slept.
        every: Seconds between two calls.
        state: The store over which changes are told; None for none.
    """

    def __init__(
        self,
        look: Callable[[], Awaitable[None]],
        name: str,
        clock: Clock,
        every: float,
        state: StateStore[Any] | None,
    ) -> None:
        self._look = look
        self._name = name
        self._clock = clock
        self._every = every
        self._state = state
        self._tasks: list[asyncio.Task[None]] = []
        self._failed = False
        self._turn = asyncio.Lock()

    def start(self) -> None:
        """Begin."""
        self._tasks.append(asyncio.create_task(self._now_and_then(), name=f"{self._name}: watch"))
        if self._state is not None:
            self._tasks.append(asyncio.create_task(self._when_told(self._state), name=f"{self._name}: listen"))

    async def aclose(self) -> None:
        """Stop. Idempotent."""
        tasks, self._tasks = self._tasks, []
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)

    async def _now_and_then(self) -> None:
        while True:
            await self._clock.sleep(self._every)
            await self._call()

    async def _when_told(self, state: StateStore[Any]) -> None:
        while True:
            with contextlib.suppress(GatewayError):
                async with state.subscribe(CHANNEL) as messages:
                    async for _ in messages:
                        await self._call()
            await self._clock.sleep(self._every)

    async def _call(self) -> None:
        async with self._turn:
            try:
                await self._look()
            except GatewayError as failure:
                if not self._failed:
                    log.warning("%s: changes are not noticed meanwhile: %s", self._name, failure)
                self._failed = True
            except Exception:
                log.exception("%s: a look for changes failed", self._name)
            else:
                if self._failed:
                    log.warning("%s: changes are noticed again", self._name)
                self._failed = False
