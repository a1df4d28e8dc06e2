from __future__ import annotations

from typing import Any

import pytest

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
    assert broker.usable([a, b]) == [a, b]
    with pytest.raises(SecretNotFoundError):
        await broker.for_deployment(a)
    assert broker.lacks(a.provider)
    assert broker.usable([a, b]) == [b]
    assert broker.usable([a]) == [a], "the only one is kept, so that the error can name it"
    clock.advance(10)
    assert broker.usable([a, b]) == [a, b]


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
