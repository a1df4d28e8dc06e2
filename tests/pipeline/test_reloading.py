"""A running pipeline takes another configuration: no exchange fails, none sees two of them, nothing is lost."""

from __future__ import annotations

import asyncio
import gc
import itertools
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import attrs
import pytest

from llmgate import ConfigError, GatewayClosedError, ModelNotFoundError, Pipeline, PluginError
from llmgate.pipeline.blocking import BlockingPipeline
from llmgate.spec import (
    Interceptor,
    Logger,
    Record,
    SecretNotFoundError,
    SecretRef,
    StageContext,
    hookimpl,
)
from llmgate.testing.transport import ScriptedTransport
from scripted import CONFIG, ENVIRONMENT, MESSAGES, CollectingLogger, CollectingPlugin, completion


@attrs.frozen
class TaggedConfig:
    tag: str = ""
    fails: bool = False
    secret: SecretRef | None = None
    hold: bool = False


@attrs.define
class Life:
    """What became of every stage that the plugin of a test has made, in order; a stage may be held up by ``gate``."""

    gate: asyncio.Event | None = None
    opened: list[str] = attrs.field(factory=list)
    closed: list[str] = attrs.field(factory=list)
    made: list[Any] = attrs.field(factory=list)


class Lived:
    """Writes down when it is made, opened and closed."""

    life: Life
    config_class = TaggedConfig

    def __init__(self, config: TaggedConfig) -> None:
        super().__init__(config)  # type: ignore[call-arg]
        self.closed = False
        self.records: list[Record] = []
        self.life.made.append(self)

    async def open(self, context: StageContext) -> None:
        config = self.config  # type: ignore[attr-defined]
        self.context = context
        self.life.opened.append(config.tag)
        if config.hold and self.life.gate is not None:
            await self.life.gate.wait()
        if config.fails:
            raise OSError("no disk")
        if config.secret is not None:
            self.secret = (await context.fetch_secret(config.secret)).reveal()

    async def aclose(self) -> None:
        self.closed = True
        self.life.closed.append(self.config.tag)  # type: ignore[attr-defined]


class Tagging(Lived, Interceptor[TaggedConfig]):
    name = "tagging"

    async def before_request(self, exchange: Any, request: Any) -> Any:
        assert not self.closed, "a closed stage is asked"
        return request.labelled(before=self.config.tag)

    async def on_settle(self, exchange: Any) -> None:
        assert not self.closed, "a closed stage is told"
        exchange.notes(self.name)["settled"] = self.config.tag


class Tagged(Lived, Logger[TaggedConfig]):
    name = "tagged"

    async def record(self, record: Record) -> None:
        if self.life.gate is not None:
            await self.life.gate.wait()
        self.records.append(record)


class TaggedPlugin:
    """Registers both."""

    def __init__(self, life: Life) -> None:
        self.life = life

    @hookimpl
    def llmgate_register_interceptors(self) -> Any:
        return type("Tagging", (Tagging,), {"life": self.life})

    @hookimpl
    def llmgate_register_loggers(self) -> Any:
        return type("Tagged", (Tagged,), {"life": self.life})


def answers() -> list[Any]:
    return [completion() for _ in range(2000)]


def config(**changes: Any) -> dict[str, Any]:
    return {**CONFIG, **changes}


@asynccontextmanager
async def running(
    life: Life | None = None, environment: Any = None, **changes: Any
) -> AsyncIterator[tuple[Pipeline, ScriptedTransport]]:
    transport = ScriptedTransport(answers())
    async with Pipeline.from_config(
        config(**changes),
        environment=ENVIRONMENT if environment is None else environment,
        plugins=[CollectingPlugin(), TaggedPlugin(life or Life())],
        transport=transport,
    ) as pipeline:
        yield pipeline, transport


async def ask(pipeline: Pipeline, **fields: Any) -> Any:
    return await pipeline.complete(**{"model": "m", "router": "main", "messages": MESSAGES, **fields})


async def until(condition: Callable[[], Any]) -> None:
    async with asyncio.timeout(5):
        while not condition():
            await asyncio.sleep(0.005)


