"""The deadline of an answer that is still being read: one timer for all of it, so that it costs nothing per event."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, TypeVar

from llmgate.spec import GatewayError, GatewayTimeoutError

if TYPE_CHECKING:
    from .frame import ExchangeFrame

__all__ = ["Deadline"]

T = TypeVar("T")


class Deadline:
    """Wakes whoever reads when the time of the exchange is over, and tells the exchange what reading failed with.

    Args:
        frame: The exchange.
    """

    def __init__(self, frame: ExchangeFrame) -> None:
        self._frame = frame
        self._reader: asyncio.Task[object] | None = None
        self._over = False
        self._timer = asyncio.get_running_loop().call_later(max(0.0, frame.remaining()), self._ring)

    async def read(self, step: Callable[[], Awaitable[T]]) -> T:
        """Read once.

        Raises:
            GatewayTimeoutError: the time is over.
            GatewayError: reading failed; the exchange has been told.
        """
        if self.is_over():
            raise self._frame.failed(self._too_late())
        self._reader = asyncio.current_task()
        try:
            return await step()
        except asyncio.CancelledError:
            if not self.is_over():
                raise
            task = asyncio.current_task()
            if task is not None:
                task.uncancel()
            raise self._frame.failed(self._too_late()) from None
        except GatewayError as failure:
            raise self._frame.failed(failure) from None
        finally:
            self._reader = None

    def is_over(self) -> bool:
        """Whether the time is over."""
        return self._over

    def cancel(self) -> None:
        """There is nothing more to read. Idempotent."""
        self._timer.cancel()

    def _ring(self) -> None:
        self._over = True
        if self._reader is not None:
            self._reader.cancel()

    def _too_late(self) -> GatewayTimeoutError:
        seconds = self._frame.clock.monotonic() - self._frame.exchange.started
        return GatewayTimeoutError(f"the answer was not finished within {seconds:.0f} s")
