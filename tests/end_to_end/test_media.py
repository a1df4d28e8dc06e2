"""The openai SDK at the gateway's own address and at a provider's: images, audio, moderations, reranking."""

from __future__ import annotations

import json
from typing import Any

import openai
import pytest

from end_to_end.loopback import Loopback, loopback, settings_for
from llmgate.testing.upstream import FakeUpstream

AUDIO = bytes(range(256)) * 40
PNG = b"\x89PNG\r\n\x1a\n" + b"\x00--\r\n" * 500
IMAGE = {
    "created": 1,
    "data": [{"b64_json": "AAAA"}],
    "usage": {
        "input_tokens": 7,
        "output_tokens": 4160,
        "total_tokens": 4167,
        "input_tokens_details": {"text_tokens": 7, "image_tokens": 0},
    },
}
PATHS = [("/v1", "openai/"), ("/ai", ""), ("/openai/v1", "")]


def settings(upstream: FakeUpstream, **more: Any) -> dict[str, Any]:
    return {"providers": {"openai": {"base-url": upstream.base_url}}, **more}


def client(one: Loopback, path: str = "/v1", **options: Any) -> openai.AsyncOpenAI:
    return openai.AsyncOpenAI(
        **{"base_url": f"http://127.0.0.1:{one.port}{path}", "api_key": "mine", "max_retries": 0, **options}
    )


def form(*parts: tuple[str, bytes], boundary: str = "b0undary", extra: str = "") -> tuple[bytes, dict[str, str]]:
    """A form as a client writes it by hand, and its headers."""
    pieces = []
    for name, value in parts:
        file = '; filename="a.bin"' if name in {"file", "image"} else ""
        head = f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"{file}\r\n{extra}\r\n'
        pieces.append(head.encode() + value + b"\r\n")
    body = b"".join(pieces) + f"--{boundary}--\r\n".encode()
    return body, {"content-type": f"multipart/form-data; boundary={boundary}", "authorization": "Bearer none"}


@pytest.mark.parametrize(("path", "prefix"), PATHS)
async def test_a_transcript(path: str, prefix: str) -> None:
    async with FakeUpstream() as upstream, loopback(settings(upstream)) as one, client(one, path) as sdk:
        upstream.answer(json={"text": "hello", "usage": {"type": "duration", "seconds": 3}})
        said = await sdk.audio.transcriptions.create(model=f"{prefix}whisper-1", file=("a.mp3", AUDIO))
        assert said.text == "hello"
        (received,) = upstream.requests
        (record,) = await one.recorded()
    assert received.path == "/v1/audio/transcriptions"
    assert received.headers["authorization"] == "Bearer secret-of-openai"
    assert b'name="model"\r\n\r\nwhisper-1\r\n' in received.body
    assert AUDIO in received.body
    assert int(received.headers["content-length"]) == len(received.body)
    assert (record.operation, record.outcome, record.provider_name) == ("transcription", "ok", "openai")
    assert record.request_model == "openai/whisper-1" if path != "/ai" else "whisper-1"
    assert record.usage is not None
    assert record.usage.audio_seconds == 3


@pytest.mark.parametrize("kind", ["text", "srt", "vtt"])
async def test_a_transcript_as_text(kind: str) -> None:
    types = {"text": "text/plain; charset=utf-8", "srt": "application/x-subrip", "vtt": "text/vtt"}
    async with FakeUpstream() as upstream, loopback(settings(upstream)) as one, client(one) as sdk:
        upstream.answer(body=b"hello\n", headers={"content-type": types[kind]})
        raw = await sdk.audio.transcriptions.with_raw_response.create(
            model="whisper-1",
            file=("a.mp3", AUDIO),
            response_format=kind,  # type: ignore[call-overload]
        )
        assert raw.headers["content-type"] == types[kind]
        assert raw.content == b"hello\n"
        (record,) = await one.recorded()
    assert (record.outcome, record.usage) == ("ok", None)


