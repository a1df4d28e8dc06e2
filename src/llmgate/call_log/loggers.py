"""The two ways of telling a gateway of calls: for synchronous and for asynchronous applications."""

from __future__ import annotations

import asyncio
import atexit
import os
import weakref
from concurrent.futures import Future, TimeoutError as WaitedTooLongError
from types import TracebackType
from typing import Final, Self

from .delivery import Delivery, Line
from .direct_call import DirectCall, written
from .outbox import Counts, Outbox

__all__ = ["AsyncCallLogger", "CallLogger"]

_TIMEOUT: Final = 10.0


class _Logger:
    """What both have in common; nothing of it waits.

    Args:
        gateway: The gateway's address, ``https://gateway.example.com``.
        key: The key that it knows the caller by; None where it needs none.
        delivery: Bounds, times and trust.

    Raises:
        ValueError: the address or the key is none.
    """

    def __init__(self, gateway: str, key: str | None = None, *, delivery: Delivery | None = None) -> None:
        settings = delivery or Delivery()
        Line(gateway, key, settings)  # what is wrong with it is said here, and not in a thread
        self._outbox = Outbox(settings, lambda: Line(gateway, key, settings))
        _outboxes[self._outbox] = settings.exit_timeout

    @property
    def counts(self) -> Counts:
        """What has become of calls so far."""
        return self._outbox.counts

    def log(self, call: DirectCall) -> bool:
        """Have a gateway told of a call, soon; neither waits nor raises.

        Args:
            call: The call, which is written down at once: what it refers to may change afterwards.

        Returns:
            Whether it is on its way; False where there is no room for it, it cannot be written, or all is closed.
        """
        try:
            return self._outbox.put(written(call))
        except Exception as failure:  # noqa: BLE001 - the application has had its answer, and must not fail by this
            self._outbox.drop(f"{type(failure).__name__}: {failure}")
            return False


class CallLogger(_Logger):
    """Tells a gateway of calls that were made directly: ``with CallLogger(url, key) as calls: calls.log(...)``.

    For any thread. It sends from threads of its own; when the program ends they are given ``delivery.exit_timeout``.
    """

    def flush(self, timeout: float = _TIMEOUT) -> bool:
        """Wait until nothing waits any more, each call being tried at once.

        Args:
            timeout: Seconds to wait at most.

        Returns:
            Whether it came to that.
        """
        return _waited(self._outbox.flush(), timeout)

    def close(self, timeout: float = _TIMEOUT) -> bool:
        """Flush, and take no more. What is left after that is dropped and counted. Idempotent.

        Args:
            timeout: Seconds to wait for the calls, and then for what is being sent.

        Returns:
            Whether nothing was left.
        """
        done = False
        try:
            done = self.flush(timeout)
        finally:
            ended = self._outbox.end()
        _waited(ended, timeout)
        return done

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, failure: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()


class AsyncCallLogger(_Logger):
    """The same for asynchronous code: ``async with AsyncCallLogger(url, key) as calls: calls.log(...)``.

    For any event loop, and for several; its own threads send, so that a busy loop does not hold it up.
    """

    async def flush(self, timeout: float = _TIMEOUT) -> bool:
        """Wait until nothing waits any more, each call being tried at once.

        Args:
            timeout: Seconds to wait at most.

        Returns:
            Whether it came to that.
        """
        return await _awaited(self._outbox.flush(), timeout)

    async def aclose(self, timeout: float = _TIMEOUT) -> bool:
        """Flush, and take no more. What is left after that is dropped and counted. Idempotent.

        Args:
            timeout: Seconds to wait for the calls, and then for what is being sent.

        Returns:
            Whether nothing was left.
        """
        done = False
        try:
            done = await self.flush(timeout)
        finally:
            ended = self._outbox.end()
        await _awaited(ended, timeout)
        return done

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, failure: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.aclose()


_outboxes: Final[weakref.WeakKeyDictionary[Outbox, float]] = weakref.WeakKeyDictionary()
"""Those that are in use, also where the logger is not any more, and how long the end of the program waits for them."""


def _waited(done: Future[None], timeout: float) -> bool:
    try:
        done.result(timeout)
    except WaitedTooLongError:
        return False
    return True


async def _awaited(done: Future[None], timeout: float) -> bool:
    finished, _ = await asyncio.wait([waiting := asyncio.wrap_future(done)], timeout=timeout)
    if not finished:
        waiting.cancel()
    return bool(finished)


def _finish() -> None:
    for outbox, timeout in tuple(_outboxes.items()):
        _waited(outbox.flush(), timeout)
        outbox.end()


def _forked() -> None:
    for outbox in tuple(_outboxes):
        outbox.begin()  # what waits there is the parent's


atexit.register(_finish)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forked)
