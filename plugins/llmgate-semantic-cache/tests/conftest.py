"""A stage with its double, and requests as callers send them."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any, TypeAlias

import pytest

sys.path.insert(0, str(Path(__file__).parent))  # the double is beside the tests, which are no package

from embeddings_double import Embeddings
from llmgate_semantic_cache.config import SemanticCacheConfig
from llmgate_semantic_cache.interceptor import SemanticCache

from llmgate.spec import Secret, SecretRef, StageContext
from llmgate.testing import FakeClock

OpenStage: TypeAlias = Callable[..., Awaitable[SemanticCache]]


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def upstream() -> Embeddings:
    return Embeddings()


@pytest.fixture
def context(clock: FakeClock, upstream: Embeddings) -> StageContext:
    async def fetch(ref: SecretRef) -> Secret:
        return Secret("sk-embeddings", ref=ref)

    def state(_: str) -> Any:
        raise AssertionError("it needs no state store")

    return StageContext(id="interceptors[0]", clock=clock, transport=upstream, fetch_secret=fetch, state=state)


@pytest.fixture
async def open_stage(context: StageContext) -> AsyncIterator[OpenStage]:
    async with AsyncExitStack() as stack:

        async def open_one(**config: Any) -> SemanticCache:
            stage = SemanticCache(SemanticCacheConfig(**{"model": "embed", **config}))
            stack.push_async_callback(stage.aclose)
            await stage.open(context)
            return stage

        yield open_one
