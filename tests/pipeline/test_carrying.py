"""Answers taken for what they say they are."""

from __future__ import annotations

import json
from typing import Any

import pytest

from llmgate import Pipeline
from llmgate.formats import get_format, read_request
from llmgate.pipeline.carrying import media_type_of
from llmgate.spec import GatewayResponse, ProviderError, ProviderProtocolError
from llmgate.testing.transport import ScriptedAnswer, ScriptedTransport, json_answer, stream_answer

SPEECH = json.dumps({"model": "openai/tts-1", "input": "x"}).encode()


async def ask(*answers: Any, name: str = "openai-speech", body: bytes = SPEECH) -> tuple[Any, bytes, Any]:
    """What an answer is taken for, its bytes, and the exchange."""
    config = {"providers": {"openai": {}}}
    transport = ScriptedTransport(answers)
    pipeline = Pipeline.from_config(config, environment={"OPENAI_API_KEY": "k"}, transport=transport)
    async with pipeline, pipeline.exchange() as frame:
        answered = await frame.carry(read_request(get_format(name), body))
        if isinstance(answered, GatewayResponse):
            return answered, answered.body, frame.exchange
        data = b"".join([piece async for piece in answered])
    assert all(stream.closed for stream in transport.streams)
    return answered, data, frame.exchange


async def test_bytes():
    answered, data, exchange = await ask(ScriptedAnswer(200, {"content-type": "audio/mpeg"}, (b"one", b"two")))
    assert (data, answered.events, answered.headers["content-type"]) == (b"onetwo", False, "audio/mpeg")
    assert exchange.first_content is not None
    assert exchange.outcome.content


async def test_events():
    answered, data, exchange = await ask(
        stream_answer(b'data: {"type": "a.delta"}\n\n', b'data: {"type": "a.done"}\n\n')
    )
    assert answered.events
    assert data.count(b"data: ") == 2
    assert exchange.request.stream


async def test_a_whole_answer():
    body = json.dumps({"model": "openai/omni-moderation-latest", "input": "x"}).encode()
    answered, data, exchange = await ask(json_answer({"results": []}), name="openai-moderations", body=body)
    assert json.loads(data) == {"results": []}
    assert (answered.media_type, exchange.outcome.complete) == ("application/json", True)


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (ScriptedAnswer(200, {"content-type": "audio/mpeg"}, ()), ProviderProtocolError),
        (ScriptedAnswer(200, {"content-type": "text/html"}, (b"<html>",)), ProviderProtocolError),
        (stream_answer(b": hello\n\n"), ProviderProtocolError),
        (json_answer({"error": {"message": "away"}}), ProviderError),
        (json_answer({"error": {"message": "away"}}, status=500), ProviderError),
    ],
)
async def test_what_is_no_answer(answer, error):
    with pytest.raises(error):
        await ask(answer, answer, answer)


def test_a_media_type_without_its_parameters():
    assert media_type_of({"content-type": "Audio/MPEG; x=y"}) == "audio/mpeg"
    assert media_type_of({}) == ""
