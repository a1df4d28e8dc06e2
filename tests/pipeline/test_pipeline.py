from __future__ import annotations

from typing import Any

import pytest

from llmgate import ChatRequest, ConfigError, Message, Pipeline, PluginError, Role, Text
from llmgate.registry.discovery import EntryPointPlugin
from llmgate.spec import InvalidRequestError, Logger, Principal, hookimpl
from scripted import MESSAGES, OpenBench, completion


async def test_without_any_configuration_there_is_the_echo() -> None:
    async with Pipeline.from_config(environment={}) as pipeline:
        answer = await pipeline.complete(model="echo", messages=[{"role": "user", "content": "say it back"}])
        assert "say it back" in answer.text
        assert [entry.id for entry in await pipeline.models()] == ["echo/echo"]


async def test_providers_are_found_in_the_environment() -> None:
    async with Pipeline.from_config(environment={"GROQ_API_KEY": "k"}) as pipeline:
        assert list(pipeline.snapshot.unified.providers) == ["groq"]


async def test_a_canonical_request_is_as_good_as_keyword_arguments(bench: OpenBench) -> None:
    async with bench(completion(), completion()) as b:
        await b.pipeline.complete(ChatRequest("alpha/m", [Message(Role.USER, [Text("hello")])], temperature=0.5))
        await b.pipeline.complete(model="alpha/m", messages=MESSAGES, temperature=0.5)
        first, second = b.bodies
        assert first == second


@pytest.mark.parametrize(
    "fields", [{"model": "m"}, {"messages": MESSAGES}, {"model": "m", "messages": [], "stream": True}]
)
async def test_a_call_that_makes_no_sense_is_a_type_error(bench: OpenBench, fields: dict[str, Any]) -> None:
    async with bench() as b:
        with pytest.raises(TypeError):
            await b.pipeline.complete(**fields)


async def test_arguments_that_are_no_json_are_refused(bench: OpenBench) -> None:
    async with bench() as b:
        for value in (object(), float("nan")):
            with pytest.raises(InvalidRequestError):
                await b.pipeline.complete(model="alpha/m", messages=MESSAGES, temperature=value)


async def test_models_are_listed_by_the_names_that_can_be_asked_for(bench: OpenBench) -> None:
    providers = {
        "alpha": {"base-url": "https://alpha.test/v1", "models": ["small", "large"]},
        "beta": {"base-url": "https://beta.test/v1", "models": ["tiny"]},
    }
    async with bench(providers=providers) as b:
        assert [entry.id for entry in await b.pipeline.models()] == ["alpha/small", "alpha/large", "beta/tiny"]
        limited = Principal("p", models=["*/small", "tiny"])
        assert [entry.id for entry in await b.pipeline.models(principal=limited)] == ["alpha/small", "beta/tiny"]
        assert len(await b.pipeline.models(router="main")) == 3


async def test_a_provider_without_its_key_is_not_in_the_list(bench: OpenBench) -> None:
    providers = {"alpha": {"base-url": "https://alpha.test/v1", "models": ["small"]}}
    routers: dict[str, Any] = {}
    async with bench(providers=providers, routers=routers, environment={}) as b:
        assert await b.pipeline.models() == []


async def test_a_stage_that_cannot_be_opened_stops_the_start_and_closes_the_others() -> None:
    closed: list[str] = []

    class First(Logger[Any]):
        name = "first"

        async def record(self, record: Any) -> None: ...

        async def aclose(self) -> None:
            closed.append(self.name)

    class Second(First):
        name = "second"

        async def open(self, context: Any) -> None:
            raise OSError("no disk")

    class Plugin:
        @hookimpl
        def llmgate_register_loggers(self) -> Any:
            return [First, Second]

    pipeline = Pipeline.from_config(
        {"loggers": [{"use": "first"}, {"use": "second"}]}, environment={}, plugins=[Plugin()]
    )
    with pytest.raises(PluginError, match=r"loggers\[1\]: 'second' cannot be opened: no disk"):
        await pipeline.open()
    assert closed == ["second", "first"]
    assert not pipeline.ready
    await pipeline.aclose()


async def test_a_wrong_configuration_tells_everything_that_is_wrong() -> None:
    with pytest.raises(ConfigError) as caught:
        Pipeline.from_config({"routrs": {}, "server": {"prt": 1}}, environment={})
    assert len(caught.value.problems) == 2


async def test_a_router_can_be_validated_without_being_configured(bench: OpenBench) -> None:
    async with bench() as b:
        assert (
            b.pipeline.validate_router(
                b.pipeline and {"load-balance": {"chat": {"strategy": "latency", "providers": ["openai"]}}}
            )
            == ()
        )
        assert b.pipeline.validate_router({"load-balance": {"chat": {"strategy": "no-such", "providers": ["openai"]}}})


async def test_validating_a_router_loads_no_plugin(bench: OpenBench, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever asks is a caller, and what a caller writes runs no code that the operator has not named."""
    async with bench() as b:
        monkeypatch.setattr(EntryPointPlugin, "load", lambda self: pytest.fail(f"{self.name} was loaded"))
        router: dict[str, Any] = {"load-balance": {"chat": {"strategy": "latenci", "providers": ["openai"]}}}
        assert "is called 'latenci'" in b.pipeline.validate_router(router)[0]
        router["load-balance"]["chat"]["strategy"] = "latency"
        for name in ("semantic-cache", "semantic-cach"):
            problems = b.pipeline.validate_router({**router, "interceptors": [{"use": name}]})
            assert f"is called {name!r}" in problems[0]


async def test_two_pipelines_share_no_plugins() -> None:
    class Own(Logger[Any]):
        name = "own"

        async def record(self, record: Any) -> None: ...

    class Plugin:
        @hookimpl
        def llmgate_register_loggers(self) -> Any:
            return Own

    Pipeline.from_config({"loggers": [{"use": "own"}]}, environment={}, plugins=[Plugin()])
    with pytest.raises(ConfigError, match="own"):
        Pipeline.from_config({"loggers": [{"use": "own"}]}, environment={})
