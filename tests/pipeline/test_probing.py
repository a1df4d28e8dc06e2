"""A probe costs no tokens and tells whether somebody answers."""

from __future__ import annotations

from typing import Any

import attrs
import pytest

from llmgate.pipeline.probing import probe
from llmgate.spec import Deployment, ProviderConnectionError, ProviderTimeoutError
from llmgate.testing.transport import ScriptedAnswer, json_answer
from scripted import Bench, OpenBench


async def probed(b: Bench, deployment: Deployment) -> bool | None:
    return await probe(b.pipeline.snapshot, b.pipeline.secrets, deployment, timeout=2.0, now=0.0)


def alpha(b: Bench) -> Deployment:
    provider = b.pipeline.snapshot.providers["alpha"]
    return Deployment("alpha/m", provider, "m")


@pytest.mark.parametrize(
    ("answer", "passed"),
    [
        (json_answer({"data": []}), True),
        (json_answer({}, status=401), True),
        (json_answer({}, status=404), True),
        (json_answer({}, status=429), None),
        (json_answer({}, status=408), None),
        (json_answer({}, status=500), False),
        (json_answer({}, status=503), False),
        (ProviderConnectionError("refused"), False),
        (ProviderTimeoutError("silent"), False),
        (ScriptedAnswer(200, {}, [b"endless"] * 1000), True),
    ],
)
async def test_any_answer_but_a_server_error_will_do(bench: OpenBench, answer: Any, passed: bool | None) -> None:
    async with bench(answer) as b:
        assert await probed(b, alpha(b)) is passed
        (request,) = b.transport.requests
    assert (request.method, request.url, request.body or b"") == ("GET", "https://alpha.test/v1/models", b"")
    assert request.headers["authorization"] == "Bearer key-of-alpha"
    assert (request.timeouts.connect, request.timeouts.first_byte) == (2.0, 2.0)


async def test_a_vendor_without_a_list_is_asked_for_nothing_at_all(bench: OpenBench) -> None:
    async with bench(json_answer({}, status=404)) as b:
        known = alpha(b)
        bare = attrs.evolve(known.provider, row=attrs.evolve(known.provider.row, models_path=None))
        runtime = b.pipeline.snapshot.runtimes[known.provider]
        b.pipeline.snapshot.runtimes[bare] = attrs.evolve(runtime, provider=bare)  # type: ignore[index]
        assert await probed(b, Deployment("alpha/m", bare, "m")) is True
        assert [(one.method, one.url) for one in b.transport.requests] == [("HEAD", "https://alpha.test/v1")]


async def test_who_cannot_be_asked_is_not(bench: OpenBench) -> None:
    async with bench(environment={"BETA_API_KEY": "x"}) as b:
        assert await probed(b, alpha(b)) is None, "there is no key"
        gone = attrs.evolve(alpha(b).provider, base_url="https://gone.test/v1")
        assert await probed(b, Deployment("alpha/m", gone, "m")) is None, "it is configured no more"
        assert not b.transport.requests


async def test_an_embedded_model_has_no_address(bench: OpenBench) -> None:
    async with bench(providers={"echo": {}, "alpha": {"base-url": "https://alpha.test/v1"}}, routers={}) as b:
        echo = b.pipeline.snapshot.providers["echo"]
        assert await probed(b, Deployment("echo/m", echo, "m")) is None
