"""A store that cannot decide several claims in one step decides them in several, and leaves nothing of a refusal."""

from __future__ import annotations

from typing import Any

from llmgate.spec import NoConfig, Place, Rate, RateDecision, StateStore, Units
from llmgate.stages.state.memory import Memory, MemoryConfig

TEN = Rate(10, 1e6)


class Plain(StateStore[NoConfig]):
    """One that knows nothing of claims."""

    name = "plain"

    def __init__(self) -> None:
        super().__init__(NoConfig())
        self._inner = Memory(MemoryConfig())
        for word in ("acquire", "peek", "refund", "lease", "release", "add"):
            setattr(self, word, getattr(self._inner, word))

    async def acquire(self, key: str, rate: Rate, cost: float = 1, *, once: str | None = None) -> RateDecision:
        raise NotImplementedError

    add = counter = peek = refund = lease = release = put = get = delete = publish = acquire  # type: ignore[assignment]

    def subscribe(self, channel: str) -> Any:
        raise NotImplementedError


async def test_all_or_nothing() -> None:
    store = Plain()
    claims = (Units("a", TEN, 4), Place("p", "me", 1, 60), Units("b", TEN, 6))
    assert [one.allowed for one in await store.claim(claims)] == [True, True, True]
    refused = await store.claim((Units("a", TEN, 4), Place("p", "other", 1, 60), Units("b", TEN, 1)))
    assert [(one.allowed, one.retry_after) for one in refused] == [(True, 0), (False, 1)]
    assert (await store.peek("a", TEN, 0)).remaining == 6
    await store.give_back(claims)
    assert (await store.peek("b", TEN, 0)).remaining == 10
    assert await store.lease("p", "other", limit=1, ttl=60)


async def test_a_repeat_takes_nothing() -> None:
    store = Plain()
    first = await store.claim((Units("a", TEN, 4),), once="x")
    assert await store.claim((Units("a", TEN, 4),), once="x") == first
    assert (await store.peek("a", TEN, 0)).remaining == 6


async def test_what_is_given_back_again_is_given_back_once() -> None:
    store = Plain()
    await store.claim((Units("a", TEN, 4),))
    for _ in range(3):
        await store.give_back((Units("a", TEN, 1),), once="x")
    assert (await store.peek("a", TEN, 0)).remaining == 7
