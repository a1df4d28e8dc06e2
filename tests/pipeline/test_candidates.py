from __future__ import annotations

from typing import Any

import attrs
import pytest

from llmgate.formats import get_format, read_request
from llmgate.pipeline import candidates
from llmgate.pipeline.candidates import (
    candidates_for,
    find_candidates,
    is_served,
    keepers,
    permitted,
)
from llmgate.spec import (
    InvalidRequestError,
    ModelNotFoundError,
    NoDeploymentError,
    Operation,
    PermissionDeniedError,
    Principal,
    ProviderError,
)
from scripted import MESSAGES, OpenBench, completion, failure

KEYS = {"OPENAI_API_KEY": "o", "ANTHROPIC_API_KEY": "a", "GEMINI_API_KEY": "g"}
SEED = {
    "my-router": {
        "load-balance": {"chat": {"strategy": "latency", "providers": ["openai", "anthropic", "gemini"]}},
    }
}


def ids(b: Any, model: str, router: str | None = None) -> list[str]:
    found = find_candidates(b.pipeline.snapshot, router, model, Operation.CHAT)
    return [deployment.id for deployment in found.deployments]


async def test_the_seeds_router_serves_a_bare_name_by_each_of_its_vendors(bench: OpenBench) -> None:
    async with bench(environment=KEYS, providers={}, routers=SEED) as b:
        openai, anthropic, gemini = ids(b, "gpt-4o-mini", "my-router")
        assert openai == "openai/gpt-4o-mini"
        assert anthropic.startswith("anthropic/claude-")
        assert gemini.startswith("gemini/gemini-")


async def test_a_dated_name_is_mapped_like_its_family(bench: OpenBench) -> None:
    async with bench(environment=KEYS, providers={}, routers=SEED) as b:
        dated, plain = ids(b, "gpt-4o-mini-2024-07-18", "my-router"), ids(b, "gpt-4o-mini", "my-router")
        assert dated[0] == "openai/gpt-4o-mini-2024-07-18"
        assert dated[1:] == plain[1:]


async def test_on_a_router_a_provider_named_in_the_model_keeps_its_name_and_the_others_are_mapped(
    bench: OpenBench,
) -> None:
    async with bench(environment=KEYS, providers={}, routers=SEED) as b:
        assert ids(b, "openai/gpt-4o-mini", "my-router") == ids(b, "gpt-4o-mini", "my-router")


async def test_a_router_of_one_vendor_substitutes_nothing(bench: OpenBench) -> None:
    routers = {"one": {"load-balance": {"chat": {"strategy": "priority", "providers": ["anthropic"]}}}}
    async with bench(environment=KEYS, providers={}, routers=routers) as b:
        assert ids(b, "gpt-4o-mini", "one") == ["anthropic/gpt-4o-mini"]


async def test_the_routers_own_mapping_replaces_the_default(bench: OpenBench) -> None:
    routers = {"r": {**SEED["my-router"], "model-mappings": {"gpt-4o-mini": ["anthropic/special"]}}}
    async with bench(environment=KEYS, providers={}, routers=routers) as b:
        assert ids(b, "gpt-4o-mini", "r") == ["openai/gpt-4o-mini", "anthropic/special"]


async def test_an_empty_default_mapping_turns_substitution_off(bench: OpenBench) -> None:
    async with bench(environment=KEYS, providers={}, routers=SEED, **{"default-model-mapping": {}}) as b:
        assert ids(b, "gpt-4o-mini", "my-router") == ["openai/gpt-4o-mini"]


async def test_a_model_that_no_list_knows_passes_through(bench: OpenBench) -> None:
    async with bench() as b:
        assert ids(b, "brand-new-model", "main") == ["alpha/brand-new-model", "beta/brand-new-model"]
        assert ids(b, "alpha/vendor/brand-new") == ["alpha/vendor/brand-new"]


