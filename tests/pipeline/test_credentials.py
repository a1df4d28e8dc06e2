from __future__ import annotations

import asyncio
from typing import Any

import attrs
import pytest

from llmgate.pipeline import credentials
from llmgate.pipeline.credentials import SecretBroker
from llmgate.spec import (
    Deployment,
    NoConfig,
    Provider,
    ProviderRow,
    Secret,
    SecretNotFoundError,
    SecretRef,
    SecretStore,
)
from llmgate.testing.clock import FakeClock


class DictStore(SecretStore[Any]):
    name = "dict"

    def __init__(self, values: dict[str, str]) -> None:
        super().__init__(NoConfig())
        self.values = values
        self.asked = 0

    async def fetch(self, ref: SecretRef) -> Secret:
        self.asked += 1
        if ref.path not in self.values:
            raise SecretNotFoundError(f"secret {ref} is not set: set the environment variable {ref.path}")
        return Secret(self.values[ref.path], ref=ref)


def deployment(name: str, *, keyless: bool = False) -> Deployment:
    secret = None if keyless else SecretRef("env", name.upper())
    provider = Provider(name, ProviderRow(name, name, None), f"https://{name}.test/v1", secret=secret)
    return Deployment(f"{name}/m", provider, "m")


async def test_a_missing_credential_names_the_provider_and_the_variable() -> None:
    broker = SecretBroker({"env": DictStore({})}, FakeClock())
    with pytest.raises(SecretNotFoundError, match=r"provider 'a' has no credential: .*variable A"):
        await broker.for_deployment(deployment("a"))


async def test_an_unknown_store_names_the_known_ones() -> None:
    broker = SecretBroker({"env": DictStore({})}, FakeClock())
    with pytest.raises(SecretNotFoundError, match="use one of env"):
        await broker.fetch(SecretRef("vault", "x"))


async def test_a_keyless_provider_needs_none() -> None:
    broker = SecretBroker({}, FakeClock())
    assert await broker.for_deployment(deployment("local", keyless=True)) is None


async def test_deployments_that_lacked_their_key_are_passed_over_for_a_moment() -> None:
    clock = FakeClock()
    broker = SecretBroker({"env": DictStore({"B": "key"})}, clock)
    a, b = deployment("a"), deployment("b")
    assert await broker.usable([a, b]) == [a, b]
    with pytest.raises(SecretNotFoundError):
        await broker.for_deployment(a)
    assert broker.lacks(a.provider)
    assert await broker.usable([a, b]) == [b]
    assert await broker.usable([a]) == [a], "the only one is kept, so that the error can name it"
    clock.advance(10)
    assert await broker.usable([a, b]) == [a, b]


async def test_a_key_that_appears_is_believed() -> None:
    store = DictStore({})
    broker = SecretBroker({"env": store}, FakeClock())
    with pytest.raises(SecretNotFoundError):
        await broker.for_deployment(deployment("a"))
    store.values["A"] = "key"
    secret = await broker.for_deployment(deployment("a"))
    assert secret is not None
    assert secret.reveal() == "key"
    assert not broker.lacks(deployment("a").provider)


class CachingStore(DictStore):
    """Gives what it gave before until it is told to look again."""

    def __init__(self, values: dict[str, str]) -> None:
        super().__init__(values)
        self.given: dict[str, Secret] = {}
        self.refreshed = 0

    async def fetch(self, ref: SecretRef) -> Secret:
        if ref.path not in self.given:
            self.given[ref.path] = await super().fetch(ref)
        return self.given[ref.path]

    async def refresh(self, ref: SecretRef) -> Secret:
        self.refreshed += 1
        await asyncio.sleep(0)
        self.given.pop(ref.path, None)
        return await self.fetch(ref)


async def refused_key(broker: SecretBroker, one: Deployment) -> Secret:
    secret = await broker.for_deployment(one)
    assert secret is not None
    return secret


