"""Secrets are got once for all who ask, fetched again in time, and used on while their source does not answer."""

from __future__ import annotations

import asyncio
from typing import Any

import attrs
import pytest

from llmgate.spec import (
    Secret,
    SecretCache,
    SecretCaching,
    SecretNotFoundError,
    SecretRef,
    SecretUnavailableError,
    secret_cache,
)
from llmgate.testing.clock import FakeClock

REF = SecretRef("vault", "openai")


@attrs.define
class Source:
    """Gives secrets numbered from 1, when it is let; those with a lifetime are tokens."""

    lifetime: float | None = None
    given: int = 0
    renewed: int = 0
    failure: Exception | None = None
    value: str = ""
    gate: asyncio.Event = attrs.field(factory=asyncio.Event)

    async def get(self, ref: SecretRef) -> Secret:
        self.given += 1
        number = self.given
        await self.gate.wait()
        if self.failure is not None:
            raise self.failure
        return Secret(self.value or f"value-{number}", ref=ref, lifetime=self.lifetime)

    async def renew(self, ref: SecretRef) -> Secret:
        self.renewed += 1
        return await self.get(ref)


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def source() -> Source:
    source = Source()
    source.gate.set()
    return source


def cache(clock: FakeClock, source: Source, **caching: float) -> SecretCache:
    return SecretCache(source.get, SecretCaching(**caching), clock, renew=source.renew)


async def turn() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


async def test_all_who_wait_get_one_and_who_leaves_takes_it_from_nobody(clock: FakeClock, source: Source) -> None:
    source.gate.clear()
    kept = cache(clock, source)
    waiting = [asyncio.create_task(kept.fetch(REF)) for _ in range(20)]
    await turn()
    waiting[0].cancel()
    source.gate.set()
    found = await asyncio.gather(*waiting[1:])
    assert {one.reveal() for one in found} == {"value-1"}
    assert source.given == 1


async def test_a_secret_is_fetched_again_when_it_is_due(clock: FakeClock, source: Source) -> None:
    kept = cache(clock, source, refresh=60)
    await kept.fetch(REF)
    clock.advance(59.9)
    assert (await kept.fetch(REF)).reveal() == "value-1"
    clock.advance(0.1)
    assert {one.reveal() for one in await asyncio.gather(*(kept.fetch(REF) for _ in range(20)))} == {"value-2"}
    assert source.given == 2


async def test_who_asks_a_slow_source_waits_a_moment_and_goes_on_with_what_is_known(
    clock: FakeClock, source: Source
) -> None:
    kept = cache(clock, source, refresh=60, patience=0.01)
    await kept.fetch(REF)
    clock.advance(60)
    source.gate.clear()
    assert (await kept.fetch(REF)).reveal() == "value-1"
    clock.advance(0.02)
    assert (await kept.fetch(REF)).reveal() == "value-1", "nobody waits for it a second time"
    assert source.given == 2
    source.gate.set()
    await turn()
    assert (await kept.fetch(REF)).reveal() == "value-2"


async def test_the_last_value_is_used_while_nobody_answers_and_no_longer_than_that(
    clock: FakeClock, source: Source, caplog: pytest.LogCaptureFixture
) -> None:
    kept = cache(clock, source, refresh=60, stale=3600, pause=5)
    await kept.fetch(REF)
    source.failure = SecretUnavailableError(f"{REF}: nobody answers")
    clock.advance(60)
    for _ in range(3):
        assert (await kept.fetch(REF)).reveal() == "value-1"
    assert source.given == 2, "nobody is asked again within the pause"
    assert "vault:openai is used on: vault:openai: nobody answers" in caplog.text
    assert "value-1" not in caplog.text
    clock.advance(3594)
    assert (await kept.fetch(REF)).reveal() == "value-1"
    clock.advance(6)
    for _ in range(2):
        with pytest.raises(SecretUnavailableError, match="nobody answers"):
            await kept.fetch(REF)
    source.failure = None
    clock.advance(5)
    assert (await kept.fetch(REF)).reveal().startswith("value-")


async def test_a_secret_that_is_gone_is_used_no_longer(clock: FakeClock, source: Source) -> None:
    kept = cache(clock, source, refresh=60, pause=5)
    await kept.fetch(REF)
    source.failure = SecretNotFoundError(f"{REF} is not there: create it")
    clock.advance(60)
    for _ in range(3):
        with pytest.raises(SecretNotFoundError, match="create it") as gone:
            await kept.fetch(REF)
        assert not isinstance(gone.value, SecretUnavailableError)
    assert source.given == 2
    source.failure = None
    clock.advance(5)
    assert (await kept.fetch(REF)).reveal() == "value-3"


async def test_a_refused_secret_is_asked_for_past_every_cache(clock: FakeClock, source: Source) -> None:
    kept = cache(clock, source)
    await kept.fetch(REF)
    assert (await kept.refresh(REF)).reveal() == "value-2"
    assert (await kept.fetch(REF)).reveal() == "value-2"
    assert source.renewed == 1
    source.failure = SecretUnavailableError(f"{REF}: nobody answers")
    with pytest.raises(SecretUnavailableError):
        await kept.refresh(REF)
    assert (await kept.fetch(REF)).reveal() == "value-2"


async def test_a_fetch_that_began_before_the_refusal_does_not_answer_it(clock: FakeClock, source: Source) -> None:
    source.gate.clear()
    kept = cache(clock, source)
    fetching = asyncio.create_task(kept.fetch(REF))
    await turn()
    refreshing = [asyncio.create_task(kept.refresh(REF)) for _ in range(10)]
    await turn()
    source.gate.set()
    assert (await fetching).reveal() == "value-1"
    assert {one.reveal() for one in await asyncio.gather(*refreshing)} == {"value-2"}