async def test_on_the_unified_api_a_bare_name_goes_to_whom_it_plainly_belongs(bench: OpenBench) -> None:
    async with bench(environment=KEYS, providers={"openai": {}, "anthropic": {}, "gemini": {}}, routers={}) as b:
        assert ids(b, "gpt-4o-mini") == ["openai/gpt-4o-mini"]
        assert ids(b, "claude-haiku-4-5") == ["anthropic/claude-haiku-4-5"]
        assert ids(b, "gemini-2.5-flash") == ["gemini/gemini-2.5-flash"]


async def test_a_bare_name_goes_to_the_only_provider_there_is(bench: OpenBench) -> None:
    only = {"local": {"base-url": "http://127.0.0.1:9/v1", "keyless": True}}
    async with bench(environment={}, providers=only, routers={}) as b:
        assert ids(b, "whatever") == ["local/whatever"]


async def test_a_bare_name_that_nobody_knows_is_not_guessed_at(bench: OpenBench) -> None:
    async with bench() as b:
        with pytest.raises(ModelNotFoundError, match="write provider/model with one of alpha, beta"):
            ids(b, "mystery")


async def test_models_that_the_operator_lists_decide(bench: OpenBench) -> None:
    providers = {
        "alpha": {"base-url": "https://alpha.test/v1", "models": ["small"]},
        "beta": {"base-url": "https://beta.test/v1", "models": ["small", "large"]},
    }
    async with bench(providers=providers) as b:
        assert ids(b, "small") == ["alpha/small", "beta/small"]
        assert ids(b, "large") == ["beta/large"]
        assert ids(b, "large", "main") == ["beta/large"]


async def test_a_vendor_that_is_not_configured_is_named_with_its_variable(bench: OpenBench) -> None:
    async with bench() as b:
        with pytest.raises(ModelNotFoundError, match="set GROQ_API_KEY"):
            ids(b, "groq/llama")


async def test_a_router_can_be_named_in_the_model(bench: OpenBench) -> None:
    async with bench() as b:
        assert ids(b, "main/m") == ["alpha/m", "beta/m"]
        assert ids(b, "router/main/m") == ["alpha/m", "beta/m"]
        with pytest.raises(ModelNotFoundError, match="needs a model"):
            ids(b, "main")


async def test_a_router_over_models_ignores_the_model_asked_for(bench: OpenBench) -> None:
    balance = {
        "strategy": "model-weighted",
        "models": [{"model": "alpha/x", "weight": 0.5}, {"model": "beta/y", "weight": 0.5}],
    }
    async with bench(routers={"mix": {"load-balance": {"chat": balance}}}) as b:
        assert ids(b, "anything", "mix") == ["alpha/x", "beta/y"]
        assert ids(b, "mix") == ["alpha/x", "beta/y"]


async def test_a_router_over_models_by_latency_takes_the_group_asked_for(bench: OpenBench) -> None:
    balance = {"strategy": "model-latency", "models": ["alpha/x", "beta/x", "beta/y"]}
    async with bench(routers={"mix": {"load-balance": {"chat": balance}}}) as b:
        assert ids(b, "x", "mix") == ["alpha/x", "beta/x"]
        with pytest.raises(ModelNotFoundError, match="use one of x, y"):
            ids(b, "z", "mix")


async def test_a_relay_only_vendor_serves_no_chat(bench: OpenBench) -> None:
    async with bench(environment={"FIRECRAWL_API_KEY": "k"}, providers={"firecrawl": {}}, routers={}) as b:
        with pytest.raises((ModelNotFoundError, NoDeploymentError)):
            ids(b, "firecrawl/x")


async def test_a_principal_keeps_only_what_its_patterns_allow(bench: OpenBench) -> None:
    async with bench() as b:
        found = find_candidates(b.pipeline.snapshot, "main", "m-1", Operation.CHAT).deployments
        assert permitted(Principal("p"), found, "m-1") == found
        assert [one.id for one in permitted(Principal("p", models=["beta/*"]), found, "m-1")] == ["beta/m-1"]
        assert len(permitted(Principal("p", models=["m-*"]), found, "m-1")) == 2
        with pytest.raises(PermissionDeniedError, match="may not call model 'm-1'"):
            permitted(Principal("p", models=["other"]), found, "m-1")


