"""Each publisher's models are called where Google has them called."""

from __future__ import annotations

import json
from typing import Any

import pytest
from llmgate_vertex.adapter import VertexModels
from llmgate_vertex.publishers import formats_of
from llmgate_vertex.row import ROW

from llmgate.formats import get_format
from llmgate.spec import (
    AttemptCall,
    ConfigError,
    Deployment,
    InvalidRequestError,
    NoConfig,
    Operation,
    Provider,
    ProviderResponse,
    RelayBody,
    RelayTarget,
    Secret,
)

GLOBAL = "https://aiplatform.googleapis.com/v1/projects/p/locations/global"
REGION = "https://us-east5-aiplatform.googleapis.com/v1/projects/example.com:p/locations/us-east5"
MULTI = "https://aiplatform.eu.rep.googleapis.com/v1/projects/p/locations/eu"
BODY = b'{"model": "x", "max_tokens" : 5, "messages": [], "unknown": 1.50}'


def call(model: str, wire_format: str | None = None, base_url: str = GLOBAL, body: bytes = BODY, **more: Any) -> Any:
    deployment = Deployment(f"vertex/{model}", Provider("vertex", ROW, base_url), model)
    return AttemptCall(
        **{
            "operation": Operation.CHAT,
            "deployment": deployment,
            "format": get_format(wire_format or next(iter(VertexModels(NoConfig()).formats_of(deployment)))),
            "body": RelayBody(body),
            "stream": False,
            "secret": Secret("token-1"),
            **more,
        }
    )


@pytest.mark.parametrize("base_url", [GLOBAL, REGION, MULTI])
@pytest.mark.parametrize(
    ("model", "stream", "rest"),
    [
        ("gemini-2.5-pro", False, "/publishers/google/models/gemini-2.5-pro:generateContent"),
        ("google/gemini-2.5-pro", True, "/publishers/google/models/gemini-2.5-pro:streamGenerateContent?alt=sse"),
        ("claude-opus-4-1@20250805", False, "/publishers/anthropic/models/claude-opus-4-1@20250805:rawPredict"),
        ("anthropic/claude-opus-5", True, "/publishers/anthropic/models/claude-opus-5:streamRawPredict"),
        ("meta/llama-4-maas", True, "/endpoints/openapi/chat/completions"),
    ],
)
def test_whose_a_model_is_says_where_it_is_called(model: str, stream: bool, rest: str, base_url: str) -> None:
    request = VertexModels(NoConfig()).build_request(call(model, base_url=base_url, stream=stream))
    assert request.url == base_url + rest
    assert request.headers["authorization"] == "Bearer token-1"
    assert request.url.startswith(request.origin)


def test_a_claude_request_goes_out_in_googles_envelope_and_else_as_it_came() -> None:
    headers = {"anthropic-version": "2023-06-01", "anthropic-beta": "context-1m"}
    request = VertexModels(NoConfig()).build_request(call("claude-opus-5", headers=headers))
    body = request.body or b""
    assert b'"max_tokens" : 5, "messages": [], "unknown": 1.50' in body
    value = json.loads(body)
    assert "model" not in value
    assert value["anthropic_version"] == "vertex-2023-10-16"
    assert request.headers["anthropic-beta"] == "context-1m"
    assert "anthropic-version" not in request.headers


@pytest.mark.parametrize(
    ("model", "wire_format", "rest"),
    [
        ("gemini-2.5-pro", "gemini-count-tokens", "/publishers/google/models/gemini-2.5-pro:countTokens"),
        ("anthropic/claude-opus-5", "anthropic-count-tokens", "/publishers/anthropic/models/count-tokens:rawPredict"),
    ],
)
def test_tokens_are_counted_by_google(model: str, wire_format: str, rest: str) -> None:
    asked = call(model, wire_format, operation=Operation.COUNT_TOKENS)
    request = VertexModels(NoConfig()).build_request(asked)
    assert request.url == GLOBAL + rest
    if wire_format.startswith("anthropic"):
        assert json.loads(request.body or b"")["model"] == "claude-opus-5"


def test_models_speak_what_their_publishers_do() -> None:
    spoken = {formats_of(model) for model in ("claude-x@1", "gemini-3", "mistralai/x", "a/b/c")}
    assert {name for formats in spoken for name in formats} == set(ROW.formats)
    assert formats_of("a/b/claude-x") == ("openai-chat",)


@pytest.mark.parametrize("base_url", ["https://aiplatform.googleapis.com", ROW.address or ""])
def test_an_address_without_a_place_is_refused(base_url: str) -> None:
    with pytest.raises(ConfigError, match="names no place: write it as"):
        VertexModels(NoConfig()).build_request(call("gemini-3", base_url=base_url))


def test_a_body_that_is_none_is_refused() -> None:
    with pytest.raises(InvalidRequestError, match="refused"):
        VertexModels(NoConfig()).build_request(call("claude-opus-5", body=b'{"model": 1, "model": 2}'))


def test_the_direct_relay_goes_where_it_says() -> None:
    path = "/v1/projects/p/locations/global/publishers/google/models/imagen:predict"
    request = VertexModels(NoConfig()).build_request(call("", "openai-chat", relay=RelayTarget("POST", path)))
    assert request.url == f"https://aiplatform.googleapis.com{path}"
    assert request.headers["authorization"] == "Bearer token-1"


@pytest.mark.parametrize("wrapped", [False, True])
def test_googles_errors_are_understood_from_claude_too(wrapped: bool) -> None:
    error = {"error": {"code": 429, "message": "quota exceeded", "status": "RESOURCE_EXHAUSTED"}}
    response = _response(429, [error] if wrapped else error)
    found = VertexModels(NoConfig()).parse_error(call("claude-opus-5"), response)
    assert "quota exceeded" in found.message
    assert (found.upstream_status, found.retryable) == (429, True)


def _response(status: int, value: Any) -> Any:
    return ProviderResponse(status, {"content-type": "application/json"}, json.dumps(value).encode())
