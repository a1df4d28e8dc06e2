"""What loggers that call a service have in common: records are handed on in batches, each whole or not at all.

A batch that a service does not take waits and is sent again, in its order; one that it refuses for what is in it is
halved until the record is found that it does not like.
"""

from __future__ import annotations

import asyncio
import logging
from abc import abstractmethod
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from email.utils import parsedate_to_datetime
from ipaddress import ip_address
from typing import Any, Final
from urllib.parse import urlsplit

import attrs

from .clock import Clock
from .deployments import Timeouts
from .errors import ProviderConnectionError, ProviderError, ProviderTimeoutError
from .loggers import Logger
from .records import Record
from .stage import ConfigT, StageContext
from .transport import ProviderRequest, ProviderResponse, Transport

__all__ = ["BatchLogger", "Batching", "DeliveryError", "Entry", "RecordService", "a_service"]

log: Final = logging.getLogger("llmgate.records")

_FIRST_PAUSE: Final = 0.5
"""Seconds before the first try again; every further one takes twice as long, up to the longest."""
_CLOSING: Final = 5.0
"""Seconds that what waits gets when the gateway closes."""
_MOST_BYTES: Final = 1024 * 1024
"""Upper bound of a service's answer; none has anything to say."""
_UNACCEPTABLE: Final = frozenset({400, 413, 422})


@attrs.frozen
class Batching:
    """The keys of ``batch``.

    Args:
        records: Most records of one batch.
        size: Bytes that make a batch full; one larger record is a batch of its own.
        waiting: Records that may wait in memory while the service takes none.
        waiting_size: Bytes that they may have.
        pause: Seconds that pass at most before the next try.
        timeout: Seconds that the service may take to answer.
    """

    records: int = attrs.field(default=500, validator=[attrs.validators.ge(1), attrs.validators.le(10_000)])
    size: int = attrs.field(default=4 * 1024 * 1024, validator=attrs.validators.ge(1024))
    waiting: int = attrs.field(default=10_000, validator=attrs.validators.ge(1))
    waiting_size: int = attrs.field(default=64 * 1024 * 1024, validator=attrs.validators.ge(1024))
    pause: float = attrs.field(default=30.0, validator=attrs.validators.gt(0))
    timeout: float = attrs.field(default=10.0, validator=attrs.validators.gt(0))


class DeliveryError(Exception):
    """Records have not been taken.

    Args:
        message: Why, and what to do.
        unacceptable: Whether it is for what is in them, so that sending the same again is no use.
        pause: Seconds that the service wants to be left alone; None where it does not say.
    """

    def __init__(self, message: str, *, unacceptable: bool = False, pause: float | None = None) -> None:
        super().__init__(message)
        self.unacceptable = unacceptable
        self.pause = pause


@attrs.frozen(eq=False)
class Entry:
    """A record as it is sent.

    Args:
        id: The record's id.
        body: What is sent of it.
        started_at: When its exchange began, in seconds since the epoch.
    """

    id: str
    body: bytes = attrs.field(repr=False)
    started_at: float = 0.0


