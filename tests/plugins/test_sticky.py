"""``llmgate-sticky`` in a gateway: found by its entry point, named by the configuration, three providers behind it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from typing import Any

import attrs
import pytest

from llmgate import Pipeline, Principal
from llmgate.spec import ConfigError
from llmgate.testing import FakeClock
from llmgate.testing.upstream import FakeUpstream

NAMES = ("one", "two", "three")


@attrs.frozen(eq=False)
class Gateway:
    """A pipeline, the providers behind it, and the clock of both."""

    pipeline: Pipeline
    upstreams: dict[str, FakeUpstream]
    clock: FakeClock

    async def served_by(self, principal: str = "me", **fields: Any) -> str:
        answer = await self.pipeline.complete(
            model="small",
            messages=[{"role": "user", "content": "Hello!"}],
            router="main",
            principal=Principal(id=principal, issuer="test"),
            **fields,
        )
        assert answer.exchange.provider_name is not None
        return answer.exchange.provider_name

    async def spread(self, **fields: Any) -> set[str]:
        return {await self.served_by(**fields) for _ in range(6)}


@pytest.fixture
async def gateway() -> AsyncIterator[Any]:
    """Makes gateways."""
    async with AsyncExitStack() as stack:

        async def make(**keys: Any) -> Gateway:
            upstreams = {name: await stack.enter_async_context(FakeUpstream()) for name in NAMES}
            chat = {"strategy": "sticky", "providers": list(NAMES), **keys}
            settings = {
                "providers": {
                    name: {"base-url": upstream.base_url, "keyless": True} for name, upstream in upstreams.items()
                },
                "routers": {"main": {"load-balance": {"chat": chat}}},
            }
            clock = FakeClock()
            pipeline = Pipeline.from_config(settings, environment={}, clock=clock)
            return Gateway(await stack.enter_async_context(pipeline), upstreams, clock)

        yield make


async def test_a_user_stays_and_users_are_spread(gateway):
    one = await gateway()
    homes = {user: await one.spread(user=user) for user in map(str, range(8))}
    assert all(len(home) == 1 for home in homes.values())
    assert set.union(*homes.values()) == set(NAMES)
    assert len(await one.spread() | await one.spread()) > 1, "without a user there is nothing to stay by"


async def test_a_stream_of_the_same_user_goes_where_its_answers_go(gateway):
    one = await gateway()
    home = await one.served_by(user="ann")
    before = len(one.upstreams[home].requests)
    messages = [{"role": "user", "content": "Hello!"}]
    async with one.pipeline.stream(model="small", messages=messages, router="main", user="ann") as chunks:
        assert "".join([chunk.text async for chunk in chunks])
    assert len(one.upstreams[home].requests) == before + 1


async def test_by_principal_and_by_label(gateway):
    one = await gateway(by="principal")
    assert len({await one.served_by(principal="ann", user=str(number)) for number in range(12)}) == 1
    assert len({await one.served_by(principal=str(number)) for number in range(12)}) == 3
    two = await gateway(by="session")
    assert len({await two.served_by(principal=str(number), metadata={"session": "s"}) for number in range(12)}) == 1
    assert len({await two.served_by(metadata={"session": str(number)}) for number in range(12)}) == 3


async def test_a_failure_moves_a_user_to_the_next_for_a_while(gateway):
    one = await gateway(release=30)
    home = await one.served_by(user="ann")
    one.upstreams[home].answer(503)
    second = await one.served_by(user="ann")
    assert second != home
    asked = len(one.upstreams[home].requests)
    assert await one.spread(user="ann") == {second}
    assert len(one.upstreams[home].requests) == asked, "who has failed is left alone"
    one.clock.advance(31)
    assert await one.spread(user="ann") == {home}


@pytest.mark.parametrize(("key", "value"), [("by", ""), ("release", -1), ("buy", "user")])
def test_a_wrong_key_is_named(key, value):
    chat = {"strategy": "sticky", "providers": ["echo"], key: value}
    with pytest.raises(ConfigError, match=rf"\b{key}\b"):
        Pipeline.from_config({"routers": {"main": {"load-balance": {"chat": chat}}}}, environment={})