@pytest.mark.parametrize("done", [b"", b"data: [DONE]\n\n"])
@pytest.mark.parametrize("path", ["/v1", "/openai/v1"])
async def test_a_streamed_transcript(path: str, done: bytes) -> None:
    events = [
        {"type": "transcript.text.delta", "delta": "hel"},
        {"type": "transcript.text.delta", "delta": "lo"},
        {"type": "transcript.text.done", "text": "hello", "usage": {"input_tokens": 14, "output_tokens": 5}},
    ]
    async with FakeUpstream() as upstream, loopback(settings(upstream)) as one, client(one, path) as sdk:
        upstream.stream([*events, *([done] if done else [])], end="eof")
        stream = await sdk.audio.transcriptions.create(model="gpt-4o-transcribe", file=("a.mp3", AUDIO), stream=True)
        kinds = [event.type async for event in stream]
        assert kinds == [event["type"] for event in events]
        (record,) = await one.recorded()
    assert (record.outcome, record.stream) == ("ok", True)
    assert record.usage is not None
    assert (record.usage.input_tokens, record.usage.output_tokens) == (14, 5)


async def test_a_transcript_that_breaks_off_is_never_shown_as_finished() -> None:
    async with FakeUpstream() as upstream, loopback(settings(upstream)) as one, client(one) as sdk:
        upstream.stream([{"type": "transcript.text.delta", "delta": "hel"}], end="eof")
        with pytest.raises(openai.APIError):
            async for _ in await sdk.audio.transcriptions.create(
                model="gpt-4o-transcribe", file=("a.mp3", AUDIO), stream=True
            ):
                pass
        (record,) = await one.recorded()
    assert (record.outcome, record.error_code) == ("incomplete", "incomplete_stream")


@pytest.mark.filterwarnings("ignore:deprecated:DeprecationWarning")
async def test_a_translation() -> None:
    async with FakeUpstream() as upstream, loopback(settings(upstream)) as one, client(one) as sdk:
        upstream.answer(json={"text": "hello"})
        said = await sdk.audio.translations.create(model="whisper-1", file=("a.mp3", AUDIO))
        assert said.text == "hello"
        assert upstream.requests[0].path == "/v1/audio/translations"
        assert (await one.recorded())[0].operation == "translation"


@pytest.mark.parametrize(("path", "prefix"), PATHS)
async def test_speech(path: str, prefix: str) -> None:
    async with FakeUpstream() as upstream, loopback(settings(upstream)) as one, client(one, path) as sdk:
        upstream.answer(body=AUDIO, headers={"content-type": "audio/mpeg"}, split=1000)
        async with sdk.audio.speech.with_streaming_response.create(
            model=f"{prefix}tts-1", voice="alloy", input="hello"
        ) as speech:
            assert speech.headers["content-type"] == "audio/mpeg"
            assert await speech.read() == AUDIO
        assert upstream.requests[0].json() == {"model": "tts-1", "voice": "alloy", "input": "hello"}
        (record,) = await one.recorded()
    assert (record.operation, record.outcome, record.status) == ("speech", "ok", 200)


async def test_speech_that_breaks_off_is_cut() -> None:
    async with FakeUpstream() as upstream, loopback(settings(upstream)) as one:
        head = b"HTTP/1.1 200 OK\r\ncontent-type: audio/mpeg\r\ncontent-length: 100\r\n\r\n"
        upstream.raw(head + b"only this")
        reply = await one.post({"model": "tts-1", "voice": "alloy", "input": "hello"}, "/v1/audio/speech")
        assert (reply.status, reply.body, reply.whole) == (200, b"only this", False)
        (record,) = await one.recorded()
    assert record.outcome == "incomplete"


async def test_speech_as_events() -> None:
    events = [
        {"type": "speech.audio.delta", "audio": "AAAA"},
        {"type": "speech.audio.done", "usage": {"input_tokens": 3, "output_tokens": 9, "total_tokens": 12}},
    ]
    async with FakeUpstream() as upstream, loopback(settings(upstream)) as one:
        upstream.stream(events, end="eof")
        asked = {"model": "gpt-4o-mini-tts", "voice": "alloy", "input": "hello", "stream_format": "sse"}
        reply = await one.post(asked, "/v1/audio/speech")
        assert [json.loads(event.removeprefix(b"data: ")) for event in reply.events] == events
        assert upstream.requests[0].json() == asked
        (record,) = await one.recorded()
    assert record.usage is not None
    assert (record.stream, record.usage.output_tokens) == (True, 9)


