"""Embeddings: how they are asked for, and what becomes of it when they fail."""

from __future__ import annotations

import json
import logging
import math

import pytest
from embeddings_double import SIZE, Embeddings
from llmgate_semantic_cache.config import SemanticCacheConfig
from llmgate_semantic_cache.embeddings import Embedder

from llmgate.spec import SecretRef, StageContext
from llmgate.testing import FakeClock


async def test_a_vector_has_the_length_of_one(context: StageContext) -> None:
    vector = await Embedder(SemanticCacheConfig(model="embed"), context).embed("what is rust?")
    assert vector is not None
    assert len(vector) == SIZE
    assert math.fsum(one * one for one in vector) == pytest.approx(1)


async def test_it_asks_as_openai_is_asked(context: StageContext, upstream: Embeddings) -> None:
    config = SemanticCacheConfig(
        model="embed", base_url="https://embed.test/v1/", api_key=SecretRef.parse("env:KEY"), dimensions=64
    )
    await Embedder(config, context).embed("hi")
    (request,) = upstream.requests
    assert (request.method, request.url) == ("POST", "https://embed.test/v1/embeddings")
    assert request.origin == "https://embed.test"
    assert request.headers["authorization"] == "Bearer sk-embeddings"
    assert json.loads(request.body or b"") == {
        "model": "embed",
        "input": "hi",
        "encoding_format": "float",
        "dimensions": 64,
    }
    assert "sk-embeddings" not in repr(request)


@pytest.mark.parametrize("fault", ["status", "junk", "empty", "late"])
async def test_a_failure_is_said_once_and_nobody_is_asked_for_a_while(
    context: StageContext, upstream: Embeddings, clock: FakeClock, fault: str, caplog: pytest.LogCaptureFixture
) -> None:
    embedder = Embedder(SemanticCacheConfig(model="embed", pause=10), context)
    upstream.broken = fault
    with caplog.at_level(logging.INFO):
        assert [await embedder.embed("hi") for _ in range(3)] == [None] * 3
        assert len(upstream.requests) == 1
        await clock.advance(10)
        assert await embedder.embed("hi") is None
        upstream.broken = ""
        await clock.advance(10)
        assert await embedder.embed("hi") is not None
    said = [record.message for record in caplog.records]
    assert len(said) == 2
    assert "no embeddings" in said[0]
    assert said[1] == "interceptors[0]: embeddings are made again"
