"""The HTTP clients that are handed to a client library."""

from __future__ import annotations

import pytest

from llmgate import BlockingPipeline, Pipeline
from llmgate.sdk import async_http_client, http_client

ECHO = {"providers": {"echo": {}}}


async def test_the_clients_serve_every_address_of_the_host_and_any_name():
    async with Pipeline.from_config(ECHO, environment={}) as pipeline, async_http_client(pipeline) as client:
        assert (await client.get("/health")).json() == {"status": "ok"}
        assert (await client.get("https://api.openai.com/v1/models")).json()["data"]
        assert (await client.get("/v1/models", params={"limit": "3"})).status_code == 200
        assert (await client.head("/health")).status_code == 200
        assert (await client.get("/nothing/here")).json()["error"]["code"] == "not_found"


async def test_a_body_in_pieces_goes_up():
    async def pieces():
        yield b'{"model": "echo", '
        yield b'"messages": [{"role": "user", "content": "Hello"}]}'

    async with Pipeline.from_config(ECHO, environment={}) as pipeline, async_http_client(pipeline) as client:
        answer = await client.post(
            "/v1/chat/completions", content=pieces(), headers={"content-type": "application/json"}
        )
        assert answer.json()["choices"][0]["message"]["content"] == "Hello"


def test_closing_a_client_leaves_the_pipeline_open():
    with BlockingPipeline.from_config(ECHO, environment={}) as pipeline:
        for _ in range(2):
            with http_client(pipeline) as client:
                assert client.get("/ready").json() == {"status": "ready"}
        assert pipeline.complete(model="echo", messages=[{"role": "user", "content": "Hello"}]).text == "Hello"


@pytest.mark.parametrize("make", [http_client, async_http_client])
def test_a_pipeline_without_a_loop_is_refused(make):
    with pytest.raises(RuntimeError, match="event loop"):
        make(Pipeline.from_config(ECHO, environment={}))
