"""Editions of a running Pipeline: the snapshot in force, and those before it that exchanges still hold on to.

A reload opens what is new, swaps, and leaves the old edition to the exchanges that began with it. What only that one
uses is closed when the last of them is over.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import Counter
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Any

from llmgate.spec import Clock, ConfigError, Logger, PluginError, SecretNotFoundError

from .credentials import SecretBroker
from .secret_report import look_for_credentials
from .settling import DirectWay, RecordQueue, RecordWay
from .snapshot import PlacedStage, Snapshot
from .standing import standing_of

if TYPE_CHECKING:
    from llmgate.journal import Journal
    from llmgate.telemetry import Telemetry
    from llmgate.telemetry.standing import Standing

__all__ = ["Edition", "Editions", "Pin"]

log = logging.getLogger("llmgate.pipeline")


class Edition:
    """A snapshot with what goes with it while it is in force.

    Args:
        snapshot: The stages and routes.
        secrets: Its secret stores.
    """

    __slots__ = ("journal", "loop", "on_idle", "pins", "queues", "secrets", "snapshot")

    def __init__(self, snapshot: Snapshot, secrets: SecretBroker) -> None:
        self.snapshot = snapshot
        self.secrets = secrets
        self.queues: Sequence[RecordWay] = ()
        self.journal: Journal | None = None
        self.pins = 0
        self.on_idle: Callable[[], None] | None = None
        self.loop: asyncio.AbstractEventLoop | None = None

    def unpin(self) -> None:
        """One exchange less holds on to it; the last one of an edition that is out of force closes it."""
        self.pins -= 1
        if self.pins == 0 and self.on_idle is not None:
            self.on_idle()


class Pin:
    """The hold of one exchange on the edition that it began with. Give it back with ``release``.

    One that is forgotten (a frame that was made and never entered) gives itself back.

    Args:
        edition: The edition.
    """

    __slots__ = ("_edition",)

    def __init__(self, edition: Edition) -> None:
        edition.pins += 1
        self._edition: Edition | None = edition

    @property
    def journal(self) -> Journal | None:
        """What keeps the record of the exchange before its answer ends; None for nobody."""
        return None if self._edition is None else self._edition.journal

    @property
    def queues(self) -> Sequence[RecordWay]:
        """Who gets the record of the exchange; nobody once it has let go."""
        return () if self._edition is None else self._edition.queues

    def release(self) -> None:
        """Let go. Idempotent."""
        edition, self._edition = self._edition, None
        if edition is not None:
            edition.unpin()

    def __del__(self) -> None:
        edition, self._edition = self._edition, None
        if edition is None or edition.loop is None:
            return
        with contextlib.suppress(RuntimeError):  # the loop is closed, and with it everything
            # The garbage collector runs in any thread.
            edition.loop.call_soon_threadsafe(edition.unpin)


class Editions:
    """The edition in force and those that are still held on to; opens and closes their stages, each exactly once.

    Args:
        first: The edition to begin with.
        own: Runs work in a task that the Pipeline waits for when it closes.
        clock: The time.
    """

    def __init__(self, first: Edition, own: Callable[[Coroutine[Any, Any, None]], object], clock: Clock) -> None:
        self.current = first
        self._clock = clock
        self._own = own
        self._all: list[Edition] = []
        self._open: dict[int, PlacedStage] = {}
        self._queues: dict[int, RecordWay] = {}

    @property
    def is_open(self) -> bool:
        """Whether the stages of the current edition are open."""
        return bool(self._all)

    async def standing(self) -> Standing:
        """How the edition in force does: who is left out, and how far records are on their way."""
        return await standing_of(self.current, self._clock)

    async def open(self) -> None:
        """Open every stage of the first edition in order; one that fails closes those before it.

        Raises:
            PluginError: a stage cannot be opened.
        """
        await self._bring_up(self.current, None)

    async def replace(self, edition: Edition, approve: Callable[[Snapshot], Awaitable[None]] | None) -> None:
        """Put an edition in force; when a new stage of it cannot be opened, everything stays as it was.

        Args:
            edition: The new one.
            approve: Called when everything is open; what it raises refuses the edition.

        Raises:
            PluginError: a stage cannot be opened.
        """
        await self._bring_up(edition, approve)
        # From here to the end nothing awaits: no exchange sees half of it.
        old, self.current = self.current, edition
        old.on_idle = lambda: self._retire(old)
        if old.pins == 0:
            self._retire(old)

    async def aclose(self) -> None:
        """Hand every record over and close every stage in reverse, whoever still holds on. Idempotent."""
        editions, self._all = self._all, []
        queues, self._queues = self._queues, {}
        still_open, self._open = self._open, {}
        async with AsyncExitStack() as exits:
            for edition in reversed(editions):
                edition.on_idle = None
                for one in edition.snapshot.placed:
                    if still_open.pop(id(one.stage), None) is not None:
                        exits.push_async_callback(one.aclose)
            for telemetry in {edition.snapshot.telemetry for edition in editions}:
                if telemetry is not None:
                    exits.push_async_callback(telemetry.aclose)
            for journal in {edition.journal for edition in editions}:
                if journal is not None:
                    exits.push_async_callback(journal.aclose)
            for queue in queues.values():
                exits.push_async_callback(queue.aclose)

    async def _bring_up(self, edition: Edition, approve: Callable[[Snapshot], Awaitable[None]] | None) -> None:
        """Open what is not open yet, start its queues, and count it among the editions."""
        snapshot = edition.snapshot
        new = [one for one in snapshot.placed if id(one.stage) not in self._open]
        async with AsyncExitStack() as exits:
            for one in new:
                one.link.lead_to(edition.secrets, snapshot.state, snapshot.domains)
                exits.push_async_callback(one.aclose)
                await _open_stage(one)
            telemetry = snapshot.telemetry
            if telemetry is not None:
                await telemetry.look(edition.secrets.fetch)
            if telemetry is not None and all(one.snapshot.telemetry is not telemetry for one in self._all):
                telemetry.open(self.standing)
                exits.push_async_callback(telemetry.aclose)
            if snapshot.journal is not None and all(one.journal is not snapshot.journal for one in self._all):
                await snapshot.journal.open()
                exits.push_async_callback(snapshot.journal.aclose)
            queues, begun = self._ways(snapshot)
            await look_for_credentials(snapshot, edition.secrets)
            if approve is not None:
                await approve(snapshot)
            exits.pop_all()
        for queue in begun:
            queue.start()
        edition.queues = tuple(queues.values())
        edition.journal = snapshot.journal
        edition.loop = asyncio.get_running_loop()
        self._queues |= queues
        self._open |= {id(one.stage): one for one in new}
        self._all.append(edition)
        if telemetry is not None:
            telemetry.lead_to(edition.secrets.fetch)
        for one in snapshot.placed:
            one.link.lead_to(edition.secrets, snapshot.state, snapshot.domains)

    def _ways(self, snapshot: Snapshot) -> tuple[dict[int, RecordWay], Sequence[RecordWay]]:
        """How records get to whoever takes them, by the taker, and which of these ways are still to be started."""
        ways: dict[int, RecordWay] = {}
        begun: list[RecordWay] = []
        names: Counter[str] = Counter()
        telemetry = snapshot.telemetry
        for taker_id, taker in snapshot.takers:
            way = self._queues.get(id(taker))
            if snapshot.journal is not None and isinstance(taker, Logger) and taker.durable:
                names[taker.name] += 1
                if way is None or not snapshot.journal.brings(way):
                    count = names[taker.name]
                    key = taker.name if count == 1 else f"{taker.name}-{count}"
                    way = snapshot.journal.courier(taker_id, key, taker)
                    begun.append(way)
            elif telemetry is not None and taker is telemetry and telemetry.takes_at_once:
                way = way or DirectWay(taker_id, telemetry.take)
            elif not isinstance(way, RecordQueue):
                way = RecordQueue(taker_id, taker)
                begun.append(way)
            ways[id(taker)] = way
        return ways, begun

    def _retire(self, edition: Edition) -> None:
        """Close, in the background, what only this edition uses."""
        edition.on_idle = None
        if edition not in self._all:
            return
        self._all.remove(edition)
        used = {id(one.stage) for other in self._all for one in other.snapshot.placed}
        leaving = [one for one in edition.snapshot.placed if id(one.stage) not in used]
        for one in leaving:
            self._open.pop(id(one.stage), None)
        used_ways = {id(way) for other in self._all for way in other.queues}
        idle = [way for way in edition.queues if id(way) not in used_ways]
        self._queues = {taker: way for taker, way in self._queues.items() if id(way) in used_ways}
        snapshots = [other.snapshot for other in self._all]
        telemetry = edition.snapshot.telemetry
        if any(one.telemetry is telemetry for one in snapshots):
            telemetry = None
        journal = None if any(one.journal is edition.journal for one in self._all) else edition.journal
        if leaving or idle or journal is not None:
            self._own(_close(leaving, idle, telemetry, journal))


async def _open_stage(one: PlacedStage) -> None:
    try:
        await one.stage.open(one.context)
    except (ConfigError, PluginError, SecretNotFoundError):
        raise
    except Exception as failure:
        raise PluginError(f"{one.entry.id}: {one.stage.name!r} cannot be opened: {failure}") from failure


async def _close(
    leaving: Sequence[PlacedStage],
    queues: Sequence[RecordWay],
    telemetry: Telemetry | None,
    journal: Journal | None,
) -> None:
    """Flush, then close in reverse; a stage that fails to close does not keep the others open."""
    for queue in queues:
        await queue.aclose()
    if journal is not None:
        await journal.aclose()
    if telemetry is not None:
        await telemetry.aclose()
    for one in reversed(leaving):
        try:
            await one.aclose()
        except Exception:
            log.exception("%s: %r cannot be closed", one.entry.id, one.stage.name)
