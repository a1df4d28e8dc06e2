"""Responses over real sockets: every address, and what is handed on to the provider that has kept something."""

from __future__ import annotations

import json

import pytest

from host.stand_ins import ANSWER, StandInPipeline, serving
from llmgate.spec import Operation

PREFIXES = ["/v1", "/ai", "/ai/v1", "/router/mine", "/router/mine/v1", "/as/openai", "/as/openai/v1"]
ASK = json.dumps({"model": "gpt-x", "input": "hi"}).encode()


@pytest.mark.parametrize("prefix", PREFIXES)
async def test_responses_are_served_at_every_address(prefix):
    async with serving(StandInPipeline()) as served:
        reply = await served.ask(f"{prefix}/responses", ASK)
        assert (reply.status, reply.body) == (200, ANSWER)
        frame = served.pipeline.frames[0]
        assert (frame.request.format, frame.request.body) == ("openai-responses", ASK)
        assert frame.exchange.operation is Operation.CHAT
        assert frame.request.router == ("mine" if "mine" in prefix else None)
        assert (await served.ask(f"{prefix}/responses")).status == 405


@pytest.mark.parametrize("prefix", PREFIXES)
@pytest.mark.parametrize(
    ("method", "rest"),
    [("GET", "resp_1"), ("DELETE", "resp_1"), ("POST", "resp_1/cancel"), ("GET", "resp_1/input_items")],
)
async def test_what_is_kept_is_handed_on(prefix, method, rest):
    async with serving(StandInPipeline()) as served:
        path = f"{prefix}/responses/{rest}?include=a&provider=groq&key=secret&limit=2"
        reply = await served.ask(path, b"{}" if method == "POST" else None, method=method)
        frame = served.pipeline.frames[0]
    assert reply.status == 200
    assert frame.relayed_to == "groq"
    assert (frame.request.relay.method, frame.request.relay.path) == (method, f"/v1/responses/{rest}?include=a&limit=2")
    assert (frame.request.operation, frame.request.model) == (Operation.RELAY, "")


@pytest.mark.parametrize("rest", ["input_tokens", "compact"])
async def test_what_is_about_a_model_goes_to_its_provider(rest):
    async with serving(StandInPipeline()) as served:
        body = b'{ "model":"openai/gpt-x", "input" : "hi"}'
        assert (await served.ask(f"/v1/responses/{rest}", body)).status == 200
        frame = served.pipeline.frames[0]
        assert (frame.relayed_to, frame.request.model) == ("openai", "gpt-x")
        assert frame.request.body == b'{ "model":"gpt-x", "input" : "hi"}'
        assert frame.request.relay.path == f"/v1/responses/{rest}"
        for wrong in (b"{", b"{}", b'{"model":1}'):
            assert (await served.ask(f"/v1/responses/{rest}", wrong)).status == 400


@pytest.mark.parametrize("name", ["resp%2F..%2Ffiles", "resp%00", "a" * 600, "%20"])
async def test_an_id_that_is_none_is_refused(name):
    async with serving(StandInPipeline()) as served:
        assert (await served.ask(f"/v1/responses/{name}")).status in (400, 404)
        assert all(frame.relayed_to is None for frame in served.pipeline.frames)


async def test_nothing_is_handed_on_without_a_credential():
    async with serving(StandInPipeline(keys=["sk"])) as served:
        for path in ("/v1/responses/resp_1", "/v1/responses/resp_1/input_items"):
            assert (await served.ask(path)).status == 401
        assert (await served.ask("/v1/responses/input_tokens", ASK)).status == 401
        assert all(frame.relayed_to is None for frame in served.pipeline.frames)
