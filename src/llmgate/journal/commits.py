"""Writes groups of records in a thread, one after another, and says in the event loop when each is on the disk."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable, Sequence
from queue import SimpleQueue
from typing import Final

import attrs

from llmgate.spec import Record

from .fileset import Position
from .writer import Writer

__all__ = ["Commits", "Group"]


@attrs.define(eq=False)
class Group:
    """Records that are written together, and who waits for them.

    Args:
        records: The records.
        frames: What is written of them.
        final: Those whose exchange is over whatever becomes of them.
        timer: Ends the wait for a disk that does not answer.
        done: Whether they have been written, or could not be.
        late: Whether nobody waits for them any more.
        error: Why they count as not written, where that is not accepted.
    """

    records: list[Record] = attrs.field(factory=list)
    frames: list[bytes] = attrs.field(factory=list)
    final: list[Record] = attrs.field(factory=list)
    timer: asyncio.TimerHandle | None = None
    done: bool = False
    late: bool = False
    error: Exception | None = None
    _waiters: list[asyncio.Future[None]] = attrs.field(factory=list)

    @property
    def is_kept(self) -> bool:
        """Whether they are written, or it is accepted that they cannot be."""
        return self.done and self.error is None

    async def ended(self) -> None:
        """Wait until they are done, or late; who is cancelled meanwhile cancels nobody else."""
        if not (self.done or self.late):
            waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._waiters.append(waiter)
            await waiter

    def release(self) -> None:
        """Let those go on that wait."""
        if self.timer is not None:
            self.timer.cancel()
        waiters, self._waiters = self._waiters, []
        for one in waiters:
            if not one.done():
                one.set_result(None)


class Commits:
    """A thread that writes groups; make it in a running event loop.

    Args:
        writer: What it writes with.
        tell: Is called in the event loop with each group, where its records end, and what has failed.
    """

    def __init__(self, writer: Writer, tell: Callable[[Group, Sequence[Position], OSError | None], None]) -> None:
        self._writer = writer
        self._tell = tell
        self._loop: Final = asyncio.get_running_loop()
        self._groups: SimpleQueue[Group | None] = SimpleQueue()
        self._thread: Final = threading.Thread(target=self._run, name="llmgate-journal", daemon=True)
        self._thread.start()

    def put(self, group: Group) -> None:
        """Have a group written behind those before it."""
        self._groups.put(group)

    def end(self, seconds: float) -> None:
        """Wait for what is under way, and end the thread; not to be called in the event loop.

        Args:
            seconds: How long at most.
        """
        self._groups.put(None)
        self._thread.join(seconds)

    def _run(self) -> None:
        while (group := self._groups.get()) is not None:
            ends: Sequence[Position] = ()
            failure: OSError | None = None
            try:
                ends = self._writer.write(group.frames)
            except OSError as error:
                failure = error
            with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits any more
                self._loop.call_soon_threadsafe(self._tell, group, ends, failure)
