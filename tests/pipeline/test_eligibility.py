from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pytest

from llmgate.formats import get_format, read_request
from llmgate.spec import Credentials, NoDeploymentError, PermissionDeniedError, Principal, ProviderError
from scripted import MESSAGES, Bench, OpenBench, completion, failure

PROVIDERS: dict[str, Any] = {
    "alpha": {"base-url": "https://alpha.test/v1", "keyless": True, "tags": ["region:eu", "tier:gold"]},
    "beta": {"base-url": "https://beta.test/v1", "keyless": True, "tags": ["region:us"]},
    "gamma": {"base-url": "https://gamma.test/v1", "keyless": True, "tags": ["region:eu"]},
}


def config(*members: Any, models: bool = False, **router: Any) -> dict[str, Any]:
    key = "models" if models else "providers"
    balance = {"chat": {"strategy": "priority", key: list(members) or ["beta", "alpha", "gamma"]}}
    return {"providers": PROVIDERS, "routers": {"main": {"load-balance": balance, **router}}}


async def ask(
    b: Bench,
    headers: Mapping[str, str] | None = None,
    model: str = "m",
    router: str | None = "main",
    principal: Principal | None = None,
) -> None:
    body = json.dumps({"model": model, "messages": MESSAGES}).encode()
    async with b.pipeline.exchange(credentials=Credentials(headers=headers or {}), principal=principal) as exchange:
        await exchange.send(read_request(get_format("openai-chat"), body, router=router))


def asked(b: Bench) -> list[str]:
    return [url.split("/")[2].removesuffix(".test") for url in b.urls]


async def fails(b: Bench, error: type[Exception], *arguments: Any, **options: Any) -> Any:
    with pytest.raises(error) as caught:
        await ask(b, *arguments, **options)
    return caught.value


# --- tags -------------------------------------------------------------------------------------------------------------


async def test_a_router_requires_tags_and_never_goes_outside(bench: OpenBench) -> None:
    async with bench(failure(503), failure(503), **config(**{"required-tags": ["region:eu"]})) as b:
        await fails(b, ProviderError)
        assert asked(b) == ["alpha", "gamma"]


async def test_the_unified_api_requires_tags(bench: OpenBench) -> None:
    unified = {"unified-api": {"required-tags": ["region:eu"]}}
    async with bench(completion(), **{**config(), **unified}) as b:
        await ask(b, model="beta/m,gamma/m", router=None)
        assert asked(b) == ["gamma"]
        error = await fails(b, NoDeploymentError, model="beta/m", router=None)
        assert error.code == "no_tagged_deployment"
        assert "region:eu" in error.message


@pytest.mark.parametrize(
    ("tags", "first"), [("region:eu", "alpha"), ("region:us", "beta"), ("region:eu, tier:gold", "alpha"), ("", "beta")]
)
async def test_a_request_requires_tags(bench: OpenBench, tags: str, first: str) -> None:
    async with bench(completion(), **config()) as b:
        await ask(b, {"llmgate-tags": tags})
        assert asked(b) == [first]


@pytest.mark.parametrize("attribute", ["region:eu, tier:gold", ["region:eu", "tier:gold"]])
async def test_a_caller_requires_tags_wherever_it_goes(bench: OpenBench, attribute: Any) -> None:
    caller = Principal("p", attributes={"required-tags": attribute})
    async with bench(completion(), completion(), **config()) as b:
        await ask(b, principal=caller)
        await ask(b, principal=caller, model="beta/m,alpha/n", router=None)
        assert asked(b) == ["alpha", "alpha"]
        for headers, router in (({}, None), ({"helicone-forced-routing": "beta"}, "main")):
            await fails(b, NoDeploymentError, headers, "beta/m", router, caller)
        places = json.dumps([{"target-url": "https://beta.test"}])
        await fails(b, NoDeploymentError, {"helicone-fallbacks": places}, principal=caller)
        assert asked(b) == ["alpha", "alpha"]


async def test_what_everybody_requires_is_required_together(bench: OpenBench) -> None:
    caller = Principal("p", attributes={"required-tags": "tier:gold"})
    async with bench(**config(**{"required-tags": ["region:us"]})) as b:
        error = await fails(b, NoDeploymentError, {"llmgate-tags": "fast"}, principal=caller)
        assert "fast, region:us, tier:gold" in error.message
        assert (error.http_status, b.urls) == (503, [])