def tagging(*tags: str, **more: Any) -> list[dict[str, Any]]:
    return [{"use": "tagging", "tag": tag, **more} for tag in tags]


async def test_exchanges_go_on_while_the_configuration_changes_and_none_sees_two_of_them() -> None:
    """The tag of the interceptor, the model that the mapping gives and the logger belong to one configuration each."""

    def numbered(number: int) -> dict[str, Any]:
        router = {
            "load-balance": {"chat": {"strategy": "priority", "providers": ["alpha"]}},
            "model-mappings": {"m": [f"alpha/model-{number}"]},
        }
        return config(
            routers={"main": router},
            interceptors=tagging(f"{number}"),
            loggers=[{"use": "collecting"}, {"use": "tagged", "tag": f"log-{number}"}],
            providers={"alpha": {"base-url": "https://alpha.test/v1", "models": [f"model-{number}"]}},
        )

    class Slow:
        """Lets other tasks run in the middle of each exchange."""

        def __init__(self) -> None:
            self.inner = ScriptedTransport(answers())

        async def send(self, request: Any) -> Any:
            await asyncio.sleep(0.003)
            return await self.inner.send(request)

        async def aclose(self) -> None:
            await self.inner.aclose()

    life = Life()
    pipeline = Pipeline.from_config(
        numbered(0),
        environment=ENVIRONMENT,
        plugins=[CollectingPlugin(), TaggedPlugin(life)],
        transport=Slow(),  # type: ignore[arg-type]
    )
    done: list[Record] = []

    async def caller(count: int) -> None:
        for _ in range(count):
            async with pipeline.exchange() as frame:
                request = pipeline._request(
                    None, {"model": "m", "messages": MESSAGES}, "main", None, None, None, stream=False
                )
                await frame.send(request)
            record = frame.record
            done.append(record)
            used = record.attempts[0].model.removeprefix("model-")
            assert record.metadata["before"] == used
            assert frame.view.notes("tagging") == {"settled": used}

    async with pipeline:
        async with asyncio.TaskGroup() as callers:
            for _ in range(20):
                callers.create_task(caller(10))
            for number in range(1, 8):
                await pipeline.reload(numbered(number))
        collecting = pipeline.snapshot.loggers[0][1]
    assert len(done) == 200
    assert len({record.attempts[0].model for record in done}) > 2, "the reloads came in between"
    assert isinstance(collecting, CollectingLogger)
    assert {record.id for record in collecting.records} == {record.id for record in done}
    assert sorted(life.closed) == sorted(life.opened), "each was closed once"
    assert len(set(life.closed)) == len(life.closed)
    logged = {stage.config.tag.removeprefix("log-"): stage.records for stage in life.made if isinstance(stage, Logger)}
    for number, records in logged.items():
        assert all(record.attempts[0].model == f"model-{number}" for record in records)
    assert sum(map(len, logged.values())) == 200


async def test_a_wrong_configuration_changes_nothing_and_tells_everything() -> None:
    life = Life()
    async with running(life, interceptors=tagging("kept")) as (pipeline, _):
        before = pipeline.snapshot
        with pytest.raises(ConfigError) as caught:
            await pipeline.reload(config(routrs={}, server={"prt": 1}))
        assert len(caught.value.problems) == 2
        assert pipeline.snapshot is before
        await ask(pipeline)
        assert (life.opened, life.closed) == (["kept"], [])


async def test_a_stage_that_cannot_be_opened_keeps_the_old_and_closes_what_was_opened() -> None:
    life = Life()
    async with running(life, interceptors=tagging("old")) as (pipeline, _):
        before = pipeline.snapshot
        loggers = [{"use": "tagged", "tag": "never", "fails": True}]
        with pytest.raises(PluginError, match=r"loggers\[0\]: 'tagged' cannot be opened: no disk"):
            await pipeline.reload(config(interceptors=tagging("new"), loggers=loggers))
        assert pipeline.snapshot is before
        assert life.opened == ["old", "new", "never"]
        assert life.closed == ["never", "new"]
        await ask(pipeline)
        await pipeline.reload(config(interceptors=tagging("new")))
        assert (await ask(pipeline)).exchange.metadata["before"] == "new"


