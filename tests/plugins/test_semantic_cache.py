"""``semantic-cache`` in a gateway: found by its entry point, its embeddings asked of a real server."""

from __future__ import annotations

import asyncio
import json
import math
from collections.abc import AsyncIterator
from typing import Any

import openai
import pytest

from end_to_end.loopback import Loopback, loopback, settings_for
from llmgate.testing.upstream import FakeUpstream

COFFEE = "how do I make good coffee at home"
SAME = "how do I make a good coffee at home"
TEA = "which tea is good for the evening"
KEYS = [{"name": name, "secret": f"env:{name.upper()}_KEY"} for name in ("ann", "bob")]
ENVIRONMENT = {"ANN_KEY": "sk-ann-0123456789abcdef", "BOB_KEY": "sk-bob-0123456789abcdef", "EMBED_KEY": "sk-embed"}
AXES = ("coffee", "tea", "make", "good", "home", "evening", "how", "which", "a ")


def embedding(text: str) -> list[float]:
    """How often each word is there."""
    return [float(text.count(word)) + 0.01 for word in AXES]


class EmbeddingServer:
    """Speaks enough HTTP to be asked for embeddings."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.keys: set[str] = set()
        self.port = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while head := await reader.readuntil(b"\r\n\r\n"):
            fields = {
                name.lower(): value for name, _, value in (one.partition(": ") for one in head.decode().split("\r\n"))
            }
            body = json.loads(await reader.readexactly(int(fields["content-length"])))
            self.asked.append(body["input"])
            self.keys.add(fields["authorization"])
            answer = json.dumps({"data": [{"embedding": embedding(body["input"])}]}).encode()
            writer.write(
                b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n" % len(answer)
                + answer
            )


@pytest.fixture
async def embeddings() -> AsyncIterator[EmbeddingServer]:
    one = EmbeddingServer()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await one.serve(reader, writer)
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    one.port = server.sockets[0].getsockname()[1]
    yield one
    server.close()


def settings(upstream: FakeUpstream, embeddings: EmbeddingServer, **fields: Any) -> dict[str, Any]:
    stage = {
        "use": "semantic-cache",
        "model": "embed",
        "base-url": f"http://127.0.0.1:{embeddings.port}/v1",
        "api-key": "env:EMBED_KEY",
        **fields,
    }
    auth = [{"use": "static-keys", "keys": KEYS}]
    return settings_for(upstream, interceptors=[stage], auth=auth)


async def ask(gateway: Loopback, text: str, who: str = "ANN", **fields: Any) -> Any:
    body = {"model": "m", "messages": [{"role": "user", "content": text}], **fields}
    return await gateway.post(body, authorization=f"Bearer {ENVIRONMENT[f'{who}_KEY']}")


def test_the_questions_are_as_near_as_the_test_needs() -> None:
    def cosine(one: str, other: str) -> float:
        a, b = embedding(one), embedding(other)
        return sum(x * y for x, y in zip(a, b, strict=True)) / math.hypot(*a) / math.hypot(*b)

    assert cosine(COFFEE, SAME) > 0.85 > cosine(COFFEE, TEA)


async def test_a_question_that_means_the_same_is_asked_once(embeddings: EmbeddingServer) -> None:
    async with FakeUpstream() as one:
        config = settings(one, embeddings, similarity=0.85, floor=0.8)
        async with loopback(config, environment=ENVIRONMENT) as gateway:
            first = await ask(gateway, COFFEE)
            await gateway.recorded(1)
            hit = await ask(gateway, SAME)
            other = await ask(gateway, TEA)
            bob = await ask(gateway, COFFEE, "BOB")
            records = await gateway.recorded(4)
    assert [reply.status for reply in (first, hit, other, bob)] == [200] * 4
    told = [reply.headers["llmgate-semantic-cache"] for reply in (first, hit, other, bob)]
    assert told == ["MISS", "HIT", "MISS", "MISS"]
    assert hit.body == first.body
    assert len(one.requests) == 3
    assert embeddings.keys == {"Bearer sk-embed"}
    (served,) = [record for record in records if record.metadata["semantic-cache.status"] == "hit"]
    assert served.attempts == ()
    assert served.usage == records[0].usage


async def test_openais_client_gets_the_stream_again(embeddings: EmbeddingServer) -> None:
    async with FakeUpstream() as one:
        config = settings(one, embeddings, similarity=0.85, floor=0.8)
        async with loopback(config, environment=ENVIRONMENT) as gateway:
            base_url = f"http://127.0.0.1:{gateway.port}/router/main"
            async with openai.AsyncOpenAI(api_key=ENVIRONMENT["ANN_KEY"], base_url=base_url) as client:
                texts = []
                for text in (COFFEE, SAME):
                    stream = await client.chat.completions.create(
                        model="m", messages=[{"role": "user", "content": text}], stream=True
                    )
                    texts.append(
                        "".join([chunk.choices[0].delta.content or "" async for chunk in stream if chunk.choices])
                    )
                    await gateway.recorded(len(texts))
    assert len(one.requests) == 1
    assert texts[0] == texts[1] != ""


async def test_a_hit_takes_nothing_of_a_limit(embeddings: EmbeddingServer) -> None:
    async with FakeUpstream() as one:
        config = settings(one, embeddings, similarity=0.85, floor=0.8)
        config["global"] = {"rate-limit": {"per-api-key": {"capacity": 2, "refill-frequency": "1d"}}}
        async with loopback(config, environment=ENVIRONMENT) as gateway:
            replies = []
            for number in range(5):
                replies.append(await ask(gateway, SAME if number else COFFEE))
                await gateway.recorded(number + 1)
    assert [reply.status for reply in replies] == [200] * 5
