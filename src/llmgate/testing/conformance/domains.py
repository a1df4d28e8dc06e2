"""What every book of domains promises."""

from __future__ import annotations

import asyncio
from typing import Final

import pytest

from llmgate.spec import DomainEvent, StageContext

from .base import StageConformance

__all__ = ["DomainConformance"]

_EVENTS: Final = (
    DomainEvent("2026-01-01T00:00:00+00:00", "a.example", "requested", by="ann", note="Acme", token="0" * 32),
    DomainEvent("2026-01-01T00:00:00+00:00", "a.example", "verified", proof="llmgate-verification=0 at a.example"),
    DomainEvent("2025-12-31T00:00:00+00:00", "b.example", "denied", note="Ключ 🔑 \"\n\t\\ '; --"),
    DomainEvent("2026-01-02T00:00:00+00:00", "a.example", "approved", by="Ärztin"),
)


class DomainConformance(StageConformance):
    """Books of domains. The kit opens several on one directory, as a gateway and ``llmgate domains`` do."""

    kind = "domains"

    @pytest.mark.asyncio
    async def test_begins_empty(self, context: StageContext) -> None:
        """A book in which nothing was written yet is empty, and no error."""
        async with self.opened(context) as book:
            assert list(await book.read()) == []

    @pytest.mark.asyncio
    async def test_keeps_events_as_they_were_given(self, context: StageContext) -> None:
        """What was added comes back, every letter of it, in the order in which it was added and not by its time."""
        async with self.opened(context) as book:
            for event in _EVENTS:
                await book.append(event)
            assert tuple(await book.read()) == _EVENTS

    @pytest.mark.asyncio
    async def test_keeps_events_after_it_was_closed(self, context: StageContext) -> None:
        """Another process finds what this one has written."""
        async with self.opened(context) as book:
            await book.append(_EVENTS[0])
        async with self.opened(context) as book:
            await book.append(_EVENTS[1])
            assert tuple(await book.read()) == _EVENTS[:2]

    @pytest.mark.asyncio
    async def test_is_at_another_revision_once_anything_was_added(self, context: StageContext) -> None:
        """Whoever has the book open sees by the revision that another has added something, and only then."""
        async with self.opened(context) as reader, self.opened(context) as writer:
            for number, event in enumerate(_EVENTS, 1):
                before = await reader.revision()
                assert await reader.revision() == before, "nothing was added"
                await writer.append(event)
                assert await reader.revision() != before
                assert tuple(await reader.read()) == _EVENTS[:number]

    @pytest.mark.asyncio
    async def test_loses_none_of_many_at_once(self, context: StageContext) -> None:
        """Of two who add at once neither takes the place of the other."""
        events = [DomainEvent("2026-01-01T00:00:00+00:00", f"{one}.example", "denied") for one in range(20)]
        async with self.opened(context) as book, self.opened(context) as other:
            await asyncio.gather(*((book if at % 2 else other).append(event) for at, event in enumerate(events)))
            found = await book.read()
        assert sorted(one.domain for one in found) == sorted(one.domain for one in events)
