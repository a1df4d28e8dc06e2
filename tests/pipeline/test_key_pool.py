from __future__ import annotations

import collections
import math
import random
from typing import Any

import pytest

from llmgate.pipeline.key_pool import PooledKey, is_about_the_key, spread
from llmgate.spec import (
    NoDeploymentError,
    ProviderAuthenticationError,
    ProviderConnectionError,
    ProviderError,
    ProviderRateLimitError,
)
from llmgate.testing.samples import sample_deployment
from scripted import MESSAGES, Bench, OpenBench, completion, failure, streamed

KEYS = {"K1": "value-1", "K2": "value-2", "K3": "value-3", "BETA_API_KEY": "key-of-beta"}
POOL: dict[str, Any] = {
    "alpha": {"base-url": "https://alpha.test/v1", "secrets": ["env:K1", "env:K2", "env:K3"]},
    "beta": {"base-url": "https://beta.test/v1"},
}
LOST = ProviderConnectionError("alpha cannot be reached", provider_name="alpha", retryable=True)


def keys_of(b: Bench) -> list[str]:
    return [request.headers["authorization"].removeprefix("Bearer ") for request in b.transport.requests]


async def ask(b: Bench, model: str = "alpha/m", **options: Any) -> str:
    answer = await b.pipeline.complete(model=model, messages=MESSAGES, **options)
    return answer.text


@pytest.mark.parametrize("status", [429, 401, 403])
async def test_the_next_key_is_tried_where_one_is_limited_or_refused(bench: OpenBench, status: int) -> None:
    async with bench(failure(status), failure(status), completion("yes"), providers=POOL, environment=KEYS) as b:
        assert await ask(b) == "yes"
        assert sorted(keys_of(b)) == ["value-1", "value-2", "value-3"]
        (record,) = await b.records()
        assert sorted(str(attempt.credential_ref) for attempt in record.attempts) == ["env:K1", "env:K2", "env:K3"]
        assert {attempt.deployment for attempt in record.attempts} == {"alpha/m"}
        assert "value-" not in repr(record)


@pytest.mark.parametrize("status", [429, 401, 403])
async def test_that_key_rests_and_no_other(bench: OpenBench, status: int) -> None:
    answers = [failure(status), *[completion()] * 50]
    async with bench(*answers, providers=POOL, environment=KEYS) as b:
        for _ in range(20):
            await ask(b)
        first, *others = keys_of(b)
        assert first not in others
        assert set(others) == {"value-1", "value-2", "value-3"} - {first}
        await b.clock.advance(120)
        for _ in range(20):
            await ask(b)
        assert first in keys_of(b)[21:], "and comes back"


async def test_a_key_rests_for_as_long_as_the_provider_says(bench: OpenBench) -> None:
    answers = [failure(429, **{"retry-after": "30"}), *[completion()] * 100]
    async with bench(*answers, providers=POOL, environment=KEYS) as b:
        await ask(b)
        limited = keys_of(b)[0]
        await b.clock.advance(29)
        for _ in range(20):
            await ask(b)
        assert limited not in keys_of(b)[1:]
        await b.clock.advance(2)
        for _ in range(20):
            await ask(b)
        assert limited in keys_of(b)[22:]


async def test_a_failure_of_the_provider_is_not_asked_of_its_other_keys(bench: OpenBench) -> None:
    async with bench(failure(500), completion("from beta"), providers=POOL, environment=KEYS) as b:
        assert await ask(b, "m", router="main") == "from beta"
        assert [url.split("/")[2] for url in b.urls] == ["alpha.test", "beta.test"]
    async with bench(LOST, failure(503), providers=POOL, environment=KEYS) as b:
        with pytest.raises(ProviderError):
            await ask(b, "m", router="main")
        assert len(b.urls) == 2


async def test_when_every_key_is_limited_the_next_provider_is_asked(bench: OpenBench) -> None:
    async with bench(*[failure(429)] * 3, completion("from beta"), providers=POOL, environment=KEYS) as b:
        assert await ask(b, "m", router="main") == "from beta"
        assert [url.split("/")[2] for url in b.urls] == ["alpha.test"] * 3 + ["beta.test"]
        b.transport.add(completion("from beta"))
        assert await ask(b, "m", router="main") == "from beta"
        assert len(b.urls) == 5, "all of them rest now"


