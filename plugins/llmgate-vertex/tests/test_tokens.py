"""Tokens are got once for all who ask, renewed before they end, and asked for again only after a pause."""

from __future__ import annotations

import asyncio

import attrs
import pytest
from llmgate_vertex.tokens import Token, Tokens

from llmgate.spec import SecretNotFoundError, SecretRef
from llmgate.testing.clock import FakeClock

REF = SecretRef("google", "default")


@attrs.define
class Source:
    """Gives tokens numbered from 1, when it is let."""

    lifetime: float = 3600.0
    given: int = 0
    fails: bool = False
    gate: asyncio.Event = attrs.field(factory=asyncio.Event)

    async def get(self, ref: SecretRef) -> Token:
        self.given += 1
        number = self.given
        await self.gate.wait()
        if self.fails:
            raise SecretNotFoundError(f"{ref}: nobody answers")
        return Token(f"token-{number}", self.lifetime)


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def source() -> Source:
    source = Source()
    source.gate.set()
    return source


def tokens(clock: FakeClock, source: Source) -> Tokens:
    return Tokens(clock, source.get, ahead=300, pause=5)


async def test_all_who_wait_get_one_and_who_leaves_takes_it_from_nobody(clock: FakeClock, source: Source) -> None:
    source.gate.clear()
    kept = tokens(clock, source)
    waiting = [asyncio.create_task(kept.fetch(REF)) for _ in range(20)]
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    waiting[0].cancel()
    source.gate.set()
    found = await asyncio.gather(*waiting[1:])
    assert {one.reveal() for one in found} == {"token-1"}
    assert found[0].bearer
    assert source.given == 1


async def test_a_token_is_renewed_beside_those_who_use_it(clock: FakeClock, source: Source) -> None:
    kept = tokens(clock, source)
    await kept.fetch(REF)
    clock.advance(3299)
    assert (await kept.fetch(REF)).reveal() == "token-1"
    assert source.given == 1
    clock.advance(2)
    source.gate.clear()
    for _ in range(5):
        assert (await kept.fetch(REF)).reveal() == "token-1", "the old one is good for five minutes more"
    source.gate.set()
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert (await kept.fetch(REF)).reveal() == "token-2"
    assert source.given == 2
    await kept.aclose()


async def test_a_failure_to_renew_is_survived_while_the_old_one_is_good(clock: FakeClock, source: Source) -> None:
    kept = tokens(clock, source)
    await kept.fetch(REF)
    source.fails = True
    clock.advance(3400)
    for _ in range(3):
        assert (await kept.fetch(REF)).reveal() == "token-1"
        await asyncio.sleep(0)
        await asyncio.sleep(0)
    assert source.given == 2, "nobody is asked again within the pause"
    clock.advance(6)
    assert (await kept.fetch(REF)).reveal() == "token-1"
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert source.given == 3
    clock.advance(300)
    for _ in range(2):
        with pytest.raises(SecretNotFoundError, match="nobody answers"):
            await kept.fetch(REF)
    assert source.given == 4
    source.fails = False
    clock.advance(6)
    assert (await kept.fetch(REF)).reveal() == "token-5"


async def test_a_short_life_is_used_by_half(clock: FakeClock, source: Source) -> None:
    source.lifetime = 60
    kept = tokens(clock, source)
    await kept.fetch(REF)
    clock.advance(29)
    await kept.fetch(REF)
    await asyncio.sleep(0)
    assert source.given == 1
    assert (await kept.renew(REF)).reveal() == "token-2", "a refused token is exchanged at once"


async def test_closing_stops_what_is_under_way(clock: FakeClock, source: Source) -> None:
    source.gate.clear()
    kept = tokens(clock, source)
    waiting = asyncio.create_task(kept.fetch(REF))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    await kept.aclose()
    with pytest.raises(SecretNotFoundError, match="its secret store was closed"):
        await waiting


async def test_an_empty_token_is_none(clock: FakeClock) -> None:
    async def empty(_: SecretRef) -> Token:
        return Token("", 3600)

    with pytest.raises(SecretNotFoundError, match="is empty"):
        await Tokens(clock, empty, ahead=300, pause=5).fetch(REF)


async def test_what_nobody_foresaw_is_logged_and_named(clock: FakeClock, caplog: pytest.LogCaptureFixture) -> None:
    async def broken(_: SecretRef) -> Token:
        raise KeyError("a bug of a library's")

    with pytest.raises(SecretNotFoundError, match="see the log"):
        await Tokens(clock, broken, ahead=300, pause=5).fetch(REF)
    assert "a bug of a library's" in caplog.text