class BatchLogger(Logger[ConfigT]):
    """A logger that sends batches to a service, which keeps a record once however often it comes.

    A subclass says how a record is written (``encode``) and how some are sent (``send``). Records leave in the order in
    which they came; one batch is under way at a time.
    """

    durable = True

    def __init__(self, config: ConfigT) -> None:
        super().__init__(config)
        self.refused = 0
        """Records that the service would not have for what is in them; they are lost."""
        self._waiting: deque[Entry] = deque()
        self._bytes = 0
        self._turn = asyncio.Lock()
        self._context: StageContext | None = None
        self._pause = 0.0
        self._again: asyncio.Task[None] | None = None

    @property
    def batching(self) -> Batching:
        """How large batches are, and how long they wait."""
        return Batching()

    @property
    def context(self) -> StageContext:
        """What the logger was opened with; records are sent between ``open`` and ``aclose`` alone."""
        assert self._context is not None, "records are sent between open and aclose"
        return self._context

    @abstractmethod
    def encode(self, record: Record) -> bytes:
        """What is sent of a record."""

    @abstractmethod
    async def send(self, entries: Sequence[Entry]) -> None:
        """Send some records, at least one.

        Raises:
            DeliveryError: they have not been taken, or nobody knows whether they have.
        """

    async def open(self, context: StageContext) -> None:
        """Get ready; the service is not asked yet: a gateway starts although it does not answer."""
        self._turn, self._context = asyncio.Lock(), context

    async def record(self, record: Record) -> None:
        """Take a record; a batch that is full is sent.

        Raises:
            DeliveryError: too many wait.
        """
        bounds = self.batching
        if len(self._waiting) >= bounds.waiting or self._bytes >= bounds.waiting_size:
            raise DeliveryError(f"{self._told}: too many records wait: {len(self._waiting)}")
        entry = Entry(record.id, self.encode(record), record.started_at)
        self._waiting.append(entry)
        self._bytes += len(entry.body)
        if self._again is None and (len(self._waiting) >= bounds.records or self._bytes >= bounds.size):
            try:
                await self.flush()
            except DeliveryError as error:
                log.warning("%s: records wait: %s", self._told, error)

    async def flush(self) -> None:
        """Send what waits.

        Raises:
            DeliveryError: it has not been taken; it waits for the next try.
        """
        async with self._turn:
            try:
                while self._waiting:
                    await self._send_some()
            except DeliveryError as error:
                self._try_later(error)
                raise
            self._pause = 0.0
            again = self._again
            if again is not None and again is not asyncio.current_task():
                again.cancel()
                self._again = None

    async def expect_repeats(self) -> None:
        """What waits comes again: let go of it."""
        await self._stop_trying()
        self._waiting.clear()
        self._bytes = 0
        self._pause = 0.0

    async def aclose(self) -> None:
        """Send what waits, within five seconds."""
        await self._stop_trying()
        try:
            if self._context is not None and self._waiting:
                async with asyncio.timeout(_CLOSING):
                    await self.flush()
        except (DeliveryError, TimeoutError) as error:
            log.error("%s: %d records are not delivered: %s", self._told, len(self._waiting), error)  # noqa: TRY400
        finally:
            await self._stop_trying()
            self._context = None
            self._waiting.clear()
            self._bytes = 0

    @property
    def _told(self) -> str:
        return self._context.id if self._context is not None else self.name

    async def _send_some(self) -> None:
        batch = self._next_batch()
        await self._send_whole(batch)
        for entry in batch:
            # What waits may have been let go of while the batch was under way.
            if self._waiting and self._waiting[0] is entry:
                self._waiting.popleft()
                self._bytes -= len(entry.body)

    async def _send_whole(self, entries: Sequence[Entry]) -> None:
        try:
            await self.send(entries)
        except DeliveryError as error:
            if not error.unacceptable:
                raise
            if len(entries) > 1:
                middle = len(entries) // 2
                await self._send_whole(entries[:middle])
                await self._send_whole(entries[middle:])
                return
            if self.refused == 0:
                log.error(  # noqa: TRY400 - the words are enough
                    "%s: the record %s is refused: %s; further ones are counted", self._told, entries[0].id, error
                )
            self.refused += 1

    def _next_batch(self) -> Sequence[Entry]:
        bounds = self.batching
        batch: list[Entry] = []
        size = 0
        for entry in self._waiting:
            if batch and (len(batch) >= bounds.records or size + len(entry.body) > bounds.size):
                break
            batch.append(entry)
            size += len(entry.body)
        return batch

    def _try_later(self, error: DeliveryError) -> None:
        context = self._context
        if context is None or self._again is not None:
            return
        self._pause = min(max(self._pause * 2, _FIRST_PAUSE), self.batching.pause)
        pause = min(error.pause or 0.0, self.batching.pause) or self._pause * (0.5 + context.clock.random() / 2)
        self._again = asyncio.create_task(self._send_later(context.clock, pause), name=f"{context.id}: send again")

    async def _send_later(self, clock: Clock, pause: float) -> None:
        await clock.sleep(pause)
        self._again = None
        try:
            await self.flush()
        except DeliveryError as error:
            log.warning("%s: records wait: %s", self._told, error)

    async def _stop_trying(self) -> None:
        again, self._again = self._again, None
        if again is not None:
            again.cancel()
            await asyncio.wait({again})


