"""The kit tells books of domains that forget, mix up or hide what was written from those that do not."""

from __future__ import annotations

import asyncio
import inspect

import pytest

from llmgate.stages.domains.file import File, FileConfig
from llmgate.testing.clock import FakeClock
from llmgate.testing.conformance.domains import DomainConformance


class KeepsInMemory(File):
    """Another process never hears of it."""

    def __init__(self, config):
        super().__init__(config)
        self._events = []

    async def revision(self):
        return len(self._events)

    async def read(self):
        return list(self._events)

    async def append(self, event):
        self._events.append(event)


class NewestFirst(File):
    async def read(self):
        return list(reversed(await super().read()))


class SortsByTime(File):
    async def read(self):
        return sorted(await super().read(), key=lambda event: event.at)


class ForgetsNotes(File):
    async def append(self, event):
        await super().append(type(event)(event.at, event.domain, event.action, event.by, "", event.token, event.proof))


class StandsStill(File):
    async def revision(self):
        return 0


class NeverTheSame(File):
    async def revision(self):
        return object()


class ReadsThenWrites(File):
    """The classic: who writes the whole book anew takes out what another has added meanwhile."""

    async def append(self, event):
        events = [*await self.read(), event]
        await asyncio.sleep(0)
        self._path.unlink(missing_ok=True)
        for one in events:
            await super().append(one)


FAULTY = {
    KeepsInMemory: "test_keeps_events_after_it_was_closed",
    NewestFirst: "test_keeps_events_as_they_were_given",
    SortsByTime: "test_keeps_events_as_they_were_given",
    ForgetsNotes: "test_keeps_events_as_they_were_given",
    StandsStill: "test_is_at_another_revision_once_anything_was_added",
    NeverTheSame: "test_is_at_another_revision_once_anything_was_added",
    ReadsThenWrites: "test_loses_none_of_many_at_once",
}


async def run(book_class, name, tmp_path):
    class Kit(DomainConformance):
        stage_class = book_class
        config = FileConfig()

    await getattr(Kit(), name)(Kit().make_context(tmp_path, FakeClock()))


@pytest.mark.parametrize(("book_class", "name"), FAULTY.items(), ids=lambda value: getattr(value, "__name__", value))
async def test_a_faulty_book_fails_the_test_of_its_fault(book_class, name, tmp_path):
    with pytest.raises(AssertionError):
        await run(book_class, name, tmp_path)


async def test_a_good_book_passes_them_all(tmp_path):
    names = [name for name, _ in inspect.getmembers(DomainConformance, inspect.iscoroutinefunction)]
    own = [name for name in vars(DomainConformance) if name in names and name.startswith("test_")]
    assert set(own) >= set(FAULTY.values())
    for name in own:
        (tmp_path / name).mkdir()
        await run(File, name, tmp_path / name)
