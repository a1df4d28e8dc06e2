"""Kept answers as clients see them: the real SDKs, over HTTP, each with its key."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import anthropic
import openai
import pytest

import servers
from llmgate import Pipeline
from llmgate.host.app import create_app
from llmgate.host.server import bind, serve
from llmgate.testing.upstream import FakeUpstream

QUESTION: dict[str, Any] = {"model": "fake/gpt-4o", "messages": [{"role": "user", "content": "Hello there"}]}
ALICE, BOB = "llmgate-key-of-alice-0123456789", "llmgate-key-of-bob-0123456789"


class Served:
    """A gateway over a fake provider."""

    def __init__(self, url: str, upstream: FakeUpstream) -> None:
        self.url, self.upstream = url, upstream

    def openai(self, key: str = ALICE) -> openai.AsyncOpenAI:
        return openai.AsyncOpenAI(base_url=f"{self.url}/v1", api_key=key, max_retries=0, timeout=20)

    def anthropic(self, key: str = ALICE) -> anthropic.AsyncAnthropic:
        return anthropic.AsyncAnthropic(base_url=self.url, api_key=key, max_retries=0, timeout=20)

    async def post(self, body: dict[str, Any] = QUESTION, **headers: str) -> tuple[int, Any, bytes]:
        given = {"authorization": f"Bearer {ALICE}", **{name.replace("_", "-"): text for name, text in headers.items()}}
        async with (
            aiohttp.ClientSession() as client,
            client.post(f"{self.url}/v1/chat/completions", json=body, headers=given) as response,
        ):
            return response.status, response.headers, await response.read()


def hashed(name: str, key: str) -> dict[str, str]:
    return {"name": name, "hash": "sha256:" + hashlib.sha256(key.encode()).hexdigest()}


@asynccontextmanager
async def served(**cache: Any) -> AsyncIterator[Served]:
    async with FakeUpstream() as upstream:
        config = {
            "providers": {"fake": {"base-url": upstream.base_url}},
            "auth": [{"use": "static-keys", "keys": [hashed("alice", ALICE), hashed("bob", BOB)]}],
            "cache-store": {"type": "in-memory", "max-size": 1_000_000},
            "global": {"cache": cache},
        }
        pipeline = Pipeline.from_config(config, environment={"FAKE_API_KEY": "k"})
        (listening,) = bind("127.0.0.1", 0)
        listening.listen()  # a client that comes before the server waits in line
        url, stop = f"http://127.0.0.1:{listening.getsockname()[1]}", asyncio.Event()
        async with pipeline:
            app = create_app(pipeline, owns_pipeline=False, server=servers.chosen(pipeline.config.server))
            serving = asyncio.create_task(serve(app, [listening], stop=stop))
            try:
                yield Served(url, upstream)
            finally:
                stop.set()
                await serving


async def test_openais_client_gets_the_same_answer_again() -> None:
    async with served(directive="max-age=3600") as s, s.openai() as client:
        first = await client.chat.completions.with_raw_response.create(**QUESTION)
        again = await client.chat.completions.with_raw_response.create(**QUESTION)
        assert (first.headers["helicone-cache"], again.headers["helicone-cache"]) == ("MISS", "HIT")
        assert again.headers["helicone-cache-bucket-idx"] == "0"
        assert again.headers["age"].isdecimal()
        assert again.headers["llmgate-model"] == "gpt-4o"
        assert again.headers["helicone-id"] != first.headers["helicone-id"]
        assert "age" not in first.headers
        assert "helicone-provider" not in again.headers
        assert again.content == first.content
        assert again.parse().choices[0].message.content == first.parse().choices[0].message.content
        assert len(s.upstream.requests) == 1


@pytest.mark.parametrize("usage", [False, True])
async def test_openais_client_gets_the_same_stream_again(usage: bool) -> None:
    options: dict[str, Any] = {"stream_options": {"include_usage": True}} if usage else {}
    async with served() as s, s.openai() as client:
        answers = []
        for _ in range(2):
            stream = await client.chat.completions.create(**QUESTION, stream=True, **options)
            answers.append([chunk.model_dump() async for chunk in stream])
        assert answers[0] == answers[1]
        assert bool(answers[1][-1].get("usage")) is usage
        assert len(s.upstream.requests) == 1


async def test_anthropics_client_too_whole_and_streamed() -> None:
    asked: dict[str, Any] = {**QUESTION, "max_tokens": 50}
    async with served() as s, s.anthropic() as client:
        whole = [await client.messages.create(**asked) for _ in range(2)]
        assert whole[0] == whole[1]
        events = []
        for _ in range(2):
            async with client.messages.stream(**asked) as stream:
                events.append([event.model_dump() async for event in stream])
        assert events[0] == events[1]
        assert events[1][-1]["type"] == "message_stop"
        assert len(s.upstream.requests) == 2


async def test_formats_are_apart() -> None:
    async with served() as s, s.openai() as one, s.anthropic() as other:
        await one.chat.completions.create(**QUESTION, max_tokens=50)
        await other.messages.create(**QUESTION, max_tokens=50)
        assert len(s.upstream.requests) == 2


@pytest.mark.parametrize(("shared", "calls"), [(False, 2), (True, 1)])
async def test_keys_are_apart_unless_told_to_share(shared: bool, calls: int) -> None:
    async with served(shared=shared) as s, s.openai(ALICE) as alice, s.openai(BOB) as bob:
        for client in (alice, bob, alice, bob):
            await client.chat.completions.create(**QUESTION)
        assert len(s.upstream.requests) == calls


async def test_a_hit_is_for_those_who_may_log_in_only() -> None:
    async with served(shared=True) as s, s.openai(ALICE) as alice, s.openai("nobody") as nobody:
        await alice.chat.completions.create(**QUESTION)
        with pytest.raises(openai.AuthenticationError):
            await nobody.chat.completions.create(**QUESTION)


async def test_equal_requests_at_once_are_asked_once() -> None:
    async with served() as s, s.openai() as client:
        answers = await asyncio.gather(*(client.chat.completions.create(**QUESTION) for _ in range(30)))
        assert len({answer.id for answer in answers}) == 1
        assert len(s.upstream.requests) == 1


@pytest.mark.parametrize("prefix", ["helicone", "llmgate"])
async def test_headers_do_what_they_say(prefix: str) -> None:
    async with served(enabled=False) as s:
        on = {f"{prefix}_cache_enabled": "true"}
        assert "helicone-cache" not in (await s.post())[1]
        assert (await s.post(**on))[1]["helicone-cache"] == "MISS"
        assert (await s.post(**on))[1]["helicone-cache"] == "HIT"
        assert (await s.post(**on, **{f"{prefix}_cache_seed": "x"}))[1]["helicone-cache"] == "MISS"
        assert (await s.post(**on, cache_control="no-cache"))[1]["helicone-cache"] == "MISS"
        assert "helicone-cache" not in (await s.post(**on, cache_control="no-store"))[1]
        assert "helicone-cache" not in (await s.post())[1]


async def test_ignored_keys_are_not_compared() -> None:
    async with served() as s:
        ignoring = {"helicone_cache_ignore_keys": "user, metadata"}
        for user in ("a", "b"):
            status, headers, _ = await s.post({**QUESTION, "user": user}, **ignoring)
            assert status == 200
        assert headers["helicone-cache"] == "HIT"


@pytest.mark.parametrize(
    ("headers", "status", "code"),
    [
        ({"helicone_cache_bucket_max_size": "99"}, 400, b"invalid_cache_control"),
        ({"helicone_cache_enabled": "perhaps"}, 400, b"invalid_cache_control"),
        ({"cache_control": "max-age=soon"}, 400, b"invalid_cache_control"),
        ({"cache_control": "only-if-cached"}, 504, b"not_cached"),
    ],
)
async def test_what_cannot_be_done_is_said(headers: dict[str, str], status: int, code: bytes) -> None:
    async with served() as s:
        got, _, body = await s.post(**headers)
        assert (got, code in body) == (status, True)
        assert s.upstream.requests == []


async def test_what_is_told_to_the_gateway_does_not_go_up() -> None:
    async with served() as s:
        await s.post(cache_control="max-age=5", helicone_cache_seed="x")
        sent = {name.lower() for name in s.upstream.requests[0].headers}
        assert not {name for name in sent if name.startswith("helicone-") or name == "cache-control"}
