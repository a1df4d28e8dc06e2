"""The exactly-once end of an exchange: attempts closed, interceptors told, one record to every logger."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable
from typing import Final, Protocol

from llmgate.spec import Exchange, GatewayError, Record

__all__ = ["CLIENT_CLOSED_REQUEST", "DirectWay", "RecordQueue", "RecordTaker", "RecordWay", "judge"]

log = logging.getLogger("llmgate.records")

QUEUE_SIZE: Final = 10_000
"""Records that may wait for one logger."""
FLUSH_TIMEOUT: Final = 10.0
"""Seconds that a logger gets, when the gateway closes, to take what waits."""
CLIENT_CLOSED_REQUEST: Final = 499
"""The status that a record shows when the caller left before the end; no client ever sees it."""


class RecordTaker(Protocol):
    """What a queue hands records to: a logger, or the gateway's telemetry."""

    async def record(self, record: Record) -> None:
        """Take a record."""

    async def flush(self) -> None:
        """Let go of what was taken."""


class RecordWay(Protocol):
    """How records get to one that takes them: a queue in memory, or by the journal."""

    id: str
    dropped: int
    failed: int

    @property
    def failing(self) -> bool:
        """Whether it has not taken what it was last brought."""

    async def depth(self) -> tuple[int, int, float | None]:
        """Records that wait, their bytes on disk, and when the exchange of the oldest of them was over, if known."""

    def start(self) -> None:
        """Begin to hand records over; needs a running event loop."""

    def offer(self, record: Record) -> None:
        """An exchange is over; never waits and never fails."""

    async def aclose(self) -> None:
        """Hand over what waits, within some seconds. Idempotent."""


class RecordQueue:
    """The bounded queue in front of one logger; offering to it never waits and never fails.

    Args:
        id: What the configuration calls the logger, for messages.
        logger: The logger.
        size: How many records may wait; more are dropped and counted.
    """

    def __init__(self, id: str, logger: RecordTaker, size: int = QUEUE_SIZE) -> None:  # noqa: A002 - the field's word
        self.id = id
        self.dropped = 0
        self.failed = 0
        self._logger = logger
        self._size = size
        self._waiting: deque[Record] = deque()
        self._wake = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._closing = False
        self._failing = False

    @property
    def failing(self) -> bool:
        """Whether the logger has not taken all that it was last brought."""
        return self._failing

    async def depth(self) -> tuple[int, int, float | None]:
        """Records that wait, none of them on disk, and when the exchange of the oldest was over."""
        oldest = self._waiting[0] if self._waiting else None
        return len(self._waiting), 0, None if oldest is None else oldest.started_at + oldest.duration

    def start(self) -> None:
        """Begin to hand records over; needs a running event loop."""
        self._task = asyncio.get_running_loop().create_task(self._run(), name=f"llmgate-records-{self.id}")

    def offer(self, record: Record) -> None:
        """Put a record in line, or count it as dropped."""
        if len(self._waiting) >= self._size:
            if self.dropped == 0:
                log.error("logger %s cannot keep up: records are dropped", self.id)
            self.dropped += 1
            return
        self._waiting.append(record)
        self._wake.set()

    async def aclose(self) -> None:
        """Hand over what waits, within ``FLUSH_TIMEOUT`` seconds. Idempotent."""
        self._closing = True
        self._wake.set()
        task, self._task = self._task, None
        if task is None:
            return
        done, _ = await asyncio.wait({task}, timeout=FLUSH_TIMEOUT)
        if not done:
            task.cancel()
            self.dropped += len(self._waiting)
        if self.dropped or self.failed:
            log.error("logger %s: %d records dropped, %d failed", self.id, self.dropped, self.failed)

    async def _run(self) -> None:
        while True:
            before = self.failed
            while self._waiting:
                await self._hand_over(self._waiting.popleft())
            await self._flush()
            self._failing = self.failed > before
            if self._closing and not self._waiting:
                return
            self._wake.clear()
            if not self._waiting and not self._closing:
                await self._wake.wait()

    async def _hand_over(self, record: Record) -> None:
        try:
            await self._logger.record(record)
        except Exception:
            if self.failed == 0:
                log.exception("logger %s failed; further failures are counted", self.id)
            self.failed += 1
            self._failing = True  # a queue that is never empty does not come to the flush

    async def _flush(self) -> None:
        try:
            await self._logger.flush()
        except Exception:
            if self.failed == 0:
                log.exception("logger %s failed to flush; further failures are counted", self.id)
            self.failed += 1


class DirectWay:
    """Hands records over as soon as they are offered, to what takes them at once; a queue would cost more than that.

    Args:
        id: What messages call it.
        take: Takes a record; what it raises is counted.
    """

    dropped = 0

    def __init__(self, id: str, take: Callable[[Record], None]) -> None:  # noqa: A002 - the field's word
        self.id = id
        self.failed = 0
        self.failing = False
        self._take = take

    async def depth(self) -> tuple[int, int, float | None]:
        """Nothing ever waits."""
        return 0, 0, None

    def start(self) -> None:
        """Nothing is to be begun."""

    def offer(self, record: Record) -> None:
        """Hand a record over."""
        try:
            self._take(record)
        except Exception:
            if self.failed == 0:
                log.exception("%s failed; further failures are counted", self.id)
            self.failed += 1
            self.failing = True
        else:
            self.failing = False

    async def aclose(self) -> None:
        """Nothing waits."""


def judge(exchange: Exchange, failure: BaseException | None, *, unfinished: bool) -> None:
    """Write down how an exchange ended.

    Args:
        exchange: The exchange.
        failure: What its block was left with.
        unfinished: Whether an answer was left before its end.
    """
    if isinstance(failure, GatewayError):
        exchange.error = exchange.error or failure
    elif isinstance(failure, Exception):
        log.error("%s: unexpected %s", exchange.id, type(failure).__name__, exc_info=failure)
        exchange.error = exchange.error or GatewayError("an internal error")
    elif failure is not None and exchange.error is None:
        exchange.disconnected = True
    if unfinished and exchange.error is None:
        exchange.disconnected = True
    if exchange.disconnected:
        exchange.status = CLIENT_CLOSED_REQUEST
    elif exchange.error is not None:
        exchange.status = exchange.error.http_status
    elif exchange.status is None:
        exchange.status = 200