async def test_trying_another_key_costs_nothing_of_the_retry_budget(bench: OpenBench) -> None:
    nothing = {"global": {"retry-budget": {"floor": 0, "ratio": 0}}}
    async with bench(failure(429), completion("yes"), providers=POOL, environment=KEYS, **nothing) as b:
        assert await ask(b) == "yes"


async def test_a_stream_that_is_limited_goes_on_with_the_next_key(bench: OpenBench) -> None:
    async with bench(failure(429), streamed("a", "b"), providers=POOL, environment=KEYS) as b:
        async with b.pipeline.stream(model="alpha/m", messages=MESSAGES) as chunks:
            text = "".join([chunk.text async for chunk in chunks])
        assert text == "ab"
        assert len(set(keys_of(b))) == 2


async def test_a_key_that_is_missing_is_passed_over(bench: OpenBench) -> None:
    async with bench(*[completion()] * 20, providers=POOL, environment={"K2": "value-2"}) as b:
        for _ in range(20):
            await ask(b)
        assert set(keys_of(b)) == {"value-2"}


async def test_without_any_key_every_variable_is_named(bench: OpenBench) -> None:
    async with bench(providers=POOL, environment={}) as b:
        with pytest.raises(NoDeploymentError) as caught:
            await ask(b)
        assert all(name in caught.value.message for name in ("K1", "K2", "K3"))


async def test_a_key_that_is_missing_does_not_hide_the_models_of_the_provider(bench: OpenBench) -> None:
    pool = {"alpha": {**POOL["alpha"], "models": ["m"]}}
    for environment, listed in (({"K2": "value-2"}, ["alpha/m"]), ({}, [])):
        async with bench(providers=pool, routers={}, environment=environment) as b, b.pipeline.exchange() as exchange:
            assert [entry.id for entry in await exchange.models()] == listed


async def test_a_router_that_waits_differently_has_the_same_keys(bench: OpenBench) -> None:
    balance = {"chat": {"strategy": "priority", "providers": ["alpha"]}}
    routers = {"main": {"load-balance": balance, "timeouts": {"first-byte": "7s"}}}
    async with bench(failure(429), completion(), providers=POOL, environment=KEYS, routers=routers) as b:
        await ask(b, "m", router="main")
        assert len(set(keys_of(b))) == 2


async def test_a_reload_keeps_what_is_known_of_each_key(bench: OpenBench) -> None:
    async with bench(failure(429), *[completion()] * 30, providers=POOL, environment=KEYS) as b:
        await ask(b)
        before = set(b.pipeline.snapshot.runtimes)
        await b.pipeline.reload()
        assert set(b.pipeline.snapshot.runtimes) == before
        for _ in range(20):
            await ask(b)
        first, *others = keys_of(b)
        assert first not in others


def test_keys_are_drawn_by_weight() -> None:
    """100,000 draws, each share within three standard deviations of what its weight asks for."""
    draws, weights = 100_000, (1.0, 2.0, 5.0)
    one = sample_deployment()
    pool = [PooledKey(sample_deployment().provider, weight) for weight in weights]
    first = {id(key.provider): place for place, key in enumerate(pool)}
    chance = random.Random(7).random
    seen = collections.Counter(first[id(spread({one.provider: pool}, [one], chance)[0].provider)] for _ in range(draws))
    for place, weight in enumerate(weights):
        share = weight / sum(weights)
        assert abs(seen[place] - draws * share) <= 3 * math.sqrt(draws * share * (1 - share))


@pytest.mark.parametrize(
    ("error", "about"),
    [
        (ProviderRateLimitError("x"), True),
        (ProviderAuthenticationError("x", upstream_status=403), True),
        (ProviderError("x", upstream_status=429), True),
        (ProviderError("x", upstream_status=500), False),
        (LOST, False),
    ],
)
def test_what_another_key_may_do_better(error: ProviderError, about: bool) -> None:
    assert is_about_the_key(error) is about
