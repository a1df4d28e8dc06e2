"""Images, speech, transcripts, moderations and rankings in process."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pytest

from llmgate import BlockingPipeline, Pipeline
from llmgate.codecs.multipart import FormScanner, boundary_of
from llmgate.spec import InvalidRequestError, ProviderRequest
from llmgate.testing.transport import ScriptedAnswer, ScriptedTransport, json_answer

IMAGE = {"data": [{"url": "u"}]}
SPEECH = ScriptedAnswer(200, {"content-type": "audio/mpeg"}, (b"so", b"und"))


def made(transport: ScriptedTransport, kind: Any = Pipeline) -> Any:
    providers = {"openai": {}, "cohere": {}}
    environment = {"OPENAI_API_KEY": "k", "COHERE_API_KEY": "k"}
    return kind.from_config({"providers": providers}, environment=environment, transport=transport)


async def body_of(request: ProviderRequest) -> bytes:
    assert request.upload is not None
    return b"".join([piece async for piece in request.upload.pieces()])


async def test_json_operations():
    transport = ScriptedTransport(
        [json_answer(IMAGE), SPEECH, json_answer({"results": []}), json_answer({"results": []})]
    )
    async with made(transport) as pipeline:
        images = await pipeline.generate_images(model="gpt-image-1", prompt="x", extra_body={"seed": 1})
        speech = await pipeline.speak(model="tts-1", voice="alloy", input="x")
        moderation = await pipeline.moderate(input="x")
        ranking = await pipeline.rerank(model="cohere/rerank-v3.5", query="q", documents=["a"])
    assert images.value == IMAGE
    assert images.usage.images == 1
    assert (speech.content, speech.media_type, speech.model) == (b"sound", "audio/mpeg", None)
    assert speech.exchange.outcome == "ok"
    assert moderation.exchange.operation == "moderation"
    assert ranking.exchange.provider_name == "cohere"
    assert transport.requests[0].body == b'{"model":"gpt-image-1","prompt":"x","seed":1}'
    assert [request.url.partition(".com")[2] or request.url for request in transport.requests][:3] == [
        "/v1/images/generations",
        "/v1/audio/speech",
        "/v1/moderations",
    ]


@pytest.mark.parametrize("how", ["bytes", "path", "open", "tuple"])
async def test_a_transcript_of_a_file_however_it_is_given(how: str, tmp_path: Path):
    path = tmp_path / "a.mp3"
    path.write_bytes(b"\x00sound")
    opened = io.BytesIO(b"\x00sound")
    files: dict[str, Any] = {
        "bytes": b"\x00sound",
        "path": path,
        "open": opened,
        "tuple": ("a.mp3", b"\x00sound", "x/y"),
    }
    transport = ScriptedTransport([json_answer({"text": "hello", "usage": {"seconds": 2}})])
    async with made(transport) as pipeline:
        said = await pipeline.transcribe(
            file=files[how], model="openai/whisper-1", timestamp_granularities=["word", "segment"], temperature=0.5
        )
    assert (said.text, said.usage.audio_seconds) == ("hello", 2)
    (request,) = transport.requests
    body = await body_of(request)
    scanner = FormScanner(boundary_of(request.headers["content-type"]), {"model", "temperature"})
    scanner.feed(body)
    scanner.feed(b"")
    assert {name: field.value for name, field in scanner.fields.items()} == {"model": "whisper-1", "temperature": "0.5"}
    assert body.count(b'name="timestamp_granularities[]"') == 2
    assert b"\r\n\r\n\x00sound\r\n" in body
    assert request.upload.length == len(body)


async def test_forms_with_images_and_a_translation_as_text():
    text = ScriptedAnswer(200, {"content-type": "text/plain"}, (b"hello",))
    transport = ScriptedTransport([json_answer(IMAGE), json_answer(IMAGE), text])
    async with made(transport) as pipeline:
        await pipeline.edit_image(image=b"PNG", mask=b"MASK", model="gpt-image-1", prompt="x")
        await pipeline.vary_image(image=b"PNG")
        said = await pipeline.translate(file=b"x", model="whisper-1", response_format="text")
    assert said.text == "hello"
    bodies = [await body_of(request) for request in transport.requests]
    assert b"MASK" in bodies[0]
    assert b'name="model"' not in bodies[1]


async def test_what_cannot_be_written_is_the_callers_fault():
    async with made(ScriptedTransport()) as pipeline:
        with pytest.raises(InvalidRequestError, match="cannot be written"):
            await pipeline.speak(model="tts-1", input=object())
        with pytest.raises(InvalidRequestError, match="model must be"):
            await pipeline.transcribe(file=b"x")


def test_the_same_for_synchronous_code():
    answers = (
        [json_answer(IMAGE)] * 3 + [SPEECH] + [json_answer({"text": "t"})] * 2 + [json_answer({"results": []})] * 2
    )
    with made(ScriptedTransport(answers), BlockingPipeline) as pipeline:
        assert pipeline.generate_images(prompt="x", model="gpt-image-1").value == IMAGE
        assert pipeline.edit_image(image=b"x", prompt="x", model="gpt-image-1").value == IMAGE
        assert pipeline.vary_image(image=b"x").value == IMAGE
        assert pipeline.speak(model="tts-1", input="x").content == b"sound"
        assert pipeline.transcribe(file=b"x", model="whisper-1").text == "t"
        assert pipeline.translate(file=b"x", model="whisper-1").text == "t"
        assert pipeline.moderate(input="x").value == {"results": []}
        assert pipeline.rerank(model="cohere/r", query="q", documents=[]).value == {"results": []}
