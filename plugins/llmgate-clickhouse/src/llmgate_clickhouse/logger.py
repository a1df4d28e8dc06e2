"""The logger ``clickhouse``: batches by the server's HTTP interface.

Source: ClickHouse, "HTTP interface", "JSONEachRow", "Asynchronous inserts".
"""

from __future__ import annotations

import asyncio
import gzip
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Final
from urllib.parse import quote, urlencode

from llmgate.spec import (
    Batching,
    BatchLogger,
    CostFiller,
    DeliveryError,
    Entry,
    GatewayError,
    ProviderResponse,
    Record,
    RecordService,
    StageContext,
)

from .config import ClickHouseConfig
from .filling import fill_costs
from .rows import lines_of, parts_of
from .schema import TABLES, statements

__all__ = ["ClickHouseRecords"]

_CODE: Final = "x-clickhouse-exception-code"
_NAME: Final = re.compile(rb"\(([A-Z_]{3,64})\)")
_OF_CONTENT: Final = frozenset({"6", "26", "27", "38", "41", "53", "69", "72", "117", "131"})
"""Codes that speak of a value: it cannot be parsed, is of another type, or out of bounds."""
_SETTINGS: Final[Mapping[str, str]] = {
    "async_insert": "1",
    "wait_for_async_insert": "1",
    "date_time_input_format": "best_effort",
    "input_format_skip_unknown_fields": "1",
}


class ClickHouseRecords(BatchLogger[ClickHouseConfig], CostFiller):
    """Inserts records into tables whose rows replace each other by their key: one that comes twice is there once."""

    name = "clickhouse"
    config_class = ClickHouseConfig
    fills_costs = True

    def __init__(self, config: ClickHouseConfig) -> None:
        super().__init__(config)
        self._made = False

    @property
    def batching(self) -> Batching:
        """How many records are inserted at once, and how long they wait."""
        return self.config.batch

    async def open(self, context: StageContext) -> None:
        """Get ready; the server is not asked yet: a gateway starts although it does not answer."""
        await super().open(context)
        self._made = not self.config.create

    def encode(self, record: Record) -> bytes:
        """The rows of the record."""
        return lines_of(record)

    async def send(self, entries: Sequence[Entry]) -> None:
        """Insert the rows of some records, the tables made first where they are missing.

        Raises:
            DeliveryError: they have not all been inserted.
        """
        if not self._made:
            for statement in statements(self.config):
                await self._ask(statement)
            self._made = True
        parts = [parts_of(entry.body) for entry in entries]
        try:
            for table in TABLES:
                lines = b"".join(part[table] for part in parts)
                if lines:
                    await self._ask(f"INSERT INTO {self.config.database}.{table} FORMAT JSONEachRow", lines)
        except DeliveryError:
            # Somebody may have removed what was there: it is looked at again before the next try.
            self._made = not self.config.create
            raise

    async def fill_costs(self, reckon: Callable[[Record], Record | None]) -> int:
        """Write anew what exchanges cost that waited for a price; hours are added up anew with them.

        Raises:
            GatewayError: the server does not do it.
        """

        async def ask(statement: str, parameters: Mapping[str, str]) -> bytes:
            return await self._ask(statement, parameters=parameters)

        try:
            return await fill_costs(ask, self.config.database, reckon)
        except DeliveryError as away:
            raise GatewayError(str(away)) from None

    async def _ask(
        self, statement: str, lines: bytes | None = None, parameters: Mapping[str, str] | None = None
    ) -> bytes:
        context = self.context
        headers = {"x-clickhouse-user": self.config.user, "content-type": "text/plain; charset=utf-8"}
        if self.config.password is not None:
            try:
                headers["x-clickhouse-key"] = (await context.fetch_secret(self.config.password)).reveal()
            except GatewayError as error:
                raise DeliveryError(str(error)) from None
        query = {"query": statement, **({} if lines is None else _SETTINGS)}
        query |= {f"param_{name}": value for name, value in (parameters or {}).items()}
        body = b""
        if lines is not None:
            headers["content-encoding"] = "gzip"
            body = await asyncio.to_thread(gzip.compress, lines, 1, mtime=0)
        service = RecordService(
            "ClickHouse",
            context.transport,
            context.clock,
            self.batching.timeout,
            unacceptable=lambda answer: answer.headers.get(_CODE) in _OF_CONTENT,
            reason=_told,
        )
        url = f"{self.config.url.rstrip('/')}/?{urlencode(query, quote_via=quote)}"
        answer = await service.send("POST", url, headers, body)
        if _CODE in answer.headers:
            raise DeliveryError(f"ClickHouse answers {_told(answer)}")
        return answer.body


def _told(answer: ProviderResponse) -> str:
    """The number and the name of the server's exception; not its text, which repeats what was sent."""
    code = answer.headers.get(_CODE, "")
    names = _NAME.findall(answer.body[:65536])
    return f"code {code} {names[-1].decode() if names else ''}".strip() if code.isdigit() else ""
