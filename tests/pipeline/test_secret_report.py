"""What an operator is told of secrets: at the start which providers lack one, on request where each reference leads."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import attrs
import pytest

from llmgate import Pipeline
from llmgate.spec import (
    ProviderConnectionError,
    Secret,
    SecretCaching,
    SecretNotFoundError,
    SecretRef,
    SecretStore,
    SecretUnavailableError,
    StageContext,
    hookimpl,
)
from llmgate.testing.clock import FakeClock
from llmgate.testing.transport import ScriptedTransport
from scripted import MESSAGES, completion


@attrs.frozen
class FarConfig:
    token: SecretRef | None = None
    fails: bool = False


class Far(SecretStore[FarConfig]):
    """A store that calls somebody: its secrets are kept by the pipeline."""

    name = "far"
    config_class = FarConfig
    values: dict[str, str]
    asked: list[str]
    answers: bool = True
    waiting: asyncio.Barrier | None = None

    @property
    def caching(self) -> SecretCaching:
        return SecretCaching(refresh=60)

    async def open(self, context: StageContext) -> None:
        if self.config.fails:
            raise OSError("no such socket")
        self.context = context

    async def fetch(self, ref: SecretRef) -> Secret:
        self.asked.append(ref.path)
        if self.waiting is not None:
            await self.waiting.wait()
        if self.config.token is not None:
            await self.context.fetch_secret(self.config.token)
        if not self.answers:
            raise SecretUnavailableError(f"{ref}: nobody answers")
        if ref.path not in self.values:
            raise SecretNotFoundError(f"{ref} is not there: create it")
        return Secret(self.values[ref.path], ref=ref, version="7")


class FarPlugin:
    def __init__(self, **values: str) -> None:
        self.store: Any = type("Far", (Far,), {"values": values, "asked": []})

    @hookimpl
    def llmgate_register_secret_stores(self) -> Any:
        return self.store


def provider(name: str) -> dict[str, Any]:
    return {"base-url": f"https://{name}.test/v1", "secret": f"far:{name}"}


def pipeline(plugin: FarPlugin, config: dict[str, Any], answers: Any = (), clock: Any = None) -> Pipeline:
    return Pipeline.from_config(
        {"secrets": {"far": {}}, **config},
        environment={"FAR_TOKEN": "canary-of-the-store"},
        plugins=[plugin],
        clock=clock or FakeClock(),
        transport=ScriptedTransport(answers),
    )


async def test_the_start_says_what_each_provider_is_missing(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    plugin = FarPlugin(a="canary")
    names = [{"providers": {"a": provider("a"), "b": provider("b"), "c": {**provider("b")}}}]
    async with pipeline(plugin, names[0]):
        pass
    said = [record.getMessage() for record in caplog.records if record.name == "llmgate.credentials"]
    assert said == ["provider 'b', 'c' has no credential: far:b is not there: create it"]
    assert sorted(plugin.store.asked) == ["a", "b"]
    assert "canary" not in caplog.text


async def test_all_are_looked_for_at_once() -> None:
    plugin = FarPlugin(a="1", b="2", c="3")
    plugin.store.waiting = asyncio.Barrier(3)
    async with asyncio.timeout(4), pipeline(plugin, {"providers": {name: provider(name) for name in "abc"}}):
        pass


async def test_each_request_has_the_secret_without_a_call() -> None:
    clock, plugin = FakeClock(), FarPlugin(a="key-1")
    answers = [completion() for _ in range(3)]
    async with pipeline(plugin, {"providers": {"a": provider("a")}}, answers, clock) as one:
        for _ in range(2):
            await one.complete(model="a/m", messages=MESSAGES)
        assert plugin.store.asked == ["a"]
        plugin.store.values["a"] = "key-2"
        clock.advance(60)
        await one.complete(model="a/m", messages=MESSAGES)
        sent = [request.headers["authorization"] for request in one._context.transport.requests]  # type: ignore[attr-defined]
    assert sent == ["Bearer key-1", "Bearer key-1", "Bearer key-2"]


async def test_a_reload_keeps_what_is_known_while_the_store_is_down() -> None:
    clock, plugin = FakeClock(), FarPlugin(a="key-1")
    config = {"secrets": {"far": {}}, "providers": {"a": provider("a")}}
    async with pipeline(plugin, config, [completion()], clock) as one:
        plugin.store.answers = False
        clock.advance(60)
        await one.reload({**config, "models": {"mine": ["a/m"]}})
        assert (await one.complete(model="mine", messages=MESSAGES)).text


async def test_a_store_that_lacks_its_own_token_does_not_say_that_its_secrets_are_gone() -> None:
    clock, plugin, environment = FakeClock(), FarPlugin(a="key-1"), {"FAR_TOKEN": "t"}
    config = {"secrets": {"far": {"token": "env:FAR_TOKEN"}}, "providers": {"a": provider("a")}}
    transport = ScriptedTransport([completion()])
    async with Pipeline.from_config(
        config, environment=environment, plugins=[plugin], clock=clock, transport=transport
    ) as one:
        del environment["FAR_TOKEN"]
        clock.advance(60)
        await one.complete(model="a/m", messages=MESSAGES)
        with pytest.raises(SecretUnavailableError, match="env:FAR_TOKEN: FAR_TOKEN is not set"):
            await one.secrets.fetch(SecretRef("far", "other"))


async def test_every_reference_is_looked_at_and_only_the_stores_are_opened() -> None:
    plugin = FarPlugin(a="canary")
    config = {
        "secrets": {"far": {"token": "env:FAR_TOKEN"}, "broken": {"use": "far", "fails": True}},
        "providers": {"a": provider("a"), "b": {**provider("b"), "secret": "broken:b"}},
        "auth": [{"use": "static-keys", "keys": [{"name": "x", "secret": "far:nobody"}]}],
    }
    found = {one.reference: one for one in await pipeline(plugin, config).check_secrets()}
    assert (found["far:a"].found, found["far:a"].version, found["far:a"].used_by) == (True, "7", ("provider a",))
    assert found["far:a"].store == "far"
    assert found["far:nobody"].used_by == ("auth[0]",)
    assert found["far:nobody"].problem == "far:nobody is not there: create it"
    assert found["env:FAR_TOKEN"].used_by == ("secrets.far",)
    assert found["broken:b"].problem == "secrets.broken cannot be opened: no such socket"
    assert "canary" not in repr(found)


async def test_an_open_pipeline_is_not_checked() -> None:
    async with pipeline(FarPlugin(a="1"), {"providers": {"a": provider("a")}}) as one:
        with pytest.raises(RuntimeError, match="is open already"):
            await one.check_secrets()


async def test_a_store_that_breaks_does_not_stop_the_start(caplog: pytest.LogCaptureFixture) -> None:
    class Uncached(Far):
        caching = None  # type: ignore[assignment]

        async def fetch(self, ref: SecretRef) -> Secret:
            raise ProviderConnectionError("a bug")

    plugin = FarPlugin()
    plugin.store = Uncached
    async with pipeline(plugin, {"providers": {"a": provider("a")}}):
        pass
    assert "the credential far:a of a cannot be looked for" in caplog.text


async def test_each_of_several_keys_is_looked_for(caplog: pytest.LogCaptureFixture) -> None:
    plugin = FarPlugin(a="1")
    config = {"providers": {"p": {"base-url": "https://p.test/v1", "secrets": ["far:a", "far:b"]}}}
    found = {one.reference: one for one in await pipeline(plugin, config).check_secrets()}
    assert (found["far:a"].found, found["far:b"].found) == (True, False)
    assert found["far:b"].used_by == ("provider p",)
    async with pipeline(plugin, config):
        pass
    assert "provider 'p' has no credential: far:b is not there" in caplog.text
