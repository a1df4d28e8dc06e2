"""Every way to have a running gateway read its configuration again: SIGHUP, ``llmgate reload``, a changed file.

And the ways to have it start new workers: SIGUSR2, ``llmgate restart``. Only one of all these is done at a time.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable, Coroutine, Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeAlias

from .control import Health, controlled

__all__ = ["Reloads"]

log = logging.getLogger("llmgate.serve")

NO_WORKERS = (
    "one process cannot take its own place: serve with --workers 2 or more, or start another gateway and stop this one"
)

_Look: TypeAlias = "tuple[tuple[int, int, int] | None, ...]"


class Reloads:
    """Runs one reload at a time, whoever asks for it; inside ``async with`` it listens and looks.

    Args:
        work: Reads the configuration again and returns what is wrong with it.
        config: The configuration's file; None where the environment says everything.
        watch: Seconds between two looks at whether it has changed; 0 for never.
        beside: Files whose change counts as well.
        health: Says how the deployments of each worker do, to whoever asks on the same socket.
        restart: Puts new workers in the place of the old ones and returns why it could not; None where there are none.
    """

    def __init__(
        self,
        work: Callable[[], Coroutine[Any, Any, Sequence[str]]],
        *,
        config: Path | None,
        watch: float,
        beside: Sequence[Path] = (),
        health: Health | None = None,
        restart: Callable[[], Coroutine[Any, Any, Sequence[str]]] | None = None,
    ) -> None:
        self._work = work
        self._health = health
        self._restart = restart
        self._config = config
        self._watch = watch
        self._files = [*([] if config is None else [config]), *beside]
        self._turn = asyncio.Lock()
        self._exits = AsyncExitStack()

    async def __aenter__(self) -> Self:
        held = controlled(self._config, self.run, self._health, self.run_restart)
        await self._exits.enter_async_context(held)
        if self._watch > 0 and self._files:
            # Before anybody is told that the gateway is there: what is written from then on is a change.
            looking = asyncio.get_running_loop().create_task(self._look(await self._seen()))
            self._exits.push_async_callback(_cancelled, looking)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, failure: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self._exits.aclose()

    async def run(self) -> Sequence[str]:
        """Reload now, after what runs already.

        Returns:
            What is wrong with the configuration; nothing when it is in force.
        """
        return await self._in_turn(self._work, "the configuration could not be read again")

    async def run_restart(self) -> Sequence[str]:
        """Put new workers in the place of the old ones, after what runs already.

        Returns:
            Why not; nothing when all places are filled anew.
        """
        if self._restart is None:
            return [NO_WORKERS]
        return await self._in_turn(self._restart, "the workers could not be replaced")

    async def on_signal(self) -> None:
        """Reload; the log says what came of it."""
        await self.run()

    async def on_restart_signal(self) -> None:
        """Restart; the log says what came of it."""
        await self.run_restart()

    async def _in_turn(self, work: Callable[[], Coroutine[Any, Any, Sequence[str]]], failed: str) -> Sequence[str]:
        async with self._turn:
            try:
                return await work()
            except Exception as failure:
                log.exception("%s", failed)
                return [f"{type(failure).__name__}: see the log"]

    async def _look(self, known: _Look) -> None:
        while True:
            await asyncio.sleep(self._watch)
            seen = await self._seen()
            if seen == known:
                continue
            # Whoever writes it may not be done: it must look the same twice.
            await asyncio.sleep(self._watch)
            if await self._seen() == seen:
                known = seen
                log.info("%s has changed", ", ".join(map(str, self._files)))
                await self.run()

    async def _seen(self) -> _Look:
        # In a thread: a file on a network may take its time.
        return await asyncio.to_thread(lambda: tuple(_look_at(path) for path in self._files))


def _look_at(path: Path) -> tuple[int, int, int] | None:
    """What changes when a file is written anew or replaced; None where there is none."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino


async def _cancelled(task: asyncio.Task[None]) -> None:
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task