@pytest.mark.filterwarnings("ignore:deprecated:DeprecationWarning")
@pytest.mark.parametrize(("path", "prefix"), PATHS)
async def test_images(path: str, prefix: str) -> None:
    async with FakeUpstream() as upstream, loopback(settings(upstream)) as one, client(one, path) as sdk:
        upstream.answer(json=IMAGE, times=3)
        made = await sdk.images.generate(model=f"{prefix}gpt-image-1", prompt="a cat")
        assert made.data is not None
        assert made.data[0].b64_json == "AAAA"
        await sdk.images.edit(model=f"{prefix}gpt-image-1", image=("a.png", PNG), prompt="a hat")
        await sdk.images.create_variation(model=f"{prefix}dall-e-2", image=("a.png", PNG))
        records = await one.recorded(3)
    assert [one.path for one in upstream.requests] == [
        "/v1/images/generations",
        "/v1/images/edits",
        "/v1/images/variations",
    ]
    assert all(PNG in one.body for one in upstream.requests[1:])
    assert [one.operation for one in records] == ["image_generation", "image_edit", "image_variation"]
    assert records[0].usage is not None
    assert (records[0].usage.output_tokens, records[0].usage.images) == (4160, 1)


async def test_images_that_take_shape() -> None:
    usage = {"input_tokens": 7, "output_tokens": 100, "total_tokens": 107}
    events = [
        {"type": "image_generation.partial_image", "b64_json": "AA", "partial_image_index": 0},
        {"type": "image_generation.completed", "b64_json": "AAAA", "usage": usage},
        {"type": "image_generation.completed", "b64_json": "BBBB", "usage": usage},
    ]
    async with FakeUpstream() as upstream, loopback(settings(upstream)) as one, client(one) as sdk:
        upstream.stream(events, end="eof")
        stream = await sdk.images.generate(model="gpt-image-1", prompt="cats", stream=True, partial_images=1)
        assert [event.b64_json async for event in stream] == ["AA", "AAAA", "BBBB"]
        (record,) = await one.recorded()
    assert record.usage is not None
    assert (record.usage.output_tokens, record.usage.images) == (200, 2)


async def test_a_request_without_a_model_is_not_given_one() -> None:
    async with FakeUpstream() as upstream, loopback(settings(upstream)) as one, client(one) as sdk:
        upstream.answer(json={"id": "m", "model": "omni-moderation-latest", "results": []}, times=2)
        await sdk.moderations.create(input="hello")
        assert upstream.requests[0].json() == {"input": "hello"}
        reply = await one.post(b'{"input" : "x"}', "/openai/v1/moderations")
        assert reply.status == 200
        assert upstream.requests[1].body == b'{"input" : "x"}'
        body, headers = form(("image", PNG))
        upstream.answer(json=IMAGE)
        await one.post(body, "/openai/v1/images/variations", **headers)
        assert upstream.requests[2].body == body
        assert (await one.recorded(3))[2].request_model == "openai/dall-e-2"


@pytest.mark.parametrize("path", ["/v1/rerank", "/v2/rerank", "/router/main/rerank"])
async def test_reranking(path: str) -> None:
    answer = {
        "id": "r",
        "results": [{"index": 1, "relevance_score": 0.9}],
        "meta": {"billed_units": {"search_units": 1}},
    }
    async with FakeUpstream() as upstream:
        given = {
            "providers": {"cohere": {"base-url": f"{upstream.url}/compatibility/v1"}},
            "routers": {"main": {"load-balance": {"chat": {"strategy": "latency", "providers": ["cohere"]}}}},
        }
        async with loopback(given) as one:
            upstream.answer(json=answer)
            reply = await one.post({"model": "cohere/rerank-v3.5", "query": "q", "documents": ["a", "b"]}, path)
            assert json.loads(reply.body) == answer
            assert upstream.requests[0].path == "/v2/rerank"
            assert upstream.requests[0].json()["model"] == "rerank-v3.5"
            (record,) = await one.recorded()
    assert record.usage is not None
    assert (record.operation, record.usage.search_units) == ("rerank", 1)


async def test_only_the_models_value_changes_in_a_form_wherever_it_stands() -> None:
    parts = [("language", b"en"), ("file", AUDIO), ("model", b"openai/whisper-1"), ("prompt", b"x")]
    for order in (parts, parts[::-1], [parts[2], *parts[:2], parts[3]]):
        async with FakeUpstream() as upstream, loopback(settings(upstream)) as one:
            upstream.answer(json={"text": "hello"})
            body, headers = form(*order, extra="Content-Length: 16\r\n")
            reply = await one.post(body, "/v1/audio/transcriptions", **headers)
            assert reply.status == 200
            wanted = body.replace(b"openai/whisper-1", b"whisper-1")
            head = b'name="model"\r\nContent-Length: '
            assert upstream.requests[0].body == wanted.replace(head + b"16", head + b"9")


