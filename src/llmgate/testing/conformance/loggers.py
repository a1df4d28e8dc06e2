"""What every logger promises."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

import attrs
import pytest

from llmgate.journal import Courier, Journal, JournalSettings
from llmgate.spec import (
    ProviderConnectionError,
    ProviderRequest,
    ProviderResponse,
    ProviderStream,
    Record,
    StageContext,
    SystemClock,
    Transport,
    Usage,
)
from llmgate.testing.samples import sample_record

from .base import StageConformance

__all__ = ["LoggerConformance"]

_HOSTILE = '\r\n{"id":"forged"}\n\x00\x1b[31m\u2028\u2029\x85\udc80 \U0001f511'
"""What a caller may write into a model name or a label to forge a record or to break its reader."""

_PATIENCE: Final = 30.0
"""Seconds that a logger gets to take what it is brought."""


def _every_ending() -> Sequence[Record]:
    """Records of exchanges that ended in each of the ways there are."""
    return (
        sample_record(),
        sample_record(stream=True, usage=None),
        sample_record(outcome="error", status=502, error_code="provider_unreachable", error_message="not reachable"),
        sample_record(outcome="cancelled", status=None, usage=Usage(input_tokens=9, estimated=True)),
        sample_record(outcome="incomplete", error_code="provider_protocol_error", error_message="cut"),
        sample_record(
            outcome="error",
            status=401,
            error_code="invalid_api_key",
            error_message="unknown key",
            principal=None,
            principal_issuer=None,
            request_model=None,
            provider_name=None,
            attempts=(),
            first_content=None,
            metadata={},
        ),
    )


class _Faltering:
    """A transport behind which nobody can be reached while it is ``down``."""

    def __init__(self, behind: Transport) -> None:
        self.down = False
        self._behind = behind

    def __getattr__(self, name: str) -> Any:
        return getattr(self._behind, name)  # what a subclass of the kit asks its own transport

    async def send(self, request: ProviderRequest) -> ProviderResponse:
        if self.down:
            raise ProviderConnectionError("nobody can be reached")
        return await self._behind.send(request)

    async def open_stream(self, request: ProviderRequest) -> ProviderStream:
        if self.down:
            raise ProviderConnectionError("nobody can be reached")
        return await self._behind.open_stream(request)

    async def aclose(self) -> None:
        await self._behind.aclose()


def _write(journal: Journal, records: Sequence[Record]) -> None:
    for record in records:
        journal.write(record)


async def _until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(_PATIENCE):
        while not condition():  # noqa: ASYNC110 - of what is waited for nobody tells
            await asyncio.sleep(0.01)


class LoggerConformance(StageConformance):
    """Loggers; a subclass says where the records have gone."""

    kind = "loggers"

    def written(self, context: StageContext) -> Sequence[str]:
        """Everything written since the stage was made, one text per record, each containing the record's id.

        Called after the stage has been closed.
        """
        raise NotImplementedError("tell the kit where the records are")

    def occurrences(self, context: StageContext, records: Sequence[Record]) -> list[int]:
        """How often each record was written."""
        texts = self.written(context)
        return [sum(record.id in text for text in texts) for record in records]

    async def log(self, context: StageContext, records: Sequence[Record]) -> None:
        """Hand records to a new stage, flush it and close it, as the pipeline does."""
        async with self.opened(context) as stage:
            for record in records:
                await stage.record(record)
            await stage.flush()

    @pytest.mark.asyncio
    async def test_every_ending_is_recorded(self, context: StageContext) -> None:
        """Answered, failed, cancelled, cut and refused exchanges leave one record each."""
        records = _every_ending()
        await self.log(context, records)
        assert self.occurrences(context, records) == [1] * len(records)

    @pytest.mark.asyncio
    async def test_behind_a_journal_nothing_is_lost(self, context: StageContext, tmp_path: Path) -> None:
        """What a durable logger cannot take waits in the journal, over a restart too, and is there once, in order."""
        if not self.make_stage().durable:
            return  # it is brought no records from the journal, and promises nothing of them
        service = _Faltering(context.transport)
        context = attrs.evolve(context, transport=service)
        records = [sample_record() for _ in range(60)]
        async with self._brought(context, tmp_path / "journal") as (journal, courier):
            _write(journal, records[:30])
            await _until(lambda: courier.backlog == 0)
            service.down = True
            _write(journal, records[30:40])
            await _until(lambda: courier.failed >= 2 or courier.backlog == 0)
            _write(journal, records[40:50])
        async with self._brought(context, tmp_path / "journal") as (journal, courier):
            _write(journal, records[50:])
            await _until(lambda: courier.failed >= 1 or courier.backlog == 0)
            service.down = False
            await _until(lambda: courier.backlog == 0 and len(list((tmp_path / "journal").glob("*/lock"))) == 1)
            assert courier.dropped == 0
        assert self.occurrences(context, records) == [1] * len(records)
        places = [next(place for place, one in enumerate(records) if one.id in text) for text in self.written(context)]
        assert [one for one in places if one < 50] == list(range(50)), "in the order of the process that is gone"
        assert [one for one in places if one >= 50] == list(range(50, 60)), "and of the one behind it"

    @asynccontextmanager
    async def _brought(self, context: StageContext, path: Path) -> AsyncIterator[tuple[Journal, Courier]]:
        """A stage that is brought its records from a journal, as in one process from its start to its end."""
        journal = Journal(JournalSettings(path, sync="os"), SystemClock())
        await journal.open()
        try:
            async with self.opened(context) as stage:
                courier = journal.courier(context.id, stage.name, stage)
                courier.start()
                try:
                    yield journal, courier
                finally:
                    await courier.aclose()
        finally:
            await journal.aclose()

    @pytest.mark.asyncio
    async def test_closing_writes_what_is_waiting(self, context: StageContext) -> None:
        """Nothing taken is lost when ``flush`` was not called before ``aclose``."""
        records = [sample_record() for _ in range(10)]
        async with self.opened(context) as stage:
            for record in records:
                await stage.record(record)
        assert self.occurrences(context, records) == [1] * len(records)

    @pytest.mark.asyncio
    async def test_a_thousand_records(self, context: StageContext) -> None:
        """Many records in a row are all there, once each, in their order."""
        records = [sample_record() for _ in range(1000)]
        await self.log(context, records)
        texts = self.written(context)
        assert len(texts) == len(records)
        assert all(record.id in text for record, text in zip(records, texts, strict=True))

    @pytest.mark.asyncio
    async def test_a_flush_may_come_at_any_time(self, context: StageContext) -> None:
        """Flushing twice, with nothing waiting, and while another flush runs, writes nothing twice."""
        records = [sample_record() for _ in range(20)]
        async with self.opened(context) as stage:
            await stage.flush()
            for record in records:
                await stage.record(record)
                await asyncio.gather(stage.flush(), stage.flush())
            await stage.flush()
        assert self.occurrences(context, records) == [1] * len(records)

    @pytest.mark.asyncio
    async def test_no_value_forges_a_record(self, context: StageContext) -> None:
        """Control characters and line separators in any value stay inside the one record."""
        hostile: dict[str, Any] = {
            "request_model": _HOSTILE,
            "client_request_id": _HOSTILE,
            "error_message": _HOSTILE,
            "principal": _HOSTILE,
            "metadata": {_HOSTILE: _HOSTILE},
        }
        records = [sample_record(), sample_record(outcome="error", error_code="x", **hostile), sample_record()]
        await self.log(context, records)
        texts = self.written(context)
        assert len(texts) == len(records), "one record is one text, whatever is in it"
        for text in texts:
            assert not set(text.rstrip("\n")) & set("\r\n\x00\x1b\u2028\u2029\x85"), "escape control characters"

    @pytest.mark.asyncio
    async def test_long_values_do_no_harm(self, context: StageContext) -> None:
        """A megabyte in one value is recorded, whole or shortened."""
        records = [sample_record(request_model="m" * 1_000_000), sample_record()]
        await self.log(context, records)
        assert self.occurrences(context, records) == [1, 1]