async def test_a_reload_that_is_given_up_closes_what_it_opened() -> None:
    gate = asyncio.Event()
    life = Life(gate)
    async with running(life) as (pipeline, _):
        before = pipeline.snapshot
        reload = asyncio.ensure_future(
            pipeline.reload(config(interceptors=[*tagging("new"), *tagging("holding", hold=True)]))
        )
        await until(lambda: "holding" in life.opened)
        reload.cancel()
        with pytest.raises(asyncio.CancelledError):
            await reload
        assert pipeline.snapshot is before
        assert life.closed == ["holding", "new"]
        gate.set()
        await pipeline.reload(config())


async def test_whoever_approves_sees_what_is_open_and_can_refuse_it() -> None:
    life = Life()
    async with running(life) as (pipeline, _):
        before = pipeline.snapshot

        async def refuse(snapshot: Any) -> None:
            assert snapshot is not before
            assert life.opened == ["new"]
            raise ConfigError("not this one")

        with pytest.raises(ConfigError, match="not this one"):
            await pipeline.reload(config(interceptors=tagging("new")), approve=refuse)
        assert pipeline.snapshot is before
        assert life.closed == ["new"]


async def test_routers_come_and_go() -> None:
    other = {"load-balance": {"chat": {"strategy": "priority", "providers": ["beta"]}}}
    async with running() as (pipeline, transport):
        with pytest.raises(ModelNotFoundError):
            await ask(pipeline, router="other")
        await pipeline.reload(config(routers={**CONFIG["routers"], "other": other}))
        await ask(pipeline, router="other")
        assert transport.requests[-1].url.startswith("https://beta.test")
        await pipeline.reload(config(routers={"other": other}))
        with pytest.raises(ModelNotFoundError):
            await ask(pipeline)


async def test_a_file_is_read_again(tmp_path: Path) -> None:
    path = tmp_path / "llmgate.yaml"
    dotenv = tmp_path / ".env"
    path.write_text("providers: {echo: {}}\n")
    async with Pipeline.from_config(path, environment={}, dotenv=dotenv) as pipeline:
        path.write_text("providers: {echo: {}, mine: {base-url: 'http://127.0.0.1:1/v1', keyless: true}}\n")
        assert list(pipeline.config.providers) == ["echo"]
        await pipeline.reload()
        assert list(pipeline.config.providers) == ["echo", "mine"]
        dotenv.write_text("GROQ_API_KEY=from-the-file\nLLMGATE__TIMEOUTS__CONNECT=7s\n")
        await pipeline.reload()
        assert list(pipeline.config.providers) == ["echo", "mine", "groq"]
        assert pipeline.config.timeouts.connect == 7
        path.write_text("providers: [")
        with pytest.raises(ConfigError, match=r"llmgate\.yaml:\d+:\d+: is not YAML"):
            await pipeline.reload()
        assert "mine" in pipeline.config.providers


async def test_what_the_configurations_describe_alike_is_kept_with_all_that_it_knows() -> None:
    """Latencies survive a change elsewhere; a provider keeps its object, for whatever is kept by it."""
    balance = {"strategy": "latency", "providers": ["alpha", "beta"]}
    main = {"load-balance": {"chat": balance}}
    async with running(routers={"main": main}) as (pipeline, _):
        for _ in range(4):
            await ask(pipeline)
        before = pipeline.snapshot
        strategy = before.routers["main"].balances
        providers = {**CONFIG["providers"], "beta": {"base-url": "https://elsewhere.test/v1"}, "gamma": {"use": "echo"}}
        await pipeline.reload(config(routers={"main": main}, providers=providers))
        after = pipeline.snapshot
        kept = {operation: one.strategy for operation, one in after.routers["main"].balances.items()}
        assert kept == {operation: one.strategy for operation, one in strategy.items()}
        (latency,) = kept.values()
        assert set(latency._scores) == {"alpha/m", "beta/m"}  # type: ignore[attr-defined]
        assert after.providers["alpha"] is before.providers["alpha"]
        assert after.runtimes[after.providers["alpha"]] is before.runtimes[before.providers["alpha"]]
        assert after.providers["beta"] is not before.providers["beta"]
        balance = {**balance, "decay": "1s"}
        await pipeline.reload(config(routers={"main": {"load-balance": {"chat": balance}}}))
        (fresh,) = pipeline.snapshot.routers["main"].balances.values()
        assert fresh.strategy is not latency