async def test_a_form_without_a_model_is_refused() -> None:
    async with FakeUpstream() as upstream, loopback(settings(upstream)) as one:
        body, headers = form(("file", AUDIO))
        reply = await one.post(body, "/v1/audio/transcriptions", **headers)
        assert (reply.status, reply.error["code"], reply.error["param"]) == (400, "missing_model", "model")
        reply = await one.post({"model": "whisper-1"}, "/v1/audio/transcriptions")
        assert (reply.status, reply.error["code"]) == (415, "unsupported_media_type")
        assert upstream.requests == []


async def test_two_models_in_one_form_never_reach_a_provider_whole() -> None:
    late = [("model", b"whisper-1"), ("file", AUDIO * 400), ("model", b"gpt-4o-transcribe")]
    async with FakeUpstream() as upstream, loopback(settings(upstream)) as one:
        for parts in ([late[0], late[2], late[1]], late):
            body, headers = form(*parts)
            reply = await one.post(body, "/v1/audio/transcriptions", **headers)
            assert (reply.status, reply.error["code"]) == (400, "invalid_form")
        assert upstream.requests == []


async def test_a_web_page_cannot_send_a_form_while_nobody_logs_in() -> None:
    async with FakeUpstream() as upstream, loopback(settings(upstream)) as one:
        body, headers = form(("model", b"whisper-1"), ("file", AUDIO))
        del headers["authorization"]
        reply = await one.post(body, "/v1/audio/transcriptions", **headers)
        assert (reply.status, reply.error["code"]) == (403, "cross_site")


async def test_a_small_form_fails_over_and_a_router_maps_its_model() -> None:
    async with FakeUpstream() as first, FakeUpstream() as second, loopback(settings_for(first, second)) as one:
        first.answer(503, json={"error": {"message": "away"}})
        second.answer(json={"text": "hello"})
        body, headers = form(("file", AUDIO), ("model", b"whisper-1"))
        reply = await one.post(body, "/router/main/v1/audio/transcriptions", **headers)
        assert (reply.status, reply.headers["llmgate-attempts"]) == (200, "2")
        assert first.requests[0].body == second.requests[0].body == body
        first.answer(503, json={"error": {"message": "away"}})
        second.answer(body=AUDIO, headers={"content-type": "audio/mpeg"})
        reply = await one.post({"model": "tts-1", "input": "x"}, "/router/main/audio/speech")
        assert (reply.status, reply.body, reply.headers["helicone-provider"]) == (200, AUDIO, "two")


@pytest.mark.parametrize("kind", ["transcription", "speech", "image"])
async def test_a_page_or_an_error_in_a_200_is_no_answer(kind: str) -> None:
    async with FakeUpstream() as upstream, loopback(settings(upstream)) as one, client(one) as sdk:
        upstream.answer(body=b"<html>", headers={"content-type": "text/html"})
        upstream.answer(json={"error": {"message": "overloaded"}})
        for _ in range(2):
            with pytest.raises(openai.InternalServerError):
                if kind == "transcription":
                    await sdk.audio.transcriptions.create(model="whisper-1", file=("a.mp3", AUDIO))
                elif kind == "speech":
                    await sdk.audio.speech.create(model="tts-1", voice="alloy", input="x")
                else:
                    await sdk.images.generate(model="gpt-image-1", prompt="x")


async def test_a_providers_error_reaches_the_caller_word_for_word() -> None:
    theirs = {"message": "bad audio", "type": "invalid_request_error", "param": "file", "code": "bad"}
    async with FakeUpstream() as upstream, loopback(settings(upstream)) as one, client(one) as sdk:
        upstream.answer(400, json={"error": theirs})
        with pytest.raises(openai.BadRequestError) as failure:
            await sdk.audio.transcriptions.create(model="whisper-1", file=("a.mp3", AUDIO))
    assert failure.value.body == theirs


async def test_a_provider_that_does_not_serve_an_operation_says_so() -> None:
    async with loopback({"providers": {"groq": {"base-url": "http://127.0.0.1:1"}}}) as one:
        reply = await one.post({"model": "groq/x", "prompt": "x"}, "/v1/images/generations")
    assert (reply.status, reply.error["code"]) == (404, "operation_not_supported")
