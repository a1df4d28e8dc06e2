"""What no model tells belongs to the only provider that can have it, or to the one that is named."""

from __future__ import annotations

import pytest

from llmgate.pipeline.holders import find_holder, find_keeper
from llmgate.spec import InvalidRequestError, ModelNotFoundError, Operation
from scripted import OpenBench

KEYS = {"OPENAI_API_KEY": "o", "ANTHROPIC_API_KEY": "a", "GEMINI_API_KEY": "g"}
SEED = {
    "my-router": {"load-balance": {"chat": {"strategy": "latency", "providers": ["openai", "anthropic", "gemini"]}}}
}
BOTH = {"both": {"load-balance": {"chat": {"strategy": "latency", "providers": ["openai", "groq", "anthropic"]}}}}


async def test_files_belong_to_whom_the_client_speaks_like(bench: OpenBench) -> None:
    async with bench(environment=KEYS, providers={}, routers=SEED) as b:
        snapshot = b.pipeline.snapshot
        for router in (None, "my-router"):
            assert find_holder(snapshot, router, None, Operation.FILES).name == "openai"
            assert find_holder(snapshot, router, None, Operation.BATCHES, "anthropic").name == "anthropic"
        with pytest.raises(ModelNotFoundError, match="batches of anthropic's"):
            find_holder(snapshot, None, "openai", Operation.BATCHES, "anthropic")


async def test_an_id_alone_is_the_only_speakers_or_that_of_the_one_named(bench: OpenBench) -> None:
    keys = {**KEYS, "GROQ_API_KEY": "q"}
    async with bench(environment=keys, providers={}, routers={**SEED, **BOTH}) as b:
        snapshot = b.pipeline.snapshot
        assert find_keeper(snapshot, "my-router", None, "openai-responses").name == "openai"
        assert find_keeper(snapshot, None, "groq", "openai-responses").name == "groq"
        for router in (None, "both"):
            with pytest.raises(InvalidRequestError, match=r"\?provider=") as several:
                find_keeper(snapshot, router, None, "openai-responses")
            assert several.value.code == "ambiguous_provider"
        for router, named in ((None, "anthropic"), (None, "nobody"), ("my-router", "groq"), ("none", None)):
            with pytest.raises(ModelNotFoundError):
                find_keeper(snapshot, router, named, "openai-responses")
    async with bench(environment={"ANTHROPIC_API_KEY": "a"}, providers={}, routers={}) as b:
        with pytest.raises(ModelNotFoundError) as nobody:
            find_keeper(b.pipeline.snapshot, None, None, "openai-responses")
        assert nobody.value.code == "operation_not_supported"