def _speaks_of_content(answer: ProviderResponse) -> bool:
    return answer.status in _UNACCEPTABLE


@attrs.frozen
class RecordService:
    """The service that a logger sends to.

    Args:
        name: What messages call it.
        transport: HTTP out.
        clock: Time.
        timeout: Seconds that it may take to answer.
        unacceptable: Whether an answer that is no success means that something in what was sent is the reason; any
            other says something of the service.
        reason: What may be told of an answer that is no success, where it cannot hold what was sent; None for nothing.
    """

    name: str
    transport: Transport
    clock: Clock
    timeout: float = 10.0
    unacceptable: Callable[[ProviderResponse], bool] = _speaks_of_content
    reason: Callable[[ProviderResponse], str] | None = None

    async def send(self, method: str, url: str, headers: Mapping[str, str], body: bytes) -> ProviderResponse:
        """Send records, or ask something.

        Args:
            method: The HTTP method.
            url: Where to.
            headers: Headers, lower-case names.
            body: What is sent.

        Raises:
            DeliveryError: there is no answer, or it is no success.
        """
        request = _request(self, method, url, headers, body)
        try:
            answer = await self.transport.send(request)
        except ProviderTimeoutError:
            raise DeliveryError(f"{self.name} does not answer in time") from None
        except ProviderConnectionError as error:
            raise DeliveryError(f"{self.name} cannot be reached ({error.code}): check its address") from None
        except ProviderError as error:
            raise DeliveryError(f"{self.name} cannot be understood ({error.code})") from None
        if 200 <= answer.status < 300:
            return answer
        words = "" if self.reason is None else _words(self.reason(answer))
        raise DeliveryError(
            f"{self.name} answers {answer.status}{words and f': {words}'}",
            unacceptable=self.unacceptable(answer),
            pause=_retry_after(answer.headers.get("retry-after"), self.clock.now()),
        )


def a_service(_: object, field: attrs.Attribute[Any], url: str | None) -> None:
    """Validates a key that says where records are sent: over TLS, except to this machine.

    Raises:
        ValueError: it is no such address.
    """
    if url is None:
        return
    try:
        parts = urlsplit(url)
        port_is_one = parts.port is None or parts.port > 0
    except ValueError:
        parts, port_is_one = urlsplit(""), False
    if parts.scheme not in ("http", "https") or not parts.hostname or not port_is_one or "@" in parts.netloc:
        raise ValueError(f"{field.name}: write https://HOST, with a port and a path where it has them", field)
    if parts.scheme == "http" and not _is_here(parts.hostname):
        raise ValueError(f"{field.name}: records would go over the network without TLS: write https://", field)


def _is_here(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _request(service: RecordService, method: str, url: str, headers: Mapping[str, str], body: bytes) -> ProviderRequest:
    parts = urlsplit(url)
    return ProviderRequest(
        method=method,
        url=url,
        headers=headers,
        body=body,
        provider_name=service.name,
        origin=f"{parts.scheme}://{parts.netloc}",
        pool=f"records {service.name} {parts.netloc}",
        timeouts=Timeouts(connect=min(service.timeout, 5.0), first_byte=service.timeout, idle=service.timeout),
        max_body_bytes=_MOST_BYTES,
    )


def _words(text: str) -> str:
    return "".join(one if one.isprintable() else " " for one in text[:300]).strip()


def _retry_after(value: Any, now: float) -> float | None:
    """Seconds that ``Retry-After`` asks for (RFC 9110, 10.2.3); None where it says nothing useful."""
    if not isinstance(value, str):
        return None
    if value.isascii() and value.isdigit() and len(value) < 7:
        return float(value)
    try:
        return max(parsedate_to_datetime(value).timestamp() - now, 0.0)
    except (ValueError, OverflowError):
        return None