async def test_what_is_denied_is_left_out_of_what_is_allowed(bench: OpenBench) -> None:
    async with bench() as b:
        found = find_candidates(b.pipeline.snapshot, "main", "m-1", Operation.CHAT).deployments
        kept = permitted(Principal("p", denied_models=["ALPHA/*"]), found, "m-1")
        assert [one.id for one in kept] == ["beta/m-1"]
        with pytest.raises(PermissionDeniedError, match="may not call model 'm-1'"):
            permitted(Principal("p", models=["*"], denied_models=["m-*"]), found, "m-1")


@pytest.mark.parametrize("asked", ["fast", "fast,beta/other", "beta/other, Fast"])
async def test_a_name_of_the_operators_is_denied_with_all_that_it_stands_for(bench: OpenBench, asked: str) -> None:
    async with bench(models={"fast": "alpha/small-1", "Fast": "alpha/small-1"}) as b:
        found = find_candidates(b.pipeline.snapshot, None, asked, Operation.CHAT).deployments
        assert [*permitted(Principal("p", denied_models=["slow"]), found, asked)] == [*found]
        with pytest.raises(PermissionDeniedError):
            permitted(Principal("p", denied_models=["fast"]), found, asked)


async def test_each_model_of_a_chain_is_allowed_or_left_out(bench: OpenBench) -> None:
    async with bench() as b:
        asked = "alpha/m-1,beta/m-2,alpha/m-3"
        found = find_candidates(b.pipeline.snapshot, None, asked, Operation.CHAT).deployments
        kept = permitted(Principal("p", denied_models=["m-1", "alpha/m-3"]), found, asked)
        assert [one.id for one in kept] == ["beta/m-2"]


MODELS = {
    "fast": "alpha/small-1",
    "smart": ["beta/big-2", "alpha/big-1"],
    "house-*": ["alpha/*", "beta/*"],
    "gone": "groq/llama",
}


async def test_names_of_the_operators_own_stand_for_models_in_order_of_trial(bench: OpenBench) -> None:
    async with bench(models=MODELS) as b:
        assert ids(b, "fast") == ["alpha/small-1"]
        assert ids(b, "smart") == ["beta/big-2", "alpha/big-1"]
        assert ids(b, "house-m7") == ["alpha/m7", "beta/m7"]
        assert ids(b, "alpha/fast") == ["alpha/fast"], "a provider that is named is asked for what is written"
        with pytest.raises(ModelNotFoundError, match="stands for groq/llama"):
            ids(b, "gone")


async def test_names_of_the_operators_own_are_listed(bench: OpenBench) -> None:
    async with bench(models=MODELS) as b:
        assert [entry.id for entry in await b.pipeline.models()][:3] == ["fast", "smart", "gone"]


async def test_a_routers_mapping_may_hold_patterns(bench: OpenBench) -> None:
    routers = {
        "r": {
            "load-balance": {"chat": {"strategy": "priority", "providers": ["alpha", "openai"]}},
            "model-mappings": {"gpt-*": ["alpha/local-*"]},
        }
    }
    async with bench(routers=routers, environment=KEYS) as b:
        assert ids(b, "gpt-5", "r") == ["alpha/local-5", "openai/gpt-5"]


