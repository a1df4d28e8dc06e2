from __future__ import annotations

import asyncio

from llmgate.stages.interceptors.cache.flights import Flights, Landing

PLACE = ("k", 0)


async def test_those_who_wait_get_what_lands() -> None:
    flights = Flights()
    flights.start(PLACE)
    waiting = [asyncio.create_task(flights.landing(PLACE, 30)) for _ in range(3)]
    await asyncio.sleep(0)
    landing = Landing(None, left=True)
    flights.land(PLACE, landing)
    assert await asyncio.gather(*waiting) == [landing] * 3
    assert await flights.landing(PLACE, 0) is landing
    flights.close(PLACE)
    assert PLACE not in flights
    assert len(flights) == 0


async def test_one_that_nobody_has_waited_for_is_told_to_who_comes_later() -> None:
    flights = Flights()
    flights.start(PLACE)
    landing = Landing(None, left=True)
    flights.land(PLACE, landing)
    assert await flights.landing(PLACE, 30) is landing
    flights.close(PLACE)
    assert PLACE not in flights
    flights.start(PLACE)
    waiting = asyncio.create_task(flights.landing(PLACE, 30))
    await asyncio.sleep(0)
    flights.close(PLACE)
    assert await waiting == Landing(None), "closed without a word: nobody waits for ever"


async def test_waiting_has_an_end_and_one_who_gives_up_disturbs_nobody() -> None:
    flights = Flights()
    flights.start(PLACE)
    assert await flights.landing(PLACE, 0) is None
    gone = asyncio.create_task(flights.landing(PLACE, 30))
    stays = asyncio.create_task(flights.landing(PLACE, 30))
    await asyncio.sleep(0)
    gone.cancel()
    await asyncio.sleep(0)
    flights.close(PLACE)
    assert await stays == Landing(None)


async def test_what_was_closed_a_moment_ago_is_remembered_within_bounds() -> None:
    flights = Flights()
    before = flights.closed
    flights.start(PLACE)
    flights.clear()
    flights.close(PLACE)
    assert flights.closed_since(PLACE, before)
    assert not flights.closed_since(PLACE, flights.closed)
    for number in range(5000):
        flights.start(("x", number))
        flights.close(("x", number))
    assert not flights.closed_since(PLACE, before)
