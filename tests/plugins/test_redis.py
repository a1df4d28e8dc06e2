"""``llmgate-redis`` in a gateway: found by its entry point, named by the configuration, shared by two of them."""

from __future__ import annotations

import asyncio
import os
import socket
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import redis

from llmgate import Pipeline
from llmgate.spec import (
    ConfigError,
    Logger,
    NoConfig,
    NoDeploymentError,
    PluginError,
    ProviderError,
    Rate,
    Record,
    StageContext,
    StateStore,
    hookimpl,
)
from llmgate.testing.upstream import FakeUpstream

HOST, PORT = "127.0.0.1", 6379
MESSAGES = [{"role": "user", "content": "hello"}]
TEN = Rate(capacity=10, period=1e6)


class Seen:
    """A plugin with a logger that shows which store the configuration gave it."""

    def __init__(self) -> None:
        self.store: StateStore[Any] | None = None

    @hookimpl
    def llmgate_register_loggers(self) -> Any:
        seen = self

        class Looking(Logger[NoConfig]):
            name = "looking"

            async def open(self, context: StageContext) -> None:
                seen.store = context.state("shared")

            async def record(self, record: Record) -> None:
                """Nothing is written."""

        return Looking


@pytest.fixture
def prefix() -> Iterator[str]:
    own = f"llmgate-test:{os.getpid()}:{uuid.uuid4().hex}:"
    try:
        socket.create_connection((HOST, PORT), timeout=2).close()
    except OSError:
        pytest.skip(f"no Redis or Valkey answers at {HOST}:{PORT}: start one to run these tests")
    yield own
    with redis.Redis(host=HOST, port=PORT) as client:
        for name in client.scan_iter(match=f"{own}*", count=1000):
            client.delete(name)


def gateway(directory: Path, seen: Seen, *lines: str) -> Pipeline:
    path = directory / "llmgate.yaml"
    path.write_text(
        "\n".join(
            ["providers: {echo: {}}", "loggers: [{use: looking}]", "state:", "  shared:", "    use: redis", *lines]
        )
    )
    return Pipeline.from_config(path, environment={}, plugins=[seen])


async def test_two_gateways_grant_together_what_one_would(tmp_path, prefix):
    one, two = Seen(), Seen()
    lines = [f"    url: redis://{HOST}:{PORT}/0", f"    prefix: '{prefix}'", "    timeout: 500ms"]
    async with gateway(tmp_path, one, *lines), gateway(tmp_path, two, *lines):
        assert one.store is not None
        assert two.store is not None
        assert one.store is not two.store
        assert one.store.shared
        assert (await one.store.acquire("k", TEN, 7)).allowed
        assert not (await two.store.acquire("k", TEN, 7)).allowed
        assert (await two.store.acquire("k", TEN, 3)).allowed


async def test_a_gateway_does_not_start_without_its_server(tmp_path):
    with socket.create_server((HOST, 0)) as closed:
        port = closed.getsockname()[1]
    pipeline = gateway(tmp_path, Seen(), f"    url: redis://{HOST}:{port}/0")
    with pytest.raises(PluginError, match=rf"state\.shared: redis at 127\.0\.0\.1:{port} cannot be used: .*; start it"):
        await pipeline.open()
    assert not pipeline.ready


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        ("    url: redis://:hunter2@127.0.0.1:6379/0", r"llmgate\.yaml:6:\d+: .*password: env:NAME"),
        ("    timeout: 2s", r"llmgate\.yaml:6:\d+: 'timeout' must be"),
        ("    password: hunter2", r"llmgate\.yaml:6:\d+: 'password' .*reference"),
        ("    pasword: env:P", r"llmgate\.yaml:6:\d+: .*pasword.*password"),
    ],
    ids=["password-in-url", "slow", "written-out", "misspelt"],
)
def test_what_is_wrong_is_named_and_no_secret_shown(tmp_path, line, sentence):
    with pytest.raises(ConfigError, match=sentence) as refused:
        gateway(tmp_path, Seen(), line)
    assert "hunter2" not in str(refused.value)


async def test_a_deployment_that_one_gateway_finds_dead_is_not_asked_by_the_other(prefix):
    async with FakeUpstream() as upstream:
        upstream.fault("status-503", times=3)
        settings = {
            "providers": {"one": {"base-url": upstream.base_url, "keyless": True}},
            "state": {"shared": {"use": "redis", "url": f"redis://{HOST}:{PORT}/0", "prefix": prefix}},
            "discover": {
                "monitor": {
                    "health": {
                        "grace-period": {"min-requests": 3},
                        "interval": "1m",
                        "probe-interval": "300ms",
                        "state": "shared",
                    }
                }
            },
        }
        pipelines = [Pipeline.from_config(settings, environment={}) for _ in range(3)]
        async with pipelines[0] as first, pipelines[1] as second, pipelines[2] as third:
            await asyncio.sleep(0.3)  # until all of them listen
            for _ in range(3):
                with pytest.raises(ProviderError):
                    await first.complete(model="one/m", messages=MESSAGES)
            await asyncio.sleep(0.1)
            for other in (second, third):
                with pytest.raises(NoDeploymentError):
                    await other.complete(model="one/m", messages=MESSAGES)
            deadline = asyncio.get_running_loop().time() + 20
            while "open" in {one.state: each for each in pipelines for one in await each.health()}:
                assert asyncio.get_running_loop().time() < deadline, "one probe, and all know what came of it"
                await asyncio.sleep(0.02)
            probes = [one for one in upstream.requests if one.method == "GET"]
            assert len(upstream.requests) - len(probes) == 3
            assert len(probes) == 1
            assert (await third.complete(model="one/m", messages=MESSAGES)).text