@pytest.mark.parametrize(
    ("wire_format", "body", "provider"),
    [
        ("gemini-count-tokens", b'{"contents": []}', "gemini"),
        ("anthropic-count-tokens", b'{"model": "claude-haiku-4-5", "max_tokens": 1, "messages": []}', "anthropic"),
    ],
)
async def test_what_cannot_be_translated_goes_to_those_who_speak_it(
    bench: OpenBench, wire_format: str, body: bytes, provider: str
) -> None:
    members = {"load-balance": {"chat": {"strategy": "latency", "providers": ["openai", "anthropic", "gemini"]}}}
    providers: dict[str, Any] = {"openai": {}, "anthropic": {}, "gemini": {}}
    async with bench(environment=KEYS, providers=providers, routers={"all": members}) as b:
        asked = read_request(get_format(wire_format), body, model="claude-haiku-4-5", router="all")
        snapshot = b.pipeline.snapshot
        assert [one.provider_name for one in candidates_for(snapshot, asked).deployments] == [provider]
        assert is_served(snapshot, asked)
        elsewhere = attrs.evolve(asked, model="openai/gpt-4o", router=None)
        assert not is_served(snapshot, elsewhere)


BOTH = {"both": {"load-balance": {"chat": {"strategy": "latency", "providers": ["openai", "groq", "anthropic"]}}}}


async def test_what_refers_to_something_kept_goes_where_it_can_be_only(bench: OpenBench) -> None:
    keys = {**KEYS, "GROQ_API_KEY": "q"}
    body = b'{"model":"m","input":"on","previous_response_id":"resp_1"}'
    request = read_request(get_format("openai-responses"), body)
    async with bench(environment=keys, providers={}, routers={**SEED, **BOTH}) as b:
        snapshot = b.pipeline.snapshot
        kept = keepers(find_candidates(snapshot, "my-router", "gpt-4o-mini", Operation.CHAT), request)
        assert [one.id for one in kept.deployments] == ["openai/gpt-4o-mini"]
        with pytest.raises(InvalidRequestError, match="say which") as several:
            keepers(find_candidates(snapshot, "both", "openai/gpt-oss-20b", Operation.CHAT), request)
        assert (several.value.code, several.value.param) == ("ambiguous_provider", "previous_response_id")
        with pytest.raises(InvalidRequestError, match="send the whole conversation") as nobody:
            keepers(find_candidates(snapshot, None, "claude-sonnet-5", Operation.CHAT), request)
        assert nobody.value.code == "unsupported_parameter"


CHAINED: dict[str, Any] = {
    "providers": {
        "alpha": {"base-url": "https://alpha.test/v1", "models": ["small", "large", "one,two"]},
        "beta": {"base-url": "https://beta.test/v1", "models": ["small", "tiny"]},
    },
    "models": {"fast": ["beta/tiny", "alpha/small"], "odd,name": "alpha/large"},
}


@pytest.mark.parametrize(
    ("model", "router", "expected"),
    [
        ("beta/x,alpha/y", None, ["beta/x", "alpha/y"]),
        ("beta/x, alpha/y, beta/x", None, ["beta/x", "alpha/y"]),
        ("tiny,small", None, ["beta/tiny", "alpha/small", "beta/small"]),
        ("small,!alpha", None, ["beta/small"]),
        ("!alpha,small", None, ["beta/small"]),
        ("fast,alpha/z,!beta", None, ["alpha/small", "alpha/z"]),
        ("small,!nobody", None, ["alpha/small", "beta/small"]),
        ("small,!alpha/small", None, ["beta/small"]),
        ("small,!alpha/other", None, ["alpha/small", "beta/small"]),
        ("odd,name", None, ["alpha/large"]),
        ("main/tiny,large", None, ["beta/tiny", "alpha/large"]),
        ("tiny,large", "main", ["beta/tiny", "alpha/large"]),
        ("small,!alpha", "main", ["beta/small"]),
    ],
)
async def test_a_chain_is_tried_in_its_own_order(
    bench: OpenBench, model: str, router: str | None, expected: list[str]
) -> None:
    async with bench(**CHAINED) as b:
        assert ids(b, model, router) == expected


