from __future__ import annotations

from typing import Any

import pytest

from llmgate.pipeline.models import list_models
from llmgate.spec import ModelNotFoundError, Principal, SecretRef
from scripted import OpenBench

PROVIDERS = {
    "alpha": {"base-url": "https://alpha.test/v1", "models": ["small", "large"]},
    "beta": {"base-url": "https://beta.test/v1", "models": ["tiny"]},
}
LOCAL = Principal.local()


def listed(b: Any, principal: Principal = LOCAL, router: str | None = None) -> list[str]:
    return [entry.id for entry in list_models(b.pipeline.snapshot, b.pipeline.secrets, principal, router)]


def balance(**settings: Any) -> dict[str, Any]:
    return {"load-balance": {"chat": settings}}


async def test_each_model_is_listed_by_the_name_that_reaches_it(bench: OpenBench) -> None:
    async with bench(providers=PROVIDERS) as b:
        assert listed(b) == ["alpha/small", "alpha/large", "beta/tiny"]
        owners = {e.id: e.owned_by for e in list_models(b.pipeline.snapshot, b.pipeline.secrets, LOCAL, None)}
        assert owners["beta/tiny"] == "beta"


async def test_a_router_lists_its_own_providers_models(bench: OpenBench) -> None:
    routers = {"one": balance(strategy="priority", providers=["beta"])}
    async with bench(providers=PROVIDERS, routers=routers) as b:
        assert listed(b, router="one") == ["beta/tiny"]


async def test_a_router_that_names_models_needs_none_and_is_a_model_itself(bench: OpenBench) -> None:
    models = [{"model": "alpha/small", "weight": 0.5}, {"model": "beta/tiny", "weight": 0.5}]
    routers = {"mix": balance(strategy="model-weighted", models=models)}
    async with bench(providers=PROVIDERS, routers=routers) as b:
        assert listed(b)[0] == "mix"
        assert listed(b, router="mix") == ["alpha/small", "beta/tiny"]


async def test_no_name_is_listed_twice(bench: OpenBench) -> None:
    repeated = {"alpha": {"base-url": "https://alpha.test/v1", "models": ["small", "large", "small"]}}
    async with bench(providers=repeated, routers={}) as b:
        assert listed(b) == ["alpha/small", "alpha/large"]


async def test_an_unknown_router_is_an_error_of_its_own(bench: OpenBench) -> None:
    async with bench(providers=PROVIDERS) as b:
        with pytest.raises(ModelNotFoundError, match="'nowhere' is not configured") as caught:
            listed(b, router="nowhere")
        assert caught.value.code == "router_not_found"


async def test_a_provider_without_its_credential_offers_nothing(bench: OpenBench) -> None:
    async with bench(providers=PROVIDERS, environment={"BETA_API_KEY": "k"}) as b:
        assert listed(b) == ["beta/tiny"]


async def test_who_is_bound_to_a_key_sees_what_it_reaches(bench: OpenBench) -> None:
    """The provider need not have a key of its own."""
    bound = Principal("p", secrets={"alpha": SecretRef("env", "TEAM_ALPHA")})
    routers = {"one": balance(strategy="priority", providers=["alpha"])}
    async with bench(providers=PROVIDERS, routers=routers, environment={"BETA_API_KEY": "k"}) as b:
        assert listed(b, bound) == ["alpha/small", "alpha/large", "beta/tiny"]
        assert listed(b, bound, router="one") == ["alpha/small", "alpha/large"]
        assert listed(b) == ["beta/tiny"]
        assert listed(b, router="one") == []


@pytest.mark.parametrize(
    ("patterns", "expected"),
    [
        (["*"], ["alpha/small", "alpha/large", "beta/tiny"]),
        (["small"], ["alpha/small"]),
        (["alpha/*"], ["alpha/small", "alpha/large"]),
        (["beta/small"], []),
        ([], []),
    ],
)
async def test_a_caller_sees_what_it_may_call(bench: OpenBench, patterns: list[str], expected: list[str]) -> None:
    async with bench(providers=PROVIDERS) as b:
        assert listed(b, Principal("p", models=patterns)) == expected
