"""Every way to have a running gateway read its configuration again: SIGHUP, ``llmgate reload``, a changed file."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable, Coroutine, Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeAlias

from .control import controlled

__all__ = ["Reloads"]

log = logging.getLogger("llmgate.serve")

_Look: TypeAlias = "tuple[tuple[int, int, int] | None, ...]"


class Reloads:
    """Runs one reload at a time, whoever asks for it; inside ``async with`` it listens and looks.

    Args:
        work: Reads the configuration again and returns what is wrong with it.
        config: The configuration's file; None where the environment says everything.
        watch: Seconds between two looks at whether it has changed; 0 for never.
        beside: Files whose change counts as well.
    """

    def __init__(
        self,
        work: Callable[[], Coroutine[Any, Any, Sequence[str]]],
        *,
        config: Path | None,
        watch: float,
        beside: Sequence[Path] = (),
    ) -> None:
        self._work = work
        self._config = config
        self._watch = watch
        self._files = [*([] if config is None else [config]), *beside]
        self._turn = asyncio.Lock()
        self._exits = AsyncExitStack()

    async def __aenter__(self) -> Self:
        await self._exits.enter_async_context(controlled(self._config, self.run))
        if self._watch > 0 and self._files:
            looking = asyncio.get_running_loop().create_task(self._look())
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
        async with self._turn:
            try:
                return await self._work()
            except Exception as failure:
                log.exception("the configuration could not be read again")
                return [f"{type(failure).__name__}: see the log"]

    async def on_signal(self) -> None:
        """Reload; the log says what came of it."""
        await self.run()

    async def _look(self) -> None:
        known = await self._seen()
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