@pytest.mark.parametrize(
    ("model", "message"),
    [
        ("small,unheard-of", "model 'unheard-of' is not known"),
        ("small,!alpha,!beta", "leaves out every provider"),
        (",", "is not known"),
        (",".join(f"alpha/m{number}" for number in range(17)), "17 models are asked for: name at most 16"),
        ("alpha/x,main/small", "'main/small' is not known"),
    ],
)
async def test_a_chain_that_leads_nowhere_says_why(bench: OpenBench, model: str, message: str) -> None:
    async with bench(**CHAINED) as b:
        with pytest.raises(ModelNotFoundError, match=message):
            ids(b, model)


async def test_an_exclusion_keeps_the_routers_strategy_and_an_order_of_ones_own_does_not(bench: OpenBench) -> None:
    balance = {"main": {"load-balance": {"chat": {"strategy": "latency", "providers": ["alpha", "beta"]}}}}
    async with bench(**CHAINED, routers=balance) as b:
        snapshot = b.pipeline.snapshot
        names = {
            model: find_candidates(snapshot, "main", model, Operation.CHAT).strategy.name
            for model in ("small", "small,!alpha", "tiny,large")
        }
        assert names == {"small": "latency", "small,!alpha": "latency", "tiny,large": "priority"}


async def test_a_strategy_that_orders_models_orders_those_of_a_chain(bench: OpenBench) -> None:
    balance = {"main": {"load-balance": {"chat": {"strategy": "cost", "providers": ["alpha", "beta"]}}}}
    prices = {"models": {"alpha/large": {"input": 9, "output": 9}, "*/tiny": {"input": 1, "output": 1}}}
    async with bench(failure(503), completion("from alpha"), **CHAINED, routers=balance, prices=prices) as b:
        answer = await b.pipeline.complete(model="large,small,tiny", router="main", messages=MESSAGES)
        assert answer.text == "from alpha"
        assert [body["model"] for body in b.bodies] == ["tiny", "large"]


async def test_every_hop_of_a_chain_needs_a_right(bench: OpenBench) -> None:
    async with bench(failure(500), completion("never"), **CHAINED) as b:
        limited = Principal("p", models=["alpha/x", "alpha/y"])
        with pytest.raises(ProviderError):
            await b.pipeline.complete(model="alpha/x,beta/x", messages=MESSAGES, principal=limited)
        assert b.urls == ["https://alpha.test/v1/chat/completions"]
        with pytest.raises(PermissionDeniedError, match="may not call"):
            await b.pipeline.complete(model="beta/x,beta/y", messages=MESSAGES, principal=limited)
        assert len(b.urls) == 1


async def test_each_hop_of_a_chain_is_asked_for_its_own_model(bench: OpenBench) -> None:
    async with bench(failure(503), completion("from beta"), **CHAINED) as b:
        answer = await b.pipeline.complete(model="alpha/x,beta/y", messages=MESSAGES)
        assert answer.text == "from beta"
        assert [body["model"] for body in b.bodies] == ["x", "y"]


async def test_what_a_name_has_led_to_is_remembered_and_not_for_ever(bench: OpenBench) -> None:
    async with bench(environment=KEYS, providers={}, routers={}) as b:
        snapshot = b.pipeline.snapshot
        first = find_candidates(snapshot, None, "openai/gpt-4o", Operation.CHAT)
        assert find_candidates(snapshot, None, "openai/gpt-4o", Operation.CHAT) is first
        assert find_candidates(snapshot, None, "openai/gpt-4o", Operation.EMBEDDINGS) is not first
        for number in range(2 * candidates.MOST_REMEMBERED):
            find_candidates(snapshot, None, f"openai/model-{number}", Operation.CHAT)
        assert len(snapshot.found) <= candidates.MOST_REMEMBERED
        longest = "openai/" + "x" * candidates.LONGEST_REMEMBERED
        assert find_candidates(snapshot, None, longest, Operation.CHAT).deployments[0].id == longest
        assert all(len(model) <= candidates.LONGEST_REMEMBERED for _, model, _ in snapshot.found)
