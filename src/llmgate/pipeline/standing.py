"""How this process does: who is left out, and how far records are on their way. Read when somebody asks."""

from __future__ import annotations

from typing import TYPE_CHECKING

from llmgate.spec import Clock
from llmgate.telemetry.standing import Breaker, LoggerStanding, Standing

from .settling import RecordWay

if TYPE_CHECKING:
    from .reloading import Edition

__all__ = ["standing_of"]


async def standing_of(edition: Edition, clock: Clock) -> Standing:
    """How an edition does; to be asked in its event loop, since what it looks at changes there.

    Args:
        edition: The edition.
        clock: The time.
    """
    loggers = [await _logger(way, clock.now()) for way in edition.queues]
    journal = edition.journal
    return Standing(
        loggers,
        [Breaker(*one) for one in edition.snapshot.health.states(clock.monotonic())],
        None if journal is None else journal.down,
        0 if journal is None else journal.failed,
    )


async def _logger(way: RecordWay, now: float) -> LoggerStanding:
    waiting, size, since = await way.depth()
    oldest = None if since is None else max(0.0, now - since)
    return LoggerStanding(way.id, waiting, size, oldest, way.failing, way.dropped, way.failed)