async def test_a_token_is_renewed_beside_those_who_use_it(clock: FakeClock, source: Source) -> None:
    source.lifetime = 3600
    kept = cache(clock, source, refresh=60)
    await kept.fetch(REF)
    clock.advance(3299)
    assert (await kept.fetch(REF)).reveal() == "value-1"
    assert source.given == 1, "what has an end is good until then"
    clock.advance(2)
    source.gate.clear()
    for _ in range(5):
        assert (await kept.fetch(REF)).reveal() == "value-1", "the old one is good for five minutes more"
    source.gate.set()
    await turn()
    assert (await kept.fetch(REF)).reveal() == "value-2"
    assert source.given == 2
    await kept.aclose()


async def test_a_token_that_nobody_renews_ends(clock: FakeClock, source: Source) -> None:
    source.lifetime = 3600
    kept = cache(clock, source)
    await kept.fetch(REF)
    source.failure = SecretUnavailableError(f"{REF}: nobody answers")
    clock.advance(3400)
    for _ in range(3):
        assert (await kept.fetch(REF)).reveal() == "value-1"
        await turn()
    assert source.given == 2, "nobody is asked again within the pause"
    clock.advance(300)
    for _ in range(2):
        with pytest.raises(SecretUnavailableError, match="nobody answers"):
            await kept.fetch(REF)
    assert source.given == 3
    source.failure = None
    clock.advance(6)
    assert (await kept.fetch(REF)).reveal() == "value-4"


async def test_a_short_life_is_used_by_half(clock: FakeClock, source: Source) -> None:
    source.lifetime = 60
    kept = cache(clock, source)
    await kept.fetch(REF)
    clock.advance(29)
    await kept.fetch(REF)
    await turn()
    assert source.given == 1
    clock.advance(2)
    await kept.fetch(REF)
    await turn()
    assert source.given == 2


async def test_a_secret_that_has_been_seen_to_change_is_fetched_by_who_asks_next(
    clock: FakeClock, source: Source
) -> None:
    kept = cache(clock, source)
    kept.outdate(REF)
    await kept.fetch(REF)
    kept.outdate(REF)
    assert (await kept.fetch(REF)).reveal() == "value-2"
    assert (await kept.fetch(REF)).reveal() == "value-2"
    kept.outdate(REF)
    source.failure = SecretUnavailableError(f"{REF}: nobody answers")
    assert (await kept.fetch(REF)).reveal() == "value-2", "the last value is still there"
    kept.outdate(REF)
    source.failure = None
    assert (await kept.fetch(REF)).reveal().startswith("value-"), "a failure from before does not count"


async def test_a_secret_with_an_end_is_fetched_again_and_not_used_beyond_it(clock: FakeClock) -> None:
    given: list[float] = []

    async def ending(ref: SecretRef) -> Secret:
        if len(given) > 1:
            raise SecretUnavailableError(f"{ref}: nobody answers")
        given.append(clock.monotonic())
        return Secret("value", ref=ref, usable=100)

    kept = SecretCache(ending, SecretCaching(refresh=60, stale=3600, pause=5), clock)
    await kept.fetch(REF)
    clock.advance(60)
    await kept.fetch(REF)
    assert len(given) == 2, "it may be replaced long before its end"
    clock.advance(99)
    assert (await kept.fetch(REF)).reveal() == "value"
    clock.advance(1)
    with pytest.raises(SecretUnavailableError):
        await kept.fetch(REF)


async def test_closing_stops_what_is_under_way_and_forgets(clock: FakeClock, source: Source) -> None:
    kept = cache(clock, source)
    await kept.fetch(REF)
    source.gate.clear()
    waiting = asyncio.create_task(kept.refresh(REF))
    await turn()
    await kept.aclose()
    with pytest.raises(SecretUnavailableError, match="its secret store was closed"):
        await waiting
    source.gate.set()
    assert (await kept.fetch(REF)).reveal() == "value-3", "it can be opened again"
    await kept.aclose()
    await kept.aclose()


async def test_fetching_takes_no_longer_than_it_may(clock: FakeClock, source: Source) -> None:
    source.gate.clear()
    with pytest.raises(SecretUnavailableError, match=r"took more than 0\.01 seconds"):
        await cache(clock, source, timeout=0.01).fetch(REF)


async def test_an_empty_secret_is_none(clock: FakeClock) -> None:
    async def empty(_: SecretRef) -> Secret:
        return Secret("")

    with pytest.raises(SecretNotFoundError, match="is empty"):
        await SecretCache(empty, SecretCaching(), clock).fetch(REF)


async def test_what_nobody_foresaw_is_logged_and_named(
    clock: FakeClock, source: Source, caplog: pytest.LogCaptureFixture
) -> None:
    kept = cache(clock, source, refresh=1)
    await kept.fetch(REF)
    source.failure = KeyError("a bug of a library's")
    clock.advance(1)
    assert (await kept.fetch(REF)).reveal() == "value-1", "a bug is no reason to stop either"
    assert "a bug of a library's" in caplog.text
    with pytest.raises(SecretUnavailableError, match="see the log"):
        await kept.fetch(SecretRef("vault", "other"))


async def test_what_is_kept_is_bounded(clock: FakeClock, source: Source, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(secret_cache, "MOST_KEPT", 2)
    kept: Any = cache(clock, source)
    for name in "abc":
        await kept.fetch(SecretRef("vault", name))
    assert len(kept._kept) == 2


@pytest.mark.parametrize("wrong", [{"refresh": -1}, {"timeout": 0}, {"pause": -1}, {"patience": -1}, {"stale": -1}])
def test_nonsense_is_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        SecretCaching(**wrong)