async def test_a_rotated_key_is_used_from_the_next_request_on() -> None:
    environment = dict(ENVIRONMENT)
    async with running(environment=environment) as (pipeline, transport):
        await ask(pipeline)
        environment["ALPHA_API_KEY"] = "rotated"
        await pipeline.reload()
        await ask(pipeline)
        other = config()
        other["providers"] = {
            **CONFIG["providers"],
            "alpha": {"base-url": "https://alpha.test/v1", "secret": "env:NEW"},
        }
        environment["NEW"] = "another"
        await pipeline.reload(other)
        await ask(pipeline)
    sent = [request.headers["authorization"] for request in transport.requests]
    assert sent == ["Bearer key-of-alpha", "Bearer rotated", "Bearer another"]
    assert len({request.pool for request in transport.requests}) == 3


async def test_what_only_old_exchanges_use_is_closed_once_after_the_last_of_them() -> None:
    life = Life()
    async with running(life, interceptors=tagging("one")) as (pipeline, _):
        first, second = pipeline.exchange(), pipeline.exchange()
        async with first:
            async with second:
                await pipeline.reload(config(interceptors=tagging("two")))
                await pipeline.reload(config(interceptors=tagging("three")))
                await until(lambda: life.closed == ["two"])
            await asyncio.sleep(0.02)
            assert life.closed == ["two"], "the first exchange still has the oldest"
        await until(lambda: life.closed == ["two", "one"])
    assert life.closed == ["two", "one", "three"]


async def test_a_frame_that_is_made_and_forgotten_keeps_nothing_open() -> None:
    life = Life()
    async with running(life, interceptors=tagging("one")) as (pipeline, _):
        frame = pipeline.exchange()
        await pipeline.reload(config(interceptors=tagging("two")))
        await asyncio.sleep(0.02)
        assert life.closed == []
        del frame
        gc.collect()
        await until(lambda: life.closed == ["one"])


async def test_no_record_is_lost_whether_its_logger_stays_or_goes() -> None:
    gate = asyncio.Event()
    life = Life(gate)
    loggers = [{"use": "tagged", "tag": "stays"}, {"use": "tagged", "tag": "goes"}]
    async with running(life, loggers=loggers) as (pipeline, _):
        stays, goes = (logger for _, logger in pipeline.snapshot.loggers)
        for _ in range(5):
            await ask(pipeline)
        await pipeline.reload(config(loggers=loggers[:1]))
        assert [logger for _, logger in pipeline.snapshot.loggers] == [stays]
        for _ in range(3):
            await ask(pipeline)
        assert life.closed == [], "its records are still waiting"
        gate.set()
        await until(lambda: life.closed == ["goes"])
        assert len(goes.records) == 5  # type: ignore[attr-defined]
    assert len(stays.records) == 8  # type: ignore[attr-defined]
    assert life.closed == ["goes", "stays"]


async def test_closing_the_pipeline_closes_every_edition_whoever_still_holds_on() -> None:
    life = Life()
    async with running(life, interceptors=tagging("one")) as (pipeline, _):
        frame = pipeline.exchange()
        await frame.__aenter__()
        await pipeline.reload(config(interceptors=tagging("two")))
        await pipeline.aclose()
        assert life.closed == ["one", "two"]
        await frame.__aexit__(None, None, None)
    await asyncio.sleep(0)
    assert life.closed == ["one", "two"]


