"""The corpus answers the same through both doors: in process, and over HTTP on a real socket."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.resources import files
from typing import Any

import aiohttp
import pytest

import servers
from llmgate import GatewayError, Pipeline
from llmgate.host.app import create_app
from llmgate.host.server import bind, serve
from llmgate.testing.upstream import FakeUpstream

CORPUS = sorted(entry.name for entry in files("llmgate.testing").joinpath("corpus/chat").iterdir())
PATH = "/router/main/chat/completions"


def corpus(name: str, *, stream: bool) -> dict[str, Any]:
    request: dict[str, Any] = json.loads(files("llmgate.testing").joinpath("corpus/chat", name).read_text())
    request.pop("stream", None)
    if stream:
        return {**request, "stream": True}
    request.pop("stream_options", None)
    return request


def as_arguments(body: dict[str, Any]) -> dict[str, Any]:
    """The request as keyword arguments; ``metadata=`` means labels of ours, so OpenAI's goes by ``extra_body``."""
    fields = {key: value for key, value in body.items() if key not in {"stream", "metadata"}}
    return {**fields, "extra_body": {"metadata": body["metadata"]}} if "metadata" in body else fields


class Doors:
    """One pipeline, reachable in process and over HTTP."""

    def __init__(self, pipeline: Pipeline, url: str, client: aiohttp.ClientSession, upstream: FakeUpstream) -> None:
        self.pipeline, self.url, self.client, self.upstream = pipeline, url, client, upstream

    async def post(self, body: dict[str, Any]) -> tuple[int, bytes]:
        async with self.client.post(self.url + PATH, json=body) as response:
            return response.status, await response.read()


@asynccontextmanager
async def opened() -> AsyncIterator[Doors]:
    routers = {"main": {"load-balance": {"chat": {"strategy": "priority", "providers": ["fake"]}}}}
    async with FakeUpstream() as upstream:
        config = {"providers": {"fake": {"base-url": upstream.base_url}}, "routers": routers}
        pipeline = Pipeline.from_config(config, environment={"FAKE_API_KEY": "k"})
        (listening,) = bind("127.0.0.1", 0)
        listening.listen()  # a client that comes before the server waits in line
        stop = asyncio.Event()
        async with pipeline, aiohttp.ClientSession() as client:
            app = create_app(pipeline, owns_pipeline=False, server=servers.chosen(pipeline.config.server))
            serving = asyncio.create_task(serve(app, [listening], stop=stop))
            host, port = listening.getsockname()
            try:
                yield Doors(pipeline, f"http://{host}:{port}", client, upstream)
            finally:
                stop.set()
                await serving


@pytest.mark.parametrize("name", CORPUS)
async def test_a_whole_answer_is_the_same(name: str) -> None:
    body = corpus(name, stream=False)
    async with opened() as doors:
        status, over_http = await doors.post(body)
        in_process = await doors.pipeline.complete(router="main", **as_arguments(body))
        assert status == 200
        assert {**json.loads(over_http), "id": 0, "created": 0} == {**in_process.raw, "id": 0, "created": 0}
        first, second = (json.loads(request.body) for request in doors.upstream.requests)
        assert first == second


@pytest.mark.parametrize("name", CORPUS)
async def test_a_streamed_answer_says_the_same(name: str) -> None:
    body = corpus(name, stream=True)
    async with opened() as doors:
        status, over_http = await doors.post(body)
        async with doors.pipeline.stream(router="main", **as_arguments(body)) as chunks:
            text = "".join([chunk.text async for chunk in chunks])
        assert status == 200
        assert over_http.endswith(b"data: [DONE]\n\n")
        events = [json.loads(line[6:]) for line in over_http.decode().split("\n\n")[:-2]]
        said = [choice["delta"].get("content") or "" for event in events for choice in event["choices"]]
        assert "".join(said) == text
        assert any(not event["choices"] for event in events) is bool(body.get("stream_options"))


@pytest.mark.parametrize("status", [400, 404, 422, 429, 500, 503])
async def test_an_error_is_the_same(status: int) -> None:
    body = {"model": "m", "messages": [{"role": "user", "content": "x"}]}
    error = {"error": {"message": "the vendor's words", "type": "t", "param": None, "code": "c"}}
    async with opened() as doors:
        doors.upstream.answer(status, json=error)
        doors.upstream.answer(status, json=error)
        seen, over_http = await doors.post(body)
        with pytest.raises(GatewayError) as caught:
            await doors.pipeline.complete(router="main", **body)
        assert (seen, json.loads(over_http)) == (status, error)
        assert caught.value.http_status == status
        assert "the vendor's words" in caught.value.message
