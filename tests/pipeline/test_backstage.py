"""Commands reach single stages of a configuration; nothing is opened but the stores that they ask."""

from __future__ import annotations

from typing import Any

import attrs
import pytest

from llmgate import Pipeline
from llmgate.pipeline.backstage import Backstage
from llmgate.spec import (
    AuthProvider,
    ConfigError,
    Credentials,
    Principal,
    SecretNotFoundError,
    SecretRef,
    StageContext,
    hookimpl,
)
from llmgate.stages.secrets.env import Env
from llmgate.stages.state.memory import Memory
from llmgate.testing.transport import ScriptedTransport

KEYS = {"use": "static-keys", "keys": [{"name": "a", "secret": "env:KEY_A"}]}


def make(**sections: Any) -> tuple[Pipeline, ScriptedTransport]:
    transport = ScriptedTransport()
    source = {"providers": {"echo": {}}, "auth": [KEYS, {"use": "anonymous"}], **sections}
    return Pipeline.from_config(source, environment={"KEY_A": "the-key-of-a"}, transport=transport), transport


async def test_a_stage_is_found_by_its_kind_and_class_with_a_way_to_its_secrets():
    pipeline, _ = make()
    async with Backstage(pipeline) as backstage:
        ((config, context),) = backstage.configured("auth", "static-keys")
        assert config.keys[0].name == "a"
        assert context.id == "auth[0]"
        assert (await context.fetch_secret(SecretRef("env", "KEY_A"))).reveal() == "the-key-of-a"
        assert backstage.configured("auth", "issued-keys") == []
        with pytest.raises(SecretNotFoundError, match="KEY_B"):
            await context.fetch_secret(SecretRef("env", "KEY_B"))
        with pytest.raises(SecretNotFoundError, match="nowhere:x names no configured store: use one of env, file"):
            await context.fetch_secret(SecretRef("nowhere", "x"))
        with pytest.raises(ConfigError, match="open_state"):
            context.state("memory")
    assert not pipeline.ready


async def test_a_store_is_opened_once_when_it_is_asked_and_closed_in_the_end(monkeypatch):
    told: list[str] = []

    def telling(stage: type[Any], what: str) -> Any:
        does = getattr(stage, what)

        async def tell(self: Any, *arguments: Any) -> None:
            told.append(f"{stage.__name__} {what}")
            await does(self, *arguments)

        return tell

    for stage in (Env, Memory):
        for what in ("open", "aclose"):
            monkeypatch.setattr(stage, what, telling(stage, what))
    pipeline, transport = make(state={"shared": {"use": "memory"}})
    async with Backstage(pipeline) as backstage:
        assert told == []
        for _ in range(2):
            await backstage.fetch_secret(SecretRef("env", "KEY_A"))
        store = await backstage.open_state("shared")
        await store.put("a", b"1")
        assert await (await backstage.open_state("shared")).get("a") == b"1"
        with pytest.raises(ConfigError, match="'other' is not configured"):
            await backstage.open_state("other")
        assert told == ["Env open", "Memory open"]
    assert told == ["Env open", "Memory open", "Memory aclose", "Env aclose"]
    assert transport.closed


async def test_auth_providers_are_opened_with_the_store_that_they_name_and_closed():
    @attrs.frozen
    class Config:
        state: str | None = None

    told: list[str] = []

    class Keys(AuthProvider[Config]):
        name = "keys-in-a-store"
        config_class = Config

        async def open(self, context: StageContext) -> None:
            told.append("open")
            if self.config.state:
                await context.state(self.config.state).put("a", b"1")

        async def aclose(self) -> None:
            told.append("closed")

        async def authenticate(self, credentials: Credentials) -> Principal | None:
            return None

    class Plugin:
        @hookimpl
        def llmgate_register_auth_providers(self) -> type[Keys]:
            return Keys

    source = {
        "providers": {"echo": {}},
        "state": {"shared": {"use": "memory"}},
        "auth": [KEYS, {"use": "keys-in-a-store", "state": "shared"}],
    }
    pipeline = Pipeline.from_config(
        source, environment={"KEY_A": "the-key-of-a"}, transport=ScriptedTransport(), plugins=[Plugin()]
    )
    async with Backstage(pipeline) as backstage:
        opened = await backstage.open_auth()
        assert [type(one).name for one in opened] == ["static-keys", "keys-in-a-store"]
        assert await backstage.open_auth() == opened
        assert await (await backstage.open_state("shared")).get("a") == b"1"
        assert told == ["open"]
    assert told == ["open", "closed"]
