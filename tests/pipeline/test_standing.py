"""How a process does is read from what is at work, at the time that is handed in."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from llmgate.pipeline.standing import standing_of
from llmgate.telemetry.standing import Breaker, LoggerStanding
from llmgate.testing import FakeClock


class Way:
    """How records come to a logger, of which two wait, the older one for five seconds."""

    id = "loggers[0]"
    failing, dropped, failed = True, 3, 4

    def __init__(self, since: float | None) -> None:
        self.since = since

    async def depth(self) -> tuple[int, int, float | None]:
        return 2, 100, self.since


def edition(since: float | None, journal: Any) -> Any:
    health = SimpleNamespace(states=lambda now: [("one/m", "open", now == 1000.0)])
    return SimpleNamespace(queues=[Way(since)], journal=journal, snapshot=SimpleNamespace(health=health))


async def test_it_is_what_the_parts_say() -> None:
    clock = FakeClock(now=50.0, monotonic=1000.0)
    found = await standing_of(edition(45.0, SimpleNamespace(down=True, failed=7)), clock)
    assert list(found.loggers) == [LoggerStanding("loggers[0]", 2, 100, 5.0, True, 3, 4)]
    assert list(found.breakers) == [Breaker("one/m", "open", True)]
    assert (found.journal_down, found.journal_failed) == (True, 7)


async def test_without_a_journal_it_is_neither_up_nor_down_and_no_age_is_negative() -> None:
    clock = FakeClock(now=50.0, monotonic=1000.0)
    found = await standing_of(edition(60.0, None), clock)
    assert found.loggers[0].oldest == 0.0
    assert (found.journal_down, found.journal_failed) == (None, 0)
    assert (await standing_of(edition(None, None), clock)).loggers[0].oldest is None
