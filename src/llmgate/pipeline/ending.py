"""The end of an exchange: sealed before its last bytes go out, settled exactly once, whatever happened."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from typing import TYPE_CHECKING, Any, Final

from llmgate.journal import Group, JournalError
from llmgate.spec import GatewayError, OverloadedError, Record

from .capturing import Capture
from .inquiries import Inquiries
from .recording import make_record
from .relaying import RelayAnswer
from .sessions import Session
from .settling import CLIENT_CLOSED_REQUEST, judge
from .streaming import GatewayStream

if TYPE_CHECKING:
    from .pipeline import Pipeline

__all__ = ["Ending", "not_recorded"]

log = logging.getLogger("llmgate.exchange")

THREAD_BYTES: Final = 64 * 1024
"""From this size on contents are looked through in a thread."""


class Ending(Inquiries):
    """What an exchange's frame does when an answer is complete, and when its block is left.

    Args:
        pipeline: Whose exchange it is.
    """

    def __init__(self, pipeline: Pipeline) -> None:
        super().__init__(pipeline.own)
        self._pipeline = pipeline
        self._pin = pipeline.pin()
        self._entered = [0]
        self._stream: GatewayStream | RelayAnswer | Session | None = None
        self._reads_on = False
        self._work: asyncio.Task[Any] | None = None
        self._sealed = False
        self._settled = False
        self._record: Record | None = None
        self._sealed_record: Record | None = None
        self._kept: Group | None = None
        self.capture: Capture | None = None
        """What keeps the contents; None where nobody wants them kept."""

    @property
    def watches_bytes(self) -> bool:
        """Whether somebody watches the bytes of streams as they go down."""
        return self.chain.watches_bytes or (self.capture is not None and self.capture.wants_response)

    @property
    def record(self) -> Record:
        """The account of the exchange; complete once the frame has been left."""
        if self._sealed_record is not None:
            return self._sealed_record
        if self._record is None or not self._settled:
            self._record = make_record(self.exchange)
        return self._record

    async def seal(self) -> None:
        """Settle everything that is known of the answer, before its last bytes go out. Idempotent.

        Raises:
            OverloadedError: its record cannot be written down, and that is not accepted.
        """
        if self._sealed:
            return
        self._sealed = True
        for attempt in self.exchange.attempts:
            if attempt.finished is None:
                await self.end_attempt(attempt, None)
        journal = self._pin.journal
        if self.capture is not None and not self._settled:
            await self._keep_content(self.capture)
        if journal is None or self._settled:  # an answer that is read on for nobody is written down with its end
            return
        self.exchange.finished = self.clock.monotonic()
        self._sealed_record = make_record(self.exchange)
        try:
            self._kept = journal.write(self._sealed_record)
            if self._kept is not None:
                await journal.wait(self._kept)
        except JournalError:
            self._sealed_record = None
            self.exchange.error = not_recorded()
            raise self.exchange.error from None

    async def _keep_content(self, capture: Capture) -> None:
        """Look through what was asked and answered; much of it in a thread, so that others are not held up."""
        request = self.exchange.request
        if capture.weight + (len(request.body) if request is not None else 0) > THREAD_BYTES:
            self.exchange.content = await asyncio.to_thread(capture.content, self.exchange)
        else:
            self.exchange.content = capture.content(self.exchange)

    async def _leave(self, failure: BaseException | None) -> None:
        if self._settled:
            return
        self._settled = True
        judge(self.exchange, failure, unfinished=self._stream is not None and not self._stream.finished)
        if self._is_to_be_read_on() and self._pipeline.drains.admit(self.snapshot.config.stream.max_drains):
            self._pipeline.own(self._settle_after_reading())  # in the background: nobody waits for this answer
        elif (
            self._is_held_up()
            or not self.chain.settles_at_once
            or self._is_unkept()
            or (self.capture is not None and self.exchange.content is None)
        ):
            await asyncio.shield(self._pipeline.own(self._settle_slowly()))
        else:
            if self.chain.settles:
                await self._tell_settled()  # to its end at once: nobody can cancel what never waits
            self._settle()

    def _is_to_be_read_on(self) -> bool:
        """Whether the caller has left an answer behind that the route wants to be read to its end."""
        if not (self._reads_on and self.exchange.disconnected):
            return False
        stream = self._stream
        return self._work is not None or (stream is not None and not (stream.finished or stream.closed))

    async def _read_on(self) -> bool:
        if self._work is not None:
            await self._work
        if isinstance(self._stream, GatewayStream):
            return await self._stream.read_on(self.snapshot.config.stream.drain_bytes)
        return True

    async def _settle_after_reading(self) -> None:
        exchange = self.exchange
        exchange.drained = await self._pipeline.drains.run(self._read_on, self.snapshot.config.stream.drain_timeout)
        failure, exchange.error = exchange.error, None  # the attempt's, not the caller's, who got none of it
        exchange.status = CLIENT_CLOSED_REQUEST
        await self._settle_slowly(failure)

    def _is_held_up(self) -> bool:
        return self._work is not None or (self._stream is not None and not self._stream.closed) or self.under_way

    async def _settle_slowly(self, late_error: GatewayError | None = None) -> None:
        if self._work is not None and not self._work.done():
            self._work.cancel()
            await asyncio.wait({self._work})
        if self._stream is not None:
            await self._stream.aclose()
        error = late_error or self.exchange.error
        for attempt in self.exchange.attempts:
            if attempt.finished is None:
                attempt.abandoned = self.exchange.disconnected
                await self.end_attempt(attempt, error)
        for releasing in self._releases:
            await releasing
        await self._tell_settled()
        if self.capture is not None and self.exchange.content is None:
            await self._keep_content(self.capture)
        if self._is_unkept():
            await self._keep()
        self._settle()

    def _is_unkept(self) -> bool:
        """Whether there is a journal that has not got the record yet."""
        if self._pin.journal is None:
            return False
        return self._sealed_record is None or (self._kept is not None and not self._kept.is_kept)

    async def _keep(self) -> None:
        """Have the journal keep the record of an exchange that is over, unless what it is keeping already holds."""
        journal = self._pin.journal
        assert journal is not None, "there is one that keeps it"
        if self._sealed_record is not None and self._kept is not None:
            with contextlib.suppress(JournalError):
                await journal.wait(self._kept)
                return
        self.exchange.finished = self.clock.monotonic()
        self._sealed_record = make_record(self.exchange)
        kept = journal.write(self._sealed_record, final=True)
        if kept is not None:
            with contextlib.suppress(JournalError):
                await journal.wait(kept)

    def _settle(self) -> None:
        if self._sealed_record is None:
            self.exchange.finished = self.clock.monotonic()
        self._record = None
        if self._pin.queues:
            self._record = self._sealed_record or make_record(self.exchange)
            for queue in self._pin.queues:
                queue.offer(self._record)
        self._stream = self._work = self.exchange.repeater = (
            None  # it knows the frame: a circle would keep the whole exchange in memory for a while
        )
        self._pin.release()


def not_recorded() -> OverloadedError:
    """What a request fails with whose record cannot be written down, where that is not accepted."""
    return OverloadedError(
        "the gateway cannot write its records now: try again later", code="records_unavailable", retry_after=1.0
    )