async def test_an_entry_adds_to_the_tags_of_its_provider(bench: OpenBench) -> None:
    members = [{"model": "beta/a", "tags": ["fast"]}, "beta/b", {"model": "alpha/c", "tags": ["fast"]}]
    async with bench(completion(), completion(), **config(*members, models=True)) as b:
        await ask(b, {"llmgate-tags": "fast"})
        await ask(b, {"llmgate-tags": "fast,region:eu"})
        assert [body["model"] for body in b.bodies] == ["a", "c"]


async def test_a_larger_model_without_the_tags_is_not_tried(bench: OpenBench) -> None:
    too_long = failure(400, "This model's maximum context length is 10 tokens")
    routers = {"required-tags": ["region:eu"], "larger-models": ["beta/large"]}
    async with bench(too_long, **config(**routers)) as b:
        await fails(b, ProviderError)
        assert asked(b) == ["alpha"]


async def test_tags_are_data_of_one_pipeline_and_keep_each_other_in_place_over_a_reload(bench: OpenBench) -> None:
    async with bench(completion(), completion(), **config(**{"required-tags": ["region:eu"]})) as b:
        await ask(b)
        await b.pipeline.reload()
        await ask(b)
        assert asked(b) == ["alpha", "alpha"]


# --- callers ----------------------------------------------------------------------------------------------------------


RESEARCH = Principal("r", issuer="keys", attributes={"team": "research"})
SALES = Principal("s", issuer="keys", attributes={"team": "sales", "groups": ["a", "vip-1"]})
NOBODY = Principal("n")
MEMBERS = [
    {"provider": "alpha", "for": {"team": "research"}},
    {"provider": "beta", "for": {"groups": ["vip-*"], "team": "sales"}},
    "gamma",
]


@pytest.mark.parametrize(("who", "where"), [(RESEARCH, "alpha"), (SALES, "beta"), (NOBODY, "gamma")])
async def test_the_same_model_leads_each_caller_elsewhere(bench: OpenBench, who: Principal, where: str) -> None:
    async with bench(failure(503), **config(*MEMBERS)) as b:
        await fails(b, ProviderError, principal=who)
        assert asked(b) == [where], "and not to what is kept for others, nor for everybody else"


async def test_one_provider_may_be_kept_for_some_and_serve_the_others(bench: OpenBench) -> None:
    members = ["alpha", {"provider": "beta", "for": {"id": "r"}}, {"provider": "alpha", "for": {"id": "r"}}]
    async with bench(failure(503), completion(), completion(), **config(*members)) as b:
        await ask(b, principal=RESEARCH)
        assert asked(b) == ["beta", "alpha"]
        await ask(b, principal=NOBODY)
        assert asked(b)[2:] == ["alpha"]


async def test_who_is_kept_out_everywhere_gets_nothing(bench: OpenBench) -> None:
    async with bench(**config(MEMBERS[0])) as b:
        error = await fails(b, PermissionDeniedError, principal=NOBODY)
        assert error.code == "model_not_allowed"
        assert b.urls == []


@pytest.mark.parametrize(("who", "model"), [(RESEARCH, "large"), (SALES, "small"), (NOBODY, "small")])
@pytest.mark.parametrize("name", ["smart", "smart-1"])
async def test_an_operators_name_leads_each_caller_elsewhere(
    bench: OpenBench, who: Principal, model: str, name: str
) -> None:
    entries = [{"model": "alpha/large", "for": {"team": "research"}}, "beta/small"]
    models = {"smart": entries, "smart-*": entries}
    async with bench(completion(), **config(), models=models) as b:
        await ask(b, model=name, router=None, principal=who)
        assert b.bodies[0]["model"] == model


async def test_a_static_key_says_whose_it_is(bench: OpenBench) -> None:
    keys = [
        {"name": "r", "secret": "env:KEY_R", "attributes": {"team": "research"}},
        {"name": "s", "secret": "env:KEY_S", "attributes": {"required-tags": "region:us"}},
    ]
    auth = {"auth": [{"use": "static-keys", "keys": keys}]}
    environment = {"KEY_R": "key-of-research-department", "KEY_S": "key-of-sales-department"}
    both = config({"provider": "alpha", "for": {"team": "research"}}, "gamma", "beta")
    async with bench(completion(), completion(), **both, **auth, environment=environment) as b:
        for key in environment.values():
            await b.pipeline.complete(router="main", model="m", messages=MESSAGES, api_key=key)
        assert asked(b) == ["alpha", "beta"]
