from __future__ import annotations

import json

import aiohttp
import pytest
from google.genai import types

from llmgate.testing.upstream import FakeUpstream
from llmgate.testing.upstream_gemini import gemini_answer, gemini_error, gemini_events

ASKED = {"contents": [{"role": "user", "parts": [{"text": "one two"}]}]}


async def ask(path, body):
    async with (
        FakeUpstream() as upstream,
        aiohttp.ClientSession() as client,
        client.post(f"{upstream.url}/v1beta/models/g:{path}", json=body) as response,
    ):
        return response.status, response.headers["content-type"], await response.read()


async def test_the_last_text_is_echoed():
    status, kind, body = await ask("generateContent", ASKED)
    assert (status, kind) == (200, "application/json")
    assert types.GenerateContentResponse.model_validate_json(body).text == "one two"


async def test_a_stream_comes_word_by_word():
    _, kind, body = await ask("streamGenerateContent?alt=sse", ASKED)
    assert kind == "text/event-stream"
    events = [json.loads(one.removeprefix(b"data: ")) for one in body.split(b"\n\n") if one]
    texts = [part["text"] for event in events for part in event["candidates"][0]["content"]["parts"]]
    assert texts == ["one", " two", ""]
    assert events[-1]["candidates"][0]["finishReason"] == "STOP"
    assert len(json.loads((await ask("streamGenerateContent", ASKED))[2])) == 3


@pytest.mark.parametrize(
    ("path", "body", "name"),
    [
        ("countTokens", ASKED, "totalTokens"),
        ("embedContent", {"content": {}}, "embedding"),
        ("batchEmbedContents", {"requests": [{}]}, "embeddings"),
    ],
)
async def test_counts_and_vectors(path, body, name):
    assert name in json.loads((await ask(path, body))[2])


async def test_what_is_no_request_is_refused():
    status, _, body = await ask("generateContent", {"contents": []})
    assert (status, json.loads(body)["error"]["status"]) == (400, "INVALID_ARGUMENT")


def test_answers_are_the_vendors():
    types.GenerateContentResponse.model_validate(gemini_answer({"text": "a"}, finish=None))
    for event in gemini_events({"text": "a"}, usage={"promptTokenCount": 1}):
        types.GenerateContentResponse.model_validate(event)
    assert gemini_error(400, "m", "INVALID_ARGUMENT", {"a": 1})["error"]["details"] == [{"a": 1}]
