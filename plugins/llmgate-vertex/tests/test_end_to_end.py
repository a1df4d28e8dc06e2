"""A gateway with both stages against a double of Google: tokens, Gemini, Claude, streams, a refused token."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from google_double import Answer, Asked, GoogleDouble, playing_google, service_account, token_answer

from llmgate import Pipeline
from llmgate.formats import get_format
from llmgate.spec import ChoiceDelta, FinishReason, Format, GatewayChunk, Text, Usage
from llmgate.testing.samples import sample_response

HELLO = [{"role": "user", "content": "Hello!"}]
JSON = {"content-type": "application/json"}
PLACE = "/v1/projects/p/locations/global"


class Google:
    """Its token services and Vertex AI; the first token is one that it has forgotten."""

    def __init__(self) -> None:
        self.token = "ya29.forgotten"

    def __call__(self, asked: Asked) -> Answer:
        if asked.path == "/token":
            return token_answer(self.token)
        if asked.headers["authorization"] != "Bearer ya29.good":
            self.token = "ya29.good"
            error = {"error": {"code": 401, "message": "invalid credentials", "status": "UNAUTHENTICATED"}}
            return 401, JSON, json.dumps(error).encode()
        wire_format = get_format("anthropic-messages" if "anthropic" in asked.path else "gemini-generate-content")
        if "stream" in asked.path:
            return 200, {"content-type": "text/event-stream"}, _stream(wire_format)
        return 200, JSON, wire_format.encode_response(sample_response().chat)


def _stream(wire_format: Format) -> bytes:
    encoder = wire_format.stream_encoder(include_usage=True)
    chunks = [
        GatewayChunk((ChoiceDelta(role="assistant"),), id="1", model="m"),
        GatewayChunk((ChoiceDelta(parts=(Text("Hello from Google"),)),), id="1", model="m"),
        GatewayChunk((ChoiceDelta(finish_reason=FinishReason.STOP),), id="1", model="m"),
        GatewayChunk(usage=Usage(input_tokens=3, output_tokens=4), id="1", model="m"),
        GatewayChunk(final=True),
    ]
    return b"".join(encoder.encode(chunk) for chunk in chunks)


@asynccontextmanager
async def gateway(tmp_path: Path) -> AsyncIterator[tuple[Pipeline, GoogleDouble]]:
    with playing_google(Google()) as google:
        (tmp_path / "key.json").write_text(service_account(google))
        config = {
            "secrets": {"google": {"use": "google-credentials"}},
            "providers": {
                "vertex-global": {
                    "use": "vertex-models",
                    "base-url": f"{google.url}{PLACE}",
                    "secret": "google:default",
                }
            },
        }
        environment = {"GOOGLE_APPLICATION_CREDENTIALS": str(tmp_path / "key.json")}
        async with Pipeline.from_config(config, environment=environment) as pipeline:
            yield pipeline, google


@pytest.mark.parametrize("model", ["gemini-2.5-pro", "claude-opus-5"])
async def test_both_makers_answer_and_a_refused_token_is_exchanged(tmp_path: Path, model: str) -> None:
    async with gateway(tmp_path) as (pipeline, google):
        answer = await pipeline.complete(model=f"vertex-global/{model}", messages=HELLO, max_output_tokens=9)
        assert answer.text == sample_response().chat.text
        paths = [asked.path for asked in google.asked]
        method = "publishers/anthropic/models/claude-opus-5:rawPredict"
        if model.startswith("gemini"):
            method = "publishers/google/models/gemini-2.5-pro:generateContent"
        assert paths == ["/token", f"{PLACE}/{method}", "/token", f"{PLACE}/{method}"]


@pytest.mark.parametrize("model", ["gemini-2.5-pro", "claude-opus-5"])
async def test_both_makers_stream(tmp_path: Path, model: str) -> None:
    async with gateway(tmp_path) as (pipeline, google):
        text = ""
        async with pipeline.stream(model=f"vertex-global/{model}", messages=HELLO, max_output_tokens=9) as stream:
            async for chunk in stream:
                text += "".join(part.text for choice in chunk.choices for part in choice.parts)
        assert text == "Hello from Google"
        assert "stream" in google.asked[-1].path
