"""Converse and InvokeModel over real sockets: addresses, shapes, who may call."""

from __future__ import annotations

import json

import pytest

from host.stand_ins import StandInPipeline, serving
from llmgate.spec import GatewayResponse, ModelNotFoundError, Outcome, RateLimitError

MOUNTS = ["", "/as/bedrock", "/router/mine"]
CONVERSE = json.dumps({"messages": [{"role": "user", "content": [{"text": "Hello"}]}]}).encode()
INVOKE = json.dumps({"anthropic_version": "bedrock-2023-05-31", "max_tokens": 9, "messages": []}).encode()
ANSWER = b'{"output":{"message":{"role":"assistant","content":[]}}}'


async def answered(frame, request) -> GatewayResponse:
    frame.served_by("bedrock", "m", request_id="up-1")
    return GatewayResponse(request.format, ANSWER, Outcome(), headers={"x-amzn-bedrock-service-tier": "flex"})


def failing(error: BaseException):
    async def fail(frame, request):
        raise error

    return fail


@pytest.mark.parametrize("mount", MOUNTS)
@pytest.mark.parametrize(("path", "body"), [("converse", CONVERSE), ("invoke", INVOKE)])
@pytest.mark.parametrize(
    ("written", "model"),
    [
        ("us.anthropic.claude-v1%3A0", "us.anthropic.claude-v1:0"),
        ("us.anthropic.claude-v1:0", "us.anthropic.claude-v1:0"),
        ("openai%2fgpt-5", "openai/gpt-5"),
        (
            "arn%3Aaws%3Abedrock%3Aus-east-1%3A1%3Ainference-profile%2Fus.a.b",
            "arn:aws:bedrock:us-east-1:1:inference-profile/us.a.b",
        ),
    ],
)
async def test_the_model_stands_in_the_address(mount, path, body, written, model):
    async with serving(StandInPipeline(answered)) as served:
        reply = await served.ask(f"{mount}/model/{written}/{path}", body)
        assert (reply.status, reply.body) == (200, ANSWER)
        request = served.pipeline.frames[0].request
        assert (request.model, request.stream, request.body) == (model, False, body)
        assert request.format == ("bedrock-converse" if path == "converse" else "bedrock-anthropic")
        assert request.router == ("mine" if "mine" in mount else None)
        assert served.pipeline.frames[0].exchange.surface == "bedrock"


async def test_headers_up_and_down():
    async with serving(StandInPipeline(answered)) as served:
        sent = {
            "x-amzn-bedrock-trace": "ENABLED",
            "x-amz-date": "now",
            "authorization": "AWS4-HMAC-SHA256 Credential=a",
        }
        reply = await served.ask("/model/m/converse", CONVERSE, **sent)
        assert served.pipeline.frames[0].request.headers == {"x-amzn-bedrock-trace": "ENABLED"}
        assert served.pipeline.frames[0].credentials.tokens == {}, "a signature is no token"
        assert reply.headers["x-amzn-requestid"] == reply.headers["x-request-id"]
        assert reply.headers["x-amzn-bedrock-service-tier"] == "flex"


@pytest.mark.parametrize(
    ("error", "status", "kind"),
    [
        (RateLimitError("slow down"), 429, "ThrottlingException"),
        (ModelNotFoundError("unknown", param="model"), 404, "ResourceNotFoundException"),
    ],
)
async def test_errors_are_awss(error, status, kind):
    async with serving(StandInPipeline(failing(error))) as served:
        reply = await served.ask("/model/m/converse", CONVERSE)
        assert (reply.status, reply.headers["x-amzn-errortype"]) == (status, kind)
        assert json.loads(reply.body) == {"message": error.message}


@pytest.mark.parametrize(
    ("path", "status"),
    [("/model/m/converse?x=%00", 200), ("/model//converse", 400), ("/model/m/other", 404), ("/as/bedrock/x", 404)],
)
async def test_errors_before_the_endpoint_are_awss_too(path, status):
    async with serving(StandInPipeline(answered)) as served:
        reply = await served.ask(path, CONVERSE)
        assert reply.status == status
        if status != 200:
            assert "x-amzn-errortype" in reply.headers
            assert json.loads(reply.body).keys() == {"message"}


async def test_what_no_page_can_send_is_wanted_where_no_type_is_declared():
    async with serving(StandInPipeline(answered)) as served:
        plain = {"content-type": "text/plain"}
        assert (await served.ask("/model/m/invoke", INVOKE, **plain)).status == 403
        assert (await served.ask("/model/m/invoke", INVOKE, **plain, authorization="Bearer x")).status == 200
        assert (await served.ask("/model/m/converse", CONVERSE, **plain)).status == 415
