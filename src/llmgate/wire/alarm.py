"""A deadline that is set once: what ``asyncio.timeout`` does, for a third of what that costs."""

from __future__ import annotations

import asyncio
from types import TracebackType

__all__ = ["Alarm"]


class Alarm:
    """``with Alarm(seconds):`` cancels what the task waits for in the block when the time is over.

    Args:
        seconds: How long the block may take; None for as long as it likes.
    """

    __slots__ = ("_cancelling", "_rang", "_seconds", "_task", "_timer")

    def __init__(self, seconds: float | None) -> None:
        self._seconds = seconds
        self._rang = False
        self._timer: asyncio.TimerHandle | None = None

    def __enter__(self) -> None:
        if self._seconds is None:
            return
        loop = asyncio.get_running_loop()
        task = asyncio.current_task(loop)
        assert task is not None, "an alarm needs a task to wake"
        self._task: asyncio.Task[object] = task
        self._cancelling = task.cancelling()
        self._timer = loop.call_later(max(0.0, self._seconds), self._ring)

    def __exit__(
        self, kind: type[BaseException] | None, failure: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Turn the alarm off.

        Raises:
            TimeoutError: it rang, and nobody else has cancelled the task as well.
        """
        if self._timer is None:
            return
        self._timer.cancel()
        if self._rang and self._task.uncancel() <= self._cancelling and kind is asyncio.CancelledError:
            raise TimeoutError from failure

    def _ring(self) -> None:
        self._rang = True
        self._task.cancel()
