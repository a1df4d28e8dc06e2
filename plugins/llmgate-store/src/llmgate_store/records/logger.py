"""The logger ``sql``: records in a database, which can be asked for them."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Final

from llmgate.spec import (
    Feedback,
    GatewayError,
    KeptRecord,
    Logger,
    Record,
    RecordPage,
    RecordQuery,
    RecordReader,
    StageContext,
    UsageQuery,
    UsageReport,
)
from llmgate_store.config import SqlRecordsConfig
from llmgate_store.errors import StoreUnavailableError

if TYPE_CHECKING:
    from llmgate_store.database import Database

    from .blocks import Wanted
    from .book import RecordBook

__all__ = ["SqlRecords"]

log: Final = logging.getLogger("llmgate.store")

_BATCH_BYTES: Final = 4 * 1024 * 1024
"""Bytes of content that one transaction writes, about; databases bound the size of a statement."""
_PLAIN: Final = 4096
"""Bytes that a record has without its content, about."""
_FIRST_PAUSE: Final = 0.5
_LONGEST_PAUSE: Final = 15.0
"""Seconds between two tries while the database does not take records; they double, up to the longest."""


class SqlRecords(Logger[SqlRecordsConfig], RecordReader):
    """Writes records in batches, each once however often it is given, and adds up usage by hours and days with them.

    While the database does not take records they wait in memory, within bounds, and are written in their order once it
    does. The gateway starts without it, too.
    """

    name = "sql"
    config_class = SqlRecordsConfig
    durable = True
    fills_costs = True

    def __init__(self, config: SqlRecordsConfig) -> None:
        super().__init__(config)
        self.refused = 0
        """Records that the database did not take for what is in them."""
        self._waiting: dict[str, Record] = {}
        self._bytes = 0
        self._context: StageContext | None = None
        self._database: Database | None = None
        self._book: RecordBook | None = None
        self._turn = asyncio.Lock()
        self._pause = 0.0
        self._retry_at = 0.0
        self._retrying: asyncio.Task[None] | None = None
        self._sweeping: asyncio.Task[None] | None = None
        self._building: asyncio.Task[None] | None = None
        self._futile: set[tuple[str, int]] = set()

    async def open(self, context: StageContext) -> None:
        """Connect to the database; where it cannot be reached, records wait until it can.

        Raises:
            ConfigError: its address cannot be used.
            PluginError: its tables are of another version, or its driver is not installed.
        """
        self._turn, self._context = asyncio.Lock(), context
        try:
            await self._connect()
        except StoreUnavailableError as away:
            log.error("%s: records wait in memory: %s", context.id, away)  # noqa: TRY400 - the words are enough
            self._try_later()
        self._sweeping = asyncio.create_task(self._sweep(context), name=f"{context.id}: sweep")

    async def open_to_read(self, context: StageContext) -> None:
        """Connect to the database, to ask it.

        Raises:
            StoreUnavailableError: it cannot be reached.
        """
        self._context = context
        await self._connect()

    async def _connect(self) -> RecordBook:
        # Late: SQLAlchemy takes a second, which a configuration that is only checked must not pay for.
        from llmgate_store.database import Database

        from .book import RecordBook

        context = self._context
        if self._book is not None:
            return self._book
        if context is None:
            raise StoreUnavailableError("sql: the logger is not open")
        database = Database(self.config.database, context)
        try:
            await database.open()
        except BaseException:
            await database.aclose()
            raise
        self._database = database
        self._book = RecordBook(database, context.clock, self.config.write_timeout)
        return self._book

    async def aclose(self) -> None:
        """Write what waits, and close the database."""
        tasks = [one for one in (self._retrying, self._sweeping, self._building) if one is not None]
        self._retrying = self._sweeping = self._building = None
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)
        try:
            await self._drain()
        except GatewayError as away:
            log.error("sql: %d records are not in the database: %s", len(self._waiting), away)  # noqa: TRY400
        finally:
            database, self._database = self._database, None
            self._book = self._context = None
            if database is not None:
                await database.aclose()

    async def record(self, record: Record) -> None:
        """Take a record; one that waits already is not taken twice.

        Raises:
            StoreUnavailableError: too many wait.
        """
        if record.id[:64] in self._waiting:
            return
        size = _size(record)
        if len(self._waiting) >= self.config.max_waiting or self._bytes + size > self.config.max_waiting_bytes:
            if not self._resting and not self._turn.locked():
                await self._drain_quietly()
            if len(self._waiting) >= self.config.max_waiting or (
                self._waiting and self._bytes + size > self.config.max_waiting_bytes
            ):
                raise StoreUnavailableError("sql: the database does not take records, and too many wait: one is lost")
        self._waiting[record.id[:64]] = record
        self._bytes += size
        if len(self._waiting) >= self.config.batch and not self._resting and not self._turn.locked():
            await self._drain_quietly()

    async def flush(self) -> None:
        """Write what waits.

        Raises:
            StoreUnavailableError: not everything could be written; it goes on waiting.
        """
        await self._drain()

    @property
    def _resting(self) -> bool:
        """Whether the next try is to come later."""
        return self._context is not None and self._pause > 0 and self._context.clock.monotonic() < self._retry_at

    async def _drain_quietly(self) -> None:
        try:
            await self._drain()
        except GatewayError as away:
            log.debug("sql: records wait: %s", away)

    async def _drain(self) -> None:
        """Write everything that waits by now, in its order."""
        async with self._turn:
            if not self._waiting:
                return
            try:
                book = await self._connect()
                for batch in self._batches():
                    await self._write(book, batch)
                    for one in batch:
                        del self._waiting[one.id[:64]]
                        self._bytes -= _size(one)
            except StoreUnavailableError:
                self._try_later()
                raise
            self._pause = 0.0

    def _batches(self) -> Iterator[Sequence[Record]]:
        batch: list[Record] = []
        size = 0
        for record in list(self._waiting.values()):
            if batch and (len(batch) >= self.config.batch or size + _size(record) > _BATCH_BYTES):
                yield batch
                batch, size = [], 0
            batch.append(record)
            size += _size(record)
        if batch:
            yield batch

    async def _write(self, book: RecordBook, batch: Sequence[Record]) -> None:
        """Write a batch; what the database will never take is left out, so that it does not keep back the rest."""
        # Late: see ``_connect``.
        from .book import RecordsRefusedError

        try:
            await book.write(batch)
        except RecordsRefusedError as refused:
            if len(batch) == 1:
                self.refused += 1
                log.error("sql: the database refuses record %s (%s): it is left out", batch[0].id[:64], refused)  # noqa: TRY400
                return
            middle = len(batch) // 2
            await self._write(book, batch[:middle])
            await self._write(book, batch[middle:])

    def _try_later(self) -> None:
        context = self._context
        if context is None:
            return
        self._pause = min(_LONGEST_PAUSE, max(_FIRST_PAUSE, self._pause * 2))
        pause = self._pause * (0.5 + context.clock.random() / 2)
        self._retry_at = context.clock.monotonic() + pause
        if self._retrying is None or self._retrying.done():
            self._retrying = asyncio.create_task(self._retry(context, pause), name=f"{context.id}: retry")

    async def _retry(self, context: StageContext, pause: float) -> None:
        """Try again and again: whoever hands records over may have nothing more to hand over for a long time."""
        waited = 0
        while True:
            await context.clock.sleep(pause)
            waited = max(waited, len(self._waiting))
            try:
                if self._waiting:
                    await self._drain()
                else:
                    await self._connect()
            except GatewayError:
                pause = self._retry_at - context.clock.monotonic() if self._pause else _LONGEST_PAUSE
                pause = max(_FIRST_PAUSE / 2, pause)
                continue
            log.warning("%s: the database takes records again; %d had waited", context.id, waited)
            return

    async def _sweep(self, context: StageContext) -> None:
        # Late: see ``_connect``.
        from .retention import Retention

        config = self.config
        while True:
            await context.clock.sleep(config.sweep_every * (0.5 + context.clock.random()))
            if self._database is None:
                continue
            retention = Retention(self._database, context.clock, config.write_timeout)
            try:
                if config.keep is not None:
                    await retention.records(config.keep)
                if config.keep_content is not None:
                    await retention.content(config.keep_content)
                if config.keep_usage is not None:
                    await retention.usage(config.keep_usage)
            except GatewayError as away:
                log.warning("%s: old records stay until the next sweep: %s", context.id, away)

    async def find_records(self, query: RecordQuery) -> RecordPage:
        """A page of records, without their content."""
        # Late: see ``_connect``.
        from .listing import find_records

        return await find_records(await self._reachable(), query, self.config.read_timeout)

    async def read_record(self, record_id: str) -> KeptRecord | None:
        """One record, whole."""
        # Late: see ``_connect``.
        from .listing import read_record

        return await read_record(await self._reachable(), record_id, self.config.read_timeout)

    async def usage(self, query: UsageQuery) -> UsageReport:
        """What records add up to."""
        # Late: see ``_connect``.
        from .usage import usage_report

        database = await self._reachable()
        assert self._context is not None, "it is open"
        now = self._context.clock.now()
        return await usage_report(database, query, now, self.config.read_timeout, self._build_later)

    def _build_later(self, wanted: Wanted) -> None:
        """Have blocks made that a question has missed, one set of them at a time."""
        if self._sweeping is not None and (self._building is None or self._building.done()):
            self._building = asyncio.create_task(self._build(wanted), name="sql: blocks of usage")

    async def _build(self, wanted: Wanted) -> None:
        # Late: see ``_connect``.
        from .building import build_blocks

        try:
            if self._database is not None:
                await build_blocks(self._database, wanted, self.config.write_timeout, self._futile)
        except GatewayError as away:
            log.debug("sql: blocks of usage are made another time: %s", away)

    async def keep_feedback(self, feedback: Sequence[Feedback]) -> None:
        """Keep what is thought of an exchange."""
        # Late: see ``_connect``.
        from .listing import keep_feedback

        await keep_feedback(await self._reachable(), feedback, self.config.write_timeout)

    async def fill_costs(self, reckon: Callable[[Record], Record | None]) -> int:
        """Write anew what exchanges cost that waited for a price, in what they add up to as well."""
        # Late: see ``_connect``.
        from .filling import fill_costs

        return await fill_costs(await self._reachable(), reckon, self.config.write_timeout)

    async def _reachable(self) -> Database:
        if self._database is None:
            async with self._turn:
                await self._connect()
        assert self._database is not None, "it is connected"
        return self._database


def _size(record: Record) -> int:
    content = record.content
    if content is None:
        return _PLAIN
    texts = [one.text for one in (content.request, content.response) if one is not None]
    return _PLAIN + sum(len(text) for text in texts if text is not None)
