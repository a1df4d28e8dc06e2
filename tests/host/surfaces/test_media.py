"""The doors of images, audio, moderations and reranking; ``end_to_end/test_media.py`` goes through them."""

from __future__ import annotations

import gzip

import pytest

from end_to_end.loopback import loopback
from end_to_end.test_media import AUDIO, form, settings
from llmgate.host.surfaces.media import PATHS, routes
from llmgate.testing.upstream import FakeUpstream


@pytest.mark.parametrize("path", sorted(PATHS))
async def test_every_address_takes_posts_alone(path):
    async with loopback({"providers": {"openai": {"base-url": "http://127.0.0.1:1"}}}) as one:
        async with one.client.get(f"http://127.0.0.1:{one.port}/{path}") as reply:
            assert reply.status == 405
            assert reply.headers["allow"] == "POST"
        for prefix in ("", "/v1", "/ai", "/router/x"):
            reply = await one.post(b"[]", f"{prefix}/{path}")
            assert reply.error["code"] in {"invalid_json", "unsupported_media_type"}, prefix


def test_cohere_has_a_version_of_its_own():
    assert "/v2/rerank" in {route.path for route in routes(["/v1"])}


async def test_a_compressed_form_is_unpacked_and_looked_through():
    async with FakeUpstream() as upstream, loopback(settings(upstream)) as one:
        upstream.answer(json={"text": "hello"})
        body, headers = form(("file", AUDIO), ("model", b"openai/whisper-1"))
        reply = await one.post(
            gzip.compress(body, mtime=0), "/v1/audio/transcriptions", content_encoding="gzip", **headers
        )
        assert reply.status == 200
        assert upstream.requests[0].body == body.replace(b"openai/whisper-1", b"whisper-1")
        reply = await one.post(
            gzip.compress(body[:-9], mtime=0), "/v1/audio/transcriptions", content_encoding="gzip", **headers
        )
        assert reply.error["code"] == "invalid_form"


async def test_a_large_json_request_is_read_in_a_thread():
    async with FakeUpstream() as upstream, loopback(settings(upstream)) as one:
        upstream.answer(json={"results": []})
        asked = {"model": "omni-moderation-latest", "input": "x" * 300_000}
        assert (await one.post(asked, "/v1/moderations")).status == 200
        assert upstream.requests[0].json() == asked
