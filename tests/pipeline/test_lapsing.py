"""A session is held to what its caller's key is good for, as long as it lasts."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import attrs
import pytest

from llmgate.pipeline.lapsing import until_lapsed
from llmgate.spec import AuthenticationError, AuthProvider, Credentials, GatewayError, NoConfig, Principal
from llmgate.testing import FakeClock

CREDENTIALS = Credentials.of("key")
JANE = Principal("jane", "keys", models=["a*"], scopes=("chat",), attributes={"since": 1})


class Keys(AuthProvider[NoConfig]):
    """Says what it is told to say."""

    name = "keys"

    def __init__(self, says: Principal | Exception | None) -> None:
        super().__init__(NoConfig())
        self.says = says
        self.asked = 0

    async def authenticate(self, credentials: Credentials) -> Principal | None:
        assert credentials is CREDENTIALS
        self.asked += 1
        if isinstance(self.says, Exception):
            raise self.says
        return self.says


async def watched(keys: Keys, others: Sequence[Keys] | None = None) -> tuple[asyncio.Task[str], FakeClock]:
    clock = FakeClock()
    task = asyncio.create_task(until_lapsed(lambda: others or [keys], CREDENTIALS, JANE, clock, 1.0))
    for seconds in (0.0, 0.9, 0.1, 1.0):
        await clock.advance(seconds)
    return task, clock


@pytest.mark.parametrize(
    "says",
    [
        JANE,
        attrs.evolve(JANE, models=("a*",), scopes=["chat"]),
        attrs.evolve(JANE, attributes={"since": 2}),
        GatewayError("the database does not answer"),
    ],
)
async def test_it_goes_on_while_the_key_is_good_or_nobody_can_say(says):
    keys = Keys(says)
    task, _ = await watched(keys)
    assert not task.done()
    assert keys.asked == 2
    task.cancel()


@pytest.mark.parametrize("says", [AuthenticationError(reason="revoked"), AuthenticationError(reason="ended"), None])
async def test_it_ends_when_the_key_is_refused_and_the_caller_is_not_told_why(says):
    task, _ = await watched(Keys(says))
    assert await task == "the key of this session is no longer good"


@pytest.mark.parametrize(
    "change",
    [{"id": "joe"}, {"issuer": "x"}, {"models": None}, {"models": ()}, {"denied_models": ("a*",)}, {"scopes": None}],
)
async def test_it_ends_when_the_key_may_do_other_things(change):
    task, _ = await watched(Keys(attrs.evolve(JANE, **change)))
    assert "may do other things now" in await task


async def test_it_is_the_providers_in_force_that_are_asked():
    others = [Keys(JANE)]
    task, clock = await watched(others[0], others)
    assert not task.done()
    others[:] = [Keys(AuthenticationError())]
    await clock.advance(1.0)
    assert await task
