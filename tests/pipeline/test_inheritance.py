"""What of one configuration's stages and providers the next one uses again, and what it does not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import attrs
import pytest

from llmgate import Pipeline
from llmgate.pipeline.snapshot import Snapshot
from llmgate.spec import Interceptor, SecretRef, SecretStore, StageContext, hookimpl
from llmgate.testing.transport import ScriptedTransport
from scripted import CONFIG, ENVIRONMENT, CollectingPlugin


@attrs.frozen
class ReachingConfig:
    secret: SecretRef | None = None
    state: str | None = None


class Reaching(Interceptor[ReachingConfig]):
    """Uses a secret or a state store when it opens."""

    name = "reaching"
    config_class = ReachingConfig

    async def open(self, context: StageContext) -> None:
        if self.config.secret is not None:
            await context.fetch_secret(self.config.secret)
        if self.config.state is not None:
            context.state(self.config.state)


class Onward(SecretStore[ReachingConfig]):
    """A secret store that gets its secrets from another one."""

    name = "onward"
    config_class = ReachingConfig

    async def open(self, context: StageContext) -> None:
        self.context = context
        assert self.config.secret is not None
        await context.fetch_secret(self.config.secret)

    async def fetch(self, ref: SecretRef) -> Any:
        assert self.config.secret is not None
        return await self.context.fetch_secret(self.config.secret)


class Plugin:
    @hookimpl
    def llmgate_register_interceptors(self) -> Any:
        return Reaching

    @hookimpl
    def llmgate_register_secret_stores(self) -> Any:
        return Onward


async def reloaded(old: dict[str, Any], new: dict[str, Any]) -> tuple[Snapshot, Snapshot]:
    """The snapshots of two configurations, the second loaded over the first."""
    async with Pipeline.from_config(
        {**CONFIG, **old},
        environment=ENVIRONMENT,
        plugins=[CollectingPlugin(), Plugin()],
        transport=ScriptedTransport(),
    ) as pipeline:
        before = pipeline.snapshot
        await pipeline.reload({**CONFIG, **new})
        return before, pipeline.snapshot


def kept(before: Snapshot, after: Snapshot) -> set[str]:
    """The ids of the stages that both have."""
    known = {id(stage) for _, stage in before.stages}
    return {stage_id for stage_id, stage in after.stages if id(stage) in known}


async def test_the_same_configuration_keeps_everything() -> None:
    before, after = await reloaded({}, {})
    assert [stage for _, stage in before.stages] == [stage for _, stage in after.stages]
    assert list(before.runtimes.values()) == list(after.runtimes.values())
    assert before is not after


async def test_stages_in_the_same_place_with_the_same_config_are_each_used_once() -> None:
    rules = {"use": "request-rules", "max-output-tokens": 5}
    before, after = await reloaded({"interceptors": [rules, rules]}, {"interceptors": [rules, rules]})
    first, second = (stage for stage_id, stage in after.stages if stage_id.startswith("interceptors"))
    assert first is not second
    assert kept(before, after) >= {"interceptors[0]", "interceptors[1]"}


async def test_a_changed_config_makes_a_new_stage_and_leaves_its_neighbours() -> None:
    old = [{"use": "request-rules", "max-output-tokens": 5}, {"use": "reaching"}]
    new = [{"use": "request-rules", "max-output-tokens": 6}, {"use": "reaching"}]
    before, after = await reloaded({"interceptors": old}, {"interceptors": new})
    assert "interceptors[0]" not in kept(before, after)
    assert "interceptors[1]" in kept(before, after)


@pytest.mark.parametrize(
    "change",
    [
        {"base-url": "https://other.test/v1"},
        {"base-url": "https://alpha.test/v1", "models": ["x"]},
        {"base-url": "https://alpha.test/v1", "secret": "env:BETA_API_KEY"},
        {"base-url": "https://alpha.test/v1", "headers": {"x-team": "a"}},
        {"base-url": "https://alpha.test/v1", "timeouts": {"connect": "1s"}},
    ],
)
async def test_a_provider_is_the_same_object_only_while_all_of_it_is_the_same(change: dict[str, Any]) -> None:
    before, after = await reloaded({}, {"providers": {**CONFIG["providers"], "alpha": change}})
    assert after.providers["alpha"] is not before.providers["alpha"]
    assert after.providers["beta"] is before.providers["beta"]
    assert after.runtimes[after.providers["alpha"]].transport is before.runtimes[before.providers["alpha"]].transport
    member = next(iter(after.routers["main"].balances.values())).members[0]
    assert member.provider is after.providers["alpha"]


async def test_an_adapter_that_stays_keeps_its_own_transport() -> None:
    old = {"providers": {"echo": {"models": ["a"]}}, "routers": {}}
    new = {"providers": {"echo": {"models": ["b"]}}, "routers": {}}
    before, after = await reloaded(old, new)
    (was,), (now,) = before.runtimes.values(), after.runtimes.values()
    assert now.provider is not was.provider
    assert (now.adapter, now.transport) == (was.adapter, was.transport)


async def test_who_has_used_a_store_that_is_replaced_is_made_anew() -> None:
    interceptors = [
        {"use": "reaching", "state": "one"},
        {"use": "reaching", "state": "two"},
        {"use": "reaching", "secret": "env:ALPHA_API_KEY"},
    ]
    old = {"interceptors": interceptors, "state": {"one": {"use": "memory"}, "two": {"use": "memory"}}}
    new = {**old, "state": {"one": {"use": "memory", "max-entries": 5}, "two": {"use": "memory"}}}
    before, after = await reloaded(old, new)
    assert kept(before, after) >= {"state.two", "interceptors[1]", "interceptors[2]", "secrets.env"}
    assert not kept(before, after) & {"state.one", "interceptors[0]"}


async def test_a_store_that_rests_on_a_replaced_store_is_replaced_with_all_who_used_it() -> None:
    def secrets(refresh: str) -> dict[str, Any]:
        return {
            "env": {"use": "env", "refresh": refresh},
            "onward": {"use": "onward", "secret": "env:ALPHA_API_KEY"},
        }

    interceptors = [{"use": "reaching", "secret": "onward:x"}]
    before, after = await reloaded(
        {"interceptors": interceptors, "secrets": secrets("1s")},
        {"interceptors": interceptors, "secrets": secrets("2s")},
    )
    assert not kept(before, after) & {"secrets.env", "secrets.onward", "interceptors[0]"}
    assert "secrets.file" in kept(before, after)


async def test_nothing_is_kept_when_relative_paths_mean_something_else(tmp_path: Path) -> None:
    first, second = tmp_path / "a" / "llmgate.yaml", tmp_path / "b" / "llmgate.yaml"
    for path in (first, second):
        path.parent.mkdir()
        path.write_text("providers: {echo: {}}\nloggers: [{use: json-lines, path: records.jsonl}]\n")
    async with Pipeline.from_config(first, environment={}) as pipeline:
        before = pipeline.snapshot
        await pipeline.reload(second)
        assert kept(before, pipeline.snapshot) == set()
        assert (second.parent / "records.jsonl").exists()


async def test_what_a_retry_budget_has_spent_is_remembered_while_it_is_the_same() -> None:
    tight = {"retry-budget": {"floor": 1}}
    routers = {"main": {**CONFIG["routers"]["main"], **tight}}
    before, after = await reloaded({"routers": routers}, {"routers": routers, "global": tight})
    assert after.routers["main"].budget is before.routers["main"].budget
    assert after.routers["main"].budget is not after.unified.budget
    assert after.unified.budget is not before.unified.budget, "it has another rule now"
    assert after.failing is before.failing
