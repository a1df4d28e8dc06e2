"""Requests over a limit wait for their turn: first come first served, bounded in time and number."""

from __future__ import annotations

import asyncio
import contextlib

from llmgate.spec import RateDecision
from llmgate.stages.interceptors.rate_limit.account import Charge, Counted
from llmgate.stages.interceptors.rate_limit.config import LimitConfig
from llmgate.stages.interceptors.rate_limit.line import Lines
from llmgate.testing.clock import FakeClock

NEVER = float("inf")


def refusal(retry_after, *, unit="requests"):
    limit = Counted("a", "a", LimitConfig(1, None if unit == "concurrent" else 1.0, unit=unit), 1)
    return Charge(None, limit, limit.claim("k", 1, "h", FakeClock()), RateDecision(False, 0, retry_after, 1.0))


class Room:
    """Has room for so many, and remembers who got some."""

    def __init__(self, room, retry_after=1.0, unit="requests"):
        self.room, self.retry_after, self.unit, self.asked, self.got = room, retry_after, unit, 0, []

    def asker(self, name):
        async def ask():
            self.asked += 1
            if self.room == 0:
                return refusal(self.retry_after, unit=self.unit)
            self.room -= 1
            self.got.append(name)
            return None

        return ask


async def turns(count=20):
    for _ in range(count):
        await asyncio.sleep(0)


async def test_first_come_first_served_and_only_the_first_asks():
    clock, room = FakeClock(), Room(0)
    lines = Lines(clock, 60.0, 10)
    waiting = [asyncio.create_task(lines.wait("k", NEVER, room.asker(n))) for n in range(3)]
    await turns()
    assert (len(lines), room.asked, lines.before(["x", "k"])) == (3, 1, "k")
    room.room = 3
    await clock.advance(1)
    await asyncio.gather(*waiting)
    assert room.got == [0, 1, 2]
    assert (len(lines), lines.before(["k"])) == (0, None)


async def test_who_would_wait_too_long_is_told_at_once():
    clock, room = FakeClock(), Room(0, retry_after=30.0)
    await Lines(clock, 5.0, 10).wait("k", NEVER, room.asker("a"))
    assert (room.asked, room.got, clock.sleeping) == (1, [], 0)
    await Lines(clock, 60.0, 10).wait("k", clock.monotonic() + 5, room.asker("a"))
    assert (room.asked, clock.sleeping) == (2, 0), "nor past the time that the caller has"


async def test_a_full_line_takes_nobody():
    clock, room = FakeClock(), Room(0)
    lines = Lines(clock, 60.0, 1)
    waiting = asyncio.create_task(lines.wait("k", NEVER, room.asker("a")))
    await turns()
    with contextlib.suppress(TimeoutError):
        await lines.wait("k", NEVER, room.asker("b"))
        raise AssertionError("it was let in")
    waiting.cancel()
    await asyncio.wait({waiting})
    assert len(lines) == 0


async def test_a_place_that_comes_free_is_taken_at_once():
    clock, room = FakeClock(), Room(0, unit="concurrent")
    lines = Lines(clock, 60.0, 10)
    waiting = asyncio.create_task(lines.wait("k", NEVER, room.asker("a")))
    await turns()
    room.room = 1
    lines.freed("other")
    await turns()
    assert room.got == []
    lines.freed("k")
    await waiting
    assert room.got == ["a"]


async def test_one_that_another_process_gives_back_is_found():
    clock, room = FakeClock(), Room(0, unit="concurrent")
    waiting = asyncio.create_task(Lines(clock, 60.0, 10).wait("k", NEVER, room.asker("a")))
    await turns()
    room.room = 1
    await clock.advance(0.25)
    await waiting
    assert room.got == ["a"]


async def test_who_leaves_lets_the_next_one_go_on():
    clock, room = FakeClock(), Room(0)
    lines = Lines(clock, 60.0, 10)
    first, second = (asyncio.create_task(lines.wait("k", NEVER, room.asker(n))) for n in range(2))
    await turns()
    first.cancel()
    room.room = 1
    await second
    assert room.got == [1]


async def test_a_turn_that_does_not_come_ends_the_wait():
    room = Room(0, retry_after=0.001)
    lines = Lines(FakeClock(), 0.01, 10)
    first = asyncio.create_task(lines.wait("k", NEVER, room.asker("a")))
    await turns()
    with contextlib.suppress(TimeoutError):
        await lines.wait("k", NEVER, room.asker("b"))
    with contextlib.suppress(TimeoutError):
        await first
    assert (len(lines), room.got) == (0, [])
