"""The exactly-once end of an exchange: attempts closed, interceptors told, one record to every logger."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from typing import Final, Protocol

from llmgate.spec import (
    Attempt,
    AttemptRecord,
    AuthenticationError,
    Exchange,
    GatewayError,
    ProviderError,
    Record,
)

__all__ = ["CLIENT_CLOSED_REQUEST", "RecordQueue", "RecordTaker", "judge", "make_record"]

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
            while self._waiting:
                await self._hand_over(self._waiting.popleft())
            await self._flush()
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

    async def _flush(self) -> None:
        try:
            await self._logger.flush()
        except Exception:
            if self.failed == 0:
                log.exception("logger %s failed to flush; further failures are counted", self.id)
            self.failed += 1


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


def make_record(exchange: Exchange) -> Record:
    """The frozen account of a finished exchange."""
    outcome = exchange.outcome
    request = exchange.request
    error = exchange.error
    last = exchange.attempts[-1] if exchange.attempts else None
    started = exchange.started
    principal = exchange.principal
    return Record(
        id=exchange.id,
        operation=exchange.operation.value,
        surface=exchange.surface,
        started_at=exchange.started_at,
        duration=(exchange.finished or started) - started,
        first_content=None if exchange.first_content is None else exchange.first_content - started,
        outcome=_outcome_word(exchange),
        status=exchange.status,
        error_code=error.code if error else None,
        error_message=_reason(error) if error else None,
        principal=principal.id if principal else None,
        principal_issuer=principal.issuer if principal else None,
        client_address=exchange.client_address,
        client_request_id=exchange.client_request_id,
        router=exchange.router,
        request_model=request.model if request else None,
        stream=request.stream if request else False,
        provider_name=last.deployment.provider_name if last and last.error is None else None,
        response_model=outcome.model,
        response_id=outcome.response_id,
        finish_reason=outcome.finish_reason.value if outcome.finish_reason else None,
        usage=outcome.usage,
        attempts=tuple(_attempt_record(attempt, started) for attempt in exchange.attempts),
        trace=exchange.trace,
        metadata={**_lost(last), **exchange.noted_metadata(), **(request.metadata if request else {})},
        cost_nano=exchange.cost_nano,
    )


def _lost(last: Attempt | None) -> dict[str, str]:
    """What the translation for the provider left out."""
    return {"llmgate.dropped-params": ", ".join(last.dropped_params)} if last and last.dropped_params else {}


def _outcome_word(exchange: Exchange) -> str:
    if exchange.disconnected:
        return "disconnected" if exchange.drained else "cancelled"
    if exchange.error is None:
        return "ok" if exchange.status is None or exchange.status < 400 else "error"
    return "incomplete" if exchange.first_content is not None else "error"


def _reason(error: GatewayError) -> str:
    return error.reason if isinstance(error, AuthenticationError) else error.message


def _attempt_record(attempt: Attempt, origin: float) -> AttemptRecord:
    return AttemptRecord(
        deployment=attempt.deployment.id,
        provider_name=attempt.deployment.provider_name,
        model=attempt.deployment.model,
        started=attempt.started - origin,
        duration=None if attempt.finished is None else attempt.finished - attempt.started,
        first_content=None if attempt.first_content is None else attempt.first_content - origin,
        status=attempt.status,
        error_code=attempt.error.code if attempt.error else None,
        error_message=attempt.error.message if attempt.error else None,
        usage=attempt.outcome.usage,
        provider_request_id=attempt.provider_request_id,
        credential_ref=attempt.credential_ref,
        credential_version=attempt.credential_version,
        credential_fingerprint=attempt.credential_fingerprint,
        abandoned=attempt.abandoned,
        lost=isinstance(attempt.error, ProviderError) and attempt.error.lost,
        cost_nano=attempt.cost_nano,
        service_tier=attempt.outcome.service_tier,
        vendor=attempt.deployment.provider.row.name,
        span_id=attempt.span_id,
    )
