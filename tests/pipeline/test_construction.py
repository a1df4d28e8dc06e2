from __future__ import annotations

import socket
import subprocess
import threading
from pathlib import Path
from typing import Any, NoReturn

import attrs
import pytest

from llmgate import ConfigError, Pipeline
from llmgate.pipeline.construction import ConfigSource
from llmgate.spec import Logger, SecretRef, StageContext, hookimpl
from scripted import MESSAGES, OpenBench, completion


def logging_with(opened: Any) -> Any:
    """A plugin with the logger ``curious``, whose ``open`` is the given coroutine function."""

    class Curious(Logger[Any]):
        name = "curious"

        async def open(self, context: StageContext) -> None:
            await opened(context)

        async def record(self, record: Any) -> None: ...

    class Plugin:
        @hookimpl
        def llmgate_register_loggers(self) -> Any:
            return Curious

    return Plugin()


def test_making_a_pipeline_opens_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = {
        "providers": {"openai": {}, "echo": {}},
        "loggers": [{"use": "json-lines", "path": str(tmp_path / "records.jsonl")}],
        "auth": [{"use": "static-keys", "keys": [{"name": "a", "secret": "env:CALLER"}]}],
    }

    def refuse(*args: object, **kwargs: object) -> NoReturn:
        raise AssertionError("a configuration can be checked without running it")

    monkeypatch.setattr(socket.socket, "__init__", refuse)
    monkeypatch.setattr(threading.Thread, "start", refuse)
    monkeypatch.setattr(subprocess.Popen, "__init__", refuse)
    assert not Pipeline.from_config(settings, environment={}).ready
    assert list(tmp_path.iterdir()) == []


async def test_a_stage_reaches_secrets_and_state_that_were_made_after_its_context() -> None:
    seen: list[object] = []

    async def opened(context: StageContext) -> None:
        seen.append((await context.fetch_secret(SecretRef("env", "MINE"))).reveal())
        seen.append(await context.state("memory").add("counter", 2))

    settings = {"providers": {"echo": {}}, "loggers": [{"use": "curious"}]}
    async with Pipeline.from_config(settings, environment={"MINE": "value"}, plugins=[logging_with(opened)]):
        assert seen == ["value", 2]


async def test_a_state_store_that_is_not_configured_is_named_beside_those_that_are() -> None:
    async def opened(context: StageContext) -> None:
        context.state("shared")

    settings = {"providers": {"echo": {}}, "loggers": [{"use": "curious"}]}
    pipeline = Pipeline.from_config(settings, environment={}, plugins=[logging_with(opened)])
    with pytest.raises(ConfigError, match=r"'shared' is not configured.* memory"):
        await pipeline.open()


async def test_a_transport_handed_over_carries_every_request(bench: OpenBench) -> None:
    async with bench(completion()) as b:
        await b.pipeline.complete(model="alpha/m", messages=MESSAGES)
        assert b.transport.left == 0
    assert b.transport.closed, "it is closed with the pipeline"


def test_relative_paths_are_relative_to_the_configuration(tmp_path: Path) -> None:
    path = tmp_path / "llmgate.yaml"
    path.write_text("providers: {echo: {}}\n")
    assert Pipeline.from_config(path, environment={}).config.directory == tmp_path


class TestConfigSource:
    def source(self, source: Any, **environment: str) -> ConfigSource:
        return ConfigSource.of(source, environment, None, ())

    def test_reads_the_file_anew_each_time(self, tmp_path: Path) -> None:
        path = tmp_path / "llmgate.yaml"
        path.write_text("server: {port: 1111}\n")
        source = self.source(path)
        assert source.load().server.port == 1111
        path.write_text("server: {port: 2222}\n")
        assert source.load().server.port == 2222

    def test_a_router_is_judged_with_the_gateways_own_providers(self) -> None:
        source = self.source({"providers": {"mine": {"base-url": "http://10.0.0.1/v1", "keyless": True}}})
        balance = {"strategy": "priority", "providers": ["mine"]}
        assert source.problems_of_router({"load-balance": {"chat": balance}}) == ()
        balance["providers"] = ["theirs"]
        (problem,) = source.problems_of_router({"load-balance": {"chat": balance}})
        assert "theirs" in problem

    def test_judging_a_router_changes_nothing(self) -> None:
        source = self.source({"providers": {"echo": {}}})
        before = attrs.asdict(source.load())
        source.problems_of_router({"load-balance": {"chat": {"strategy": "no-such", "providers": ["echo"]}}})
        assert attrs.asdict(source.load()) == before