async def test_a_refused_key_that_has_been_exchanged_is_worth_a_try() -> None:
    store = CachingStore({"A": "old", "B": "key"})
    broker = SecretBroker({"env": store}, FakeClock())
    a, b = deployment("a"), deployment("b")
    old = await refused_key(broker, a)
    store.values["A"] = "new"
    new = await broker.after_refusal(a, old, 401)
    assert new is not None
    assert new.reveal() == "new"
    assert await broker.usable([a, b]) == [a, b]


async def test_the_same_key_is_left_out_for_a_while() -> None:
    clock, store = FakeClock(), CachingStore({"A": "bad", "B": "key"})
    broker = SecretBroker({"env": store}, clock, cool_down=30.0)
    a, b = deployment("a"), deployment("b")
    assert await broker.after_refusal(a, await refused_key(broker, a), 401) is None
    assert await broker.usable([a, b]) == [b]
    assert await broker.usable([a]) == [a], "nobody else is there"
    clock.advance(29.9)
    assert await broker.usable([a, b]) == [b]
    clock.advance(0.2)
    assert await broker.usable([a, b]) == [a, b]


async def test_a_cooled_key_that_is_exchanged_is_noticed_before_its_time() -> None:
    store = DictStore({"A": "bad", "B": "key"})
    broker = SecretBroker({"env": store}, FakeClock())
    a, b = deployment("a"), deployment("b")
    assert await broker.after_refusal(a, await refused_key(broker, a), 401) is None
    assert await broker.usable([a, b]) == [b]
    store.values["A"] = "good"
    assert await broker.usable([a, b]) == [a, b]


async def test_a_401_is_about_the_key_and_a_403_about_what_it_may_do() -> None:
    broker = SecretBroker({"env": DictStore({"A": "bad", "B": "key"})}, FakeClock())
    a, b = deployment("a"), deployment("b")
    other = attrs.evolve(a, id="a/other", model="other")
    await broker.after_refusal(a, await refused_key(broker, a), 403)
    assert await broker.usable([a, other, b]) == [other, b]
    await broker.after_refusal(a, await refused_key(broker, a), 401)
    assert await broker.usable([a, other, b]) == [b]


async def test_of_many_requests_that_are_refused_at_once_one_asks_the_store() -> None:
    store = CachingStore({"A": "bad"})
    broker = SecretBroker({"env": store}, FakeClock())
    a = deployment("a")
    bad = await refused_key(broker, a)
    assert await asyncio.gather(*(broker.after_refusal(a, bad, 401) for _ in range(50))) == [None] * 50
    assert store.refreshed == 1


async def test_of_many_requests_whose_key_has_been_exchanged_one_asks_the_store() -> None:
    store = CachingStore({"A": "old"})
    broker = SecretBroker({"env": store}, FakeClock())
    a = deployment("a")
    old = await refused_key(broker, a)
    store.values["A"] = "new"
    found = await asyncio.gather(*(broker.after_refusal(a, old, 401) for _ in range(50)))
    assert {one.reveal() for one in found if one is not None} == {"new"}
    assert None not in found
    assert store.refreshed == 1


async def test_a_store_that_fails_or_has_nothing_more_leaves_the_refusal_as_it_is(
    caplog: pytest.LogCaptureFixture,
) -> None:
    store = CachingStore({"A": "bad"})
    broker = SecretBroker({"env": store}, FakeClock())
    a = deployment("a")
    bad = await refused_key(broker, a)
    del store.values["A"]
    assert await broker.after_refusal(a, bad, 403) is None

    async def broken(ref: SecretRef) -> Secret:
        raise OSError("the vault is sealed")

    store.given["A"] = bad
    store.refresh = broken  # type: ignore[method-assign]
    assert await broker.after_refusal(a, bad, 401) is None
    assert "cannot be refreshed" in caplog.text


async def test_the_memory_of_refusals_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(credentials, "MOST_COOLED", 2)
    broker = SecretBroker({"env": DictStore(dict.fromkeys("ABCD", "k"))}, FakeClock())
    every = [deployment(name) for name in "abcd"]
    for one in every[:3]:
        broker.cool(one, await refused_key(broker, one), 401)
    assert await broker.usable(every) == [every[0], every[3]]
