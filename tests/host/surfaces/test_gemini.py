"""Gemini's methods over real sockets: addresses, shapes, arrays, heartbeats, models."""

from __future__ import annotations

import json

import pytest

from host.stand_ins import StandInPipeline, Stream, serving
from llmgate.spec import GatewayResponse, Operation, Outcome, ProviderError

ASKED = {"contents": [{"role": "user", "parts": [{"text": "Hello"}]}]}
BODY = json.dumps(ASKED).encode()
ANSWER = b'{"candidates":[]}'
MOUNTS = [
    *("/v1beta", "/v1", "/ai/v1beta", "/ai/v1", "/router/mine/v1beta", "/router/mine/v1"),
    *("/as/gemini", "/as/gemini/v1", "/as/gemini/v1beta"),
]
EVENTS = [b'data: {"a":1}\n\n', b'data: {"b":2}\n\n']


async def answered(frame, request) -> GatewayResponse:
    frame.served_by("echo", "echo-1", request_id="up-1")
    return GatewayResponse(request.format, ANSWER, Outcome())


def failing(error: BaseException):
    async def fail(frame, request):
        raise error

    return fail


@pytest.mark.parametrize("mount", MOUNTS)
@pytest.mark.parametrize("model", ["gemini-x", "openai/gpt-4o", "ft:gpt:org"])
async def test_methods_are_served_at_every_address(mount, model):
    async with serving(StandInPipeline(answered)) as served:
        reply = await served.ask(f"{mount}/models/{model}:generateContent", BODY)
        assert (reply.status, reply.body) == (200, ANSWER)
        request = served.pipeline.frames[0].request
        assert (request.model, request.stream, request.format) == (model, False, "gemini-generate-content")
        assert request.router == ("mine" if "router" in mount else None)
        assert request.chat.model == model


@pytest.mark.parametrize(
    ("method", "body", "operation"),
    [
        ("countTokens", ASKED, Operation.COUNT_TOKENS),
        ("embedContent", {"content": {}}, Operation.EMBEDDINGS),
        ("batchEmbedContents", {"requests": []}, Operation.EMBEDDINGS),
    ],
)
async def test_other_methods_are_operations_of_their_own(method, body, operation):
    async with serving(StandInPipeline(answered)) as served:
        reply = await served.ask(f"/v1beta/models/g:{method}", json.dumps(body).encode())
        assert reply.status == 200
        assert served.pipeline.frames[0].request.operation is operation


@pytest.mark.parametrize("place", ["/v1", "/v1beta1", "/as/gemini/v1"])
@pytest.mark.parametrize(
    ("publisher", "method", "model", "wire_format"),
    [
        ("google", "generateContent", "m", "gemini-generate-content"),
        ("openai", "generateContent", "openai/m", "gemini-generate-content"),
        ("anthropic", "rawPredict", "m", "anthropic-messages"),
    ],
)
async def test_vertex_addresses_name_the_vendor(place, publisher, method, model, wire_format):
    body = {**ASKED, "anthropic_version": "vertex-2023-10-16", "max_tokens": 1, "messages": []}
    async with serving(StandInPipeline(answered)) as served:
        path = f"{place}/projects/p/locations/l/publishers/{publisher}/models/m:{method}"
        assert (await served.ask(path, json.dumps(body).encode())).status == 200
        request = served.pipeline.frames[0].request
        assert (request.model, request.format) == (model, wire_format)
        assert (b"anthropic_version" in request.body) == (publisher != "anthropic")


async def test_claudes_stream_and_count_at_vertex_addresses():
    body = json.dumps({"model": "claude", "max_tokens": 1, "messages": []}).encode()
    place = "/v1/projects/p/locations/l/publishers/anthropic/models"
    async with serving(StandInPipeline(answered)) as served:
        await served.ask(f"{place}/count-tokens:rawPredict", body)
        request = served.pipeline.frames[0].request
        assert (request.model, request.operation) == ("claude", Operation.COUNT_TOKENS)
        for broken in (b"[]", b"{"):
            reply = await served.ask(f"{place}/m:rawPredict", broken)
            assert (reply.status, json.loads(reply.body)["type"]) == (400, "error")


@pytest.mark.parametrize(
    "path", ["/v1beta/models/g:predict", "/v1/projects/p/locations/l/publishers/x/models/g:rawPredict"]
)
async def test_other_methods_do_not_exist(path):
    async with serving(StandInPipeline(answered)) as served:
        reply = await served.ask(path, BODY)
        error = json.loads(reply.body)["error"]
        assert (reply.status, error["status"]) == (404, "NOT_FOUND")
        assert not served.pipeline.frames


@pytest.mark.parametrize(("query", "kind"), [("?alt=sse", "text/event-stream"), ("", "application/json")])
async def test_a_stream_is_events_or_an_array(query, kind):
    async def streamed(frame, request):
        assert request.stream
        return Stream(pieces())

    async def pieces():
        for event in EVENTS:
            yield event

    async with serving(StandInPipeline(stream=streamed)) as served:
        reply = await served.ask(f"/v1beta/models/g:streamGenerateContent{query}", BODY)
        assert reply.headers["content-type"] == kind
        assert reply.body == (b"".join(EVENTS) if query else b'[{"a":1},\r\n{"b":2}]')


@pytest.mark.parametrize(
    ("error", "status", "word"),
    [(ProviderError("m", upstream_status=503), 503, "UNAVAILABLE"), (RuntimeError("secret"), 500, "INTERNAL")],
)
async def test_errors_are_googles(error, status, word):
    async with serving(StandInPipeline(failing(error))) as served:
        reply = await served.ask("/v1beta/models/g:generateContent", BODY)
        assert (reply.status, json.loads(reply.body)["error"]["status"]) == (status, word)
        assert b"secret" not in reply.body
        wrong = await served.ask("/v1beta/models/g:generateContent", b"{}")
        assert json.loads(wrong.body)["error"]["status"] == "INVALID_ARGUMENT"


@pytest.mark.parametrize("headers", [{"x_goog_api_key": "k"}, {"x_goog_api_client": "google-genai-sdk/3"}])
async def test_lists_of_models_are_told_apart_by_headers(headers):
    async with serving(StandInPipeline()) as served:
        theirs = json.loads((await served.ask("/v1/models", method="GET", **headers)).body)
        assert all(one["name"].startswith("models/") for one in theirs["models"])
        name = theirs["models"][0]["name"]
        assert json.loads((await served.ask(f"/v1/{name}", method="GET", **headers)).body)["name"] == name
        assert "data" in json.loads((await served.ask("/v1/models", method="GET")).body)
        missing = await served.ask("/v1beta/models/no:such:thing", method="GET")
        assert (missing.status, json.loads(missing.body)["error"]["status"]) == (404, "NOT_FOUND")


@pytest.mark.parametrize("path", ["/v1/models/gpt-4o", "/v1beta/models/:generateContent"])
async def test_a_model_alone_is_read_and_nothing_else(path):
    async with serving(StandInPipeline(answered)) as served:
        reply = await served.ask(path, BODY)
        assert (reply.status, reply.headers["allow"]) == (405, "GET, HEAD")
        assert not served.pipeline.frames


async def test_a_path_full_of_colons_is_found_wanting_at_once():
    async with serving(StandInPipeline(answered)) as served:
        reply = await served.ask("/v1beta/models/" + ":" * 12_000 + "/x", BODY)
        assert reply.status == 404