async def test_a_closed_pipeline_cannot_be_reloaded() -> None:
    async with running() as (pipeline, _):
        await pipeline.aclose()
        with pytest.raises(GatewayClosedError, match="not open"):
            await pipeline.reload()


async def test_reloads_take_turns_and_closing_waits_for_the_one_that_runs() -> None:
    gate = asyncio.Event()
    life = Life(gate)
    async with running(life) as (pipeline, _):
        first = asyncio.ensure_future(pipeline.reload(config(interceptors=tagging("a", hold=True))))
        second = asyncio.ensure_future(pipeline.reload(config(interceptors=tagging("b"))))
        await until(lambda: life.opened)
        closing = asyncio.ensure_future(pipeline.aclose())
        await asyncio.sleep(0.02)
        assert life.opened == ["a"]
        assert not closing.done()
        gate.set()
        await first
        with pytest.raises(GatewayClosedError):
            await second
        await closing
    assert life.closed == ["a"]


async def test_a_stage_that_fails_to_close_does_not_keep_the_others_open(caplog: pytest.LogCaptureFixture) -> None:
    life = Life()
    async with running(life, interceptors=tagging("one", "two")) as (pipeline, _):

        async def fail() -> None:
            raise OSError("stuck")

        life.made[1].aclose = fail
        await pipeline.reload(config())
        await until(lambda: life.closed == ["one"])
        assert "interceptors[1]: 'tagging' cannot be closed" in caplog.text


async def test_a_stage_that_stays_finds_the_stores_of_the_new_configuration() -> None:
    """A store that is replaced is closed: who has a secret from it fetches it anew, who asks later finds the new."""
    life = Life()
    environment = {**ENVIRONMENT, "KEY": "plain", "PROD_KEY": "of production"}
    stages = [
        {"use": "tagging", "tag": "fetched", "secret": "env:KEY"},
        {"use": "tagging", "tag": "later"},
    ]
    async with running(life, environment=environment, interceptors=stages) as (pipeline, _):
        await pipeline.reload(config(interceptors=stages, secrets={"env": {"prefix": "PROD_"}}))
        assert life.opened == ["fetched", "later", "fetched"], "what was fetched is fetched anew"
        await until(lambda: life.closed == ["fetched"])
        assert life.made[-1].secret == "of production"
        later = life.made[1]
        assert (await later.context.fetch_secret(SecretRef("env", "KEY"))).reveal() == "of production"
        await pipeline.reload(config(interceptors=stages))
        assert life.opened == ["fetched", "later", "fetched", "fetched", "later"]
        with pytest.raises(SecretNotFoundError):
            await life.made[-1].context.fetch_secret(SecretRef("env", "NOWHERE"))


async def test_a_hundred_reloads_leave_nothing_behind() -> None:
    life = Life()
    async with running(life) as (pipeline, _):
        tasks = len(asyncio.all_tasks())
        for number in range(100):
            await pipeline.reload(
                config(interceptors=tagging(f"{number}"), loggers=[{"use": "tagged", "tag": f"log-{number}"}])
            )
            await ask(pipeline)
        await until(lambda: len(life.closed) == 2 * 99)
        await until(lambda: len(asyncio.all_tasks()) <= tasks)
        editions = pipeline._editions
        assert len(editions._all) == 1
        assert len(editions._queues) == 1
        assert len(editions._open) == len(pipeline.snapshot.placed)
    counted = list(itertools.chain.from_iterable((f"{number}", f"log-{number}") for number in range(100)))
    assert sorted(life.closed) == sorted(counted)


def test_synchronous_code_can_reload_too(tmp_path: Path) -> None:
    path = tmp_path / "llmgate.yaml"
    path.write_text("providers: {echo: {}}\n")
    pipeline = Pipeline.from_config(path, environment={})
    with BlockingPipeline(pipeline) as blocking:
        path.write_text(
            "providers: {echo: {}}\nrouters: {r: {load-balance: {chat: {strategy: priority, providers: [echo]}}}}\n"
        )
        blocking.reload()
        assert list(pipeline.config.routers) == ["r"]
