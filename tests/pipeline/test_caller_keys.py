"""A key that the caller brings goes to its own provider and to nobody else, and only where the operator lets it."""

from __future__ import annotations

from typing import Any

import pytest

from llmgate.pipeline.caller_keys import CallerKey, judged_apart, mark_of, of_one_vendor
from llmgate.pipeline.candidates import find_candidates
from llmgate.spec import (
    Credentials,
    GatewayRequest,
    InvalidRequestError,
    NoDeploymentError,
    Operation,
    Principal,
    ProviderAuthenticationError,
    ProviderError,
    ProviderRateLimitError,
    RelayTarget,
    Secret,
    SecretRef,
)
from llmgate.testing.clock import FakeClock
from llmgate.testing.transport import json_answer, stream_answer
from scripted import MESSAGES, OpenBench, completion, failure, streamed

OWN = Credentials(tokens={"helicone-auth": "sk-gateway"}, provider_key="sk-own")
PROVIDERS: dict[str, Any] = {"openai": {}, "anthropic": {}, "alpha": {"base-url": "https://alpha.test/v1"}}
KEYS = {"OPENAI_API_KEY": "key-of-openai", "ANTHROPIC_API_KEY": "key-of-anthropic", "ALPHA_API_KEY": "key-of-alpha"}
VENDORS = {
    "providers": PROVIDERS,
    "routers": {"main": {"load-balance": {"chat": {"strategy": "priority", "providers": ["anthropic", "openai"]}}}},
    "environment": KEYS,
}
ALLOWED = {"global": {"allow-caller-keys": True}}


def relayed(path: str = "/v1/things") -> GatewayRequest:
    return GatewayRequest(Operation.RELAY, "", b"{}", "", stream=False, relay=RelayTarget("POST", path))


def keys_sent(b: Any) -> list[str]:
    return [request.headers["authorization"].removeprefix("Bearer ") for request in b.transport.requests]


@pytest.mark.parametrize(
    ("sections", "router", "key"),
    [
        ({}, None, "key-of-alpha"),
        ({"global": {"allow-caller-keys": False}}, None, "key-of-alpha"),
        (ALLOWED, None, "sk-own"),
        ({"unified-api": {"allow-caller-keys": True}}, None, "sk-own"),
        ({"unified-api": {"allow-caller-keys": True}}, "main", "key-of-alpha"),
        ({**ALLOWED, "unified-api": {"allow-caller-keys": False}}, None, "key-of-alpha"),
        (ALLOWED, "main", "sk-own"),
    ],
)
async def test_the_scope_of_a_request_says_whether_a_callers_key_counts(
    bench: OpenBench, sections: dict[str, Any], router: str | None, key: str
) -> None:
    async with bench(completion(), **sections) as b:
        await b.pipeline.complete(model="alpha/m", messages=MESSAGES, credentials=OWN, router=router)
        assert keys_sent(b) == [key]


async def test_a_router_says_it_for_itself(bench: OpenBench) -> None:
    main = {"load-balance": {"chat": {"strategy": "priority", "providers": ["alpha"]}}, "allow-caller-keys": True}
    async with bench(completion(), completion(), routers={"main": main}) as b:
        await b.pipeline.complete(model="alpha/m", messages=MESSAGES, credentials=OWN, router="main")
        await b.pipeline.complete(model="alpha/m", messages=MESSAGES, credentials=OWN)
        assert keys_sent(b) == ["sk-own", "key-of-alpha"]


@pytest.mark.parametrize("own", [None, Credentials.of("sk-gateway"), Credentials(tokens={"helicone-auth": "k"})])
async def test_who_brings_none_uses_the_operators(bench: OpenBench, own: Credentials | None) -> None:
    async with bench(completion(), **ALLOWED) as b:
        await b.pipeline.complete(model="alpha/m", messages=MESSAGES, credentials=own)
        assert keys_sent(b) == ["key-of-alpha"]


@pytest.mark.parametrize("answer", [failure(500), failure(429), failure(401), failure(404), ConnectionError("gone")])
async def test_failover_never_takes_the_key_to_another_vendor(bench: OpenBench, answer: Any) -> None:
    answer = ProviderError("gone", retryable=True) if isinstance(answer, ConnectionError) else answer
    async with bench(answer, completion(), **VENDORS, **ALLOWED) as b:
        with pytest.raises(ProviderError):
            await b.pipeline.complete(model="gpt-4o-mini", messages=MESSAGES, credentials=OWN, router="main")
        assert b.urls == ["https://api.openai.com/v1/chat/completions"], "not first in the list, but the model's own"
        assert keys_sent(b) == ["sk-own"]


async def test_a_model_that_is_plainly_of_no_vendor_is_refused_before_anything_is_sent(bench: OpenBench) -> None:
    async with bench(**VENDORS, **ALLOWED) as b:
        with pytest.raises(InvalidRequestError, match="say which, as in the model") as caught:
            await b.pipeline.complete(model="some-model", messages=MESSAGES, credentials=OWN, router="main")
        assert (caught.value.code, caught.value.param) == ("ambiguous_provider", "model")
        with pytest.raises(InvalidRequestError):
            await b.pipeline.complete(
                model="openai/gpt-4o,anthropic/claude-sonnet-4-5", messages=MESSAGES, credentials=OWN
            )
        assert not b.transport.requests


async def test_a_refusal_of_the_callers_key_comes_back_as_it_is(bench: OpenBench) -> None:
    said = {"error": {"message": "Incorrect API key provided: sk-own.", "type": "x", "code": "invalid_api_key"}}
    async with bench(json_answer(said, status=401), json_answer(said, status=401), **ALLOWED) as b:
        with pytest.raises(ProviderError) as caught:
            await b.pipeline.complete(model="alpha/m", messages=MESSAGES, credentials=OWN)
        assert caught.value.http_status == 401
        assert b"Incorrect API key provided: sk-own." in (caught.value.body or b"")
        async with b.pipeline.exchange(credentials=OWN) as x:
            answer = await x.relay("alpha", relayed())
            assert answer.status == 401
            assert b"Incorrect API key" in b"".join([piece async for piece in answer])


async def test_a_refused_operators_key_is_still_nobodys_business(bench: OpenBench) -> None:
    said = {"error": {"message": "Incorrect API key provided: key-***", "code": "invalid_api_key"}}
    async with bench(json_answer(said, status=401), **ALLOWED) as b:
        with pytest.raises(ProviderError) as caught:
            await b.pipeline.complete(model="alpha/m", messages=MESSAGES)
        assert isinstance(caught.value, ProviderAuthenticationError)
        assert caught.value.body is None
        assert "***" not in str(caught.value)


async def test_a_direct_relay_takes_it_to_the_provider_that_the_address_names(bench: OpenBench) -> None:
    async with bench(stream_answer(b"{}"), **VENDORS, **ALLOWED) as b:
        async with b.pipeline.exchange(credentials=OWN) as x:
            answer = await x.relay("anthropic", relayed("/v1/complete"))
            assert b"".join([piece async for piece in answer]) == b"{}"
        (sent,) = b.transport.requests
        assert (sent.headers["x-api-key"], "authorization" in sent.headers) == ("sk-own", False)


async def test_a_stream_takes_it_as_well(bench: OpenBench) -> None:
    async with bench(streamed("hi"), **ALLOWED) as b:
        async with b.pipeline.stream(model="alpha/m", messages=MESSAGES, credentials=OWN) as chunks:
            assert [chunk async for chunk in chunks]
        assert keys_sent(b) == ["sk-own"]


async def test_a_spent_account_of_one_caller_rests_the_provider_for_nobody_else(bench: OpenBench) -> None:
    async with bench(*[failure(429)] * 30, completion(), **ALLOWED) as b:
        for _ in range(30):
            with pytest.raises(ProviderRateLimitError):
                await b.pipeline.complete(model="alpha/m", messages=MESSAGES, credentials=OWN, router="main")
        await b.pipeline.complete(model="m", messages=MESSAGES, router="main")
        assert b.urls[-1] == "https://alpha.test/v1/chat/completions"
        assert keys_sent(b)[-1] == "key-of-alpha"


async def test_the_record_tells_the_key_from_others_and_shows_none_of_it(bench: OpenBench) -> None:
    async with bench(completion(), **ALLOWED) as b:
        await b.pipeline.complete(model="alpha/m", messages=MESSAGES, credentials=OWN)
        (record,) = await b.records()
        assert record.attempts[0].credential_fingerprint == Secret("sk-own").fingerprint
        assert record.attempts[0].credential_ref is None
        assert "sk-own" not in repr(record) + repr(OWN)


async def test_kept_answers_of_one_key_are_not_given_to_another(bench: OpenBench) -> None:
    other = Credentials(tokens=OWN.tokens, provider_key="sk-other")
    cache = {"global": {"allow-caller-keys": True, "cache": {"directive": "max-age=60"}}}
    async with bench(completion("a"), completion("b"), completion("c"), **cache) as b:
        for credentials, text in ((OWN, "a"), (other, "b"), (OWN, "a"), (None, "c")):
            answer = await b.pipeline.complete(model="alpha/m", messages=MESSAGES, credentials=credentials)
            assert answer.text == text


async def test_one_vendor_is_left_of_several() -> None:
    assert mark_of(Secret("a")) != mark_of(Secret("b"))
    assert len(mark_of(Secret("\ud800"))) == 32
    broker = CallerKey(Secret("sk-own", callers=True), FakeClock())
    assert "sk-own" not in repr(broker)


async def test_what_is_learned_of_a_deployment_stays_apart(bench: OpenBench) -> None:
    async with bench(**VENDORS) as b:
        snapshot = b.pipeline.snapshot
        apart = judged_apart(snapshot)
        assert apart.failing is not snapshot.failing
        assert apart.health is not snapshot.health
        assert apart.runtimes is snapshot.runtimes
        found = find_candidates(snapshot, "main", "claude-sonnet-4-5", Operation.CHAT)
        assert [one.provider_name for one in of_one_vendor(found, "claude-sonnet-4-5").deployments] == ["anthropic"]
        assert of_one_vendor(found, "main/claude-sonnet-4-5").deployments[0].provider_name == "anthropic"


BOUND = {"ALPHA_API_KEY": "own-of-alpha", "BETA_API_KEY": "own-of-beta", "TEAM_ALPHA": "alpha-of-the-team"}
TEAM = Principal("team", secrets={"alpha": SecretRef("env", "TEAM_ALPHA")})


async def test_a_caller_who_is_bound_to_a_key_goes_with_it_and_to_others_with_theirs(bench: OpenBench) -> None:
    async with bench(*(completion() for _ in range(3)), environment=BOUND) as b:
        for model, principal in (("alpha/m", TEAM), ("beta/m", TEAM), ("alpha/m", Principal("other"))):
            await b.pipeline.complete(model=model, messages=MESSAGES, principal=principal)
        assert keys_sent(b) == ["alpha-of-the-team", "own-of-beta", "own-of-alpha"]
        records = await b.records()
        assert [one.attempts[0].credential_ref for one in records[:1]] == ["env:TEAM_ALPHA"]


async def test_each_hop_of_a_failover_has_the_key_of_its_own_provider(bench: OpenBench) -> None:
    async with bench(failure(500), completion(), environment=BOUND) as b:
        await b.pipeline.complete(router="main", model="m", messages=MESSAGES, principal=TEAM)
        assert keys_sent(b) == ["alpha-of-the-team", "own-of-beta"]


async def test_the_operators_key_is_no_substitute_for_one_that_is_missing(bench: OpenBench) -> None:
    environment = {name: value for name, value in BOUND.items() if name != "TEAM_ALPHA"}
    async with bench(environment=environment) as b:
        with pytest.raises(NoDeploymentError, match="provider 'alpha' that this caller is bound to is missing"):
            await b.pipeline.complete(model="alpha/m", messages=MESSAGES, principal=TEAM)
        assert not b.transport.requests


async def test_a_provider_without_a_key_of_its_own_serves_whoever_is_bound_to_one(bench: OpenBench) -> None:
    environment = {name: value for name, value in BOUND.items() if name != "ALPHA_API_KEY"}
    async with bench(completion(), environment=environment) as b:
        await b.pipeline.complete(router="main", model="m", messages=MESSAGES, principal=TEAM)
        assert keys_sent(b) == ["alpha-of-the-team"]


async def test_a_bound_key_that_is_refused_is_asked_for_once_more_and_cools_nobody_elses(bench: OpenBench) -> None:
    environment = dict(BOUND)
    refused = json_answer({"error": {"message": "no", "code": "invalid_api_key"}}, status=401)
    async with bench(refused, completion(), refused, completion(), environment=environment) as b:
        environment["TEAM_ALPHA"] = "alpha-of-the-team"
        with pytest.raises(ProviderAuthenticationError):
            await b.pipeline.complete(model="alpha/m", messages=MESSAGES, principal=TEAM)
        await b.pipeline.complete(model="alpha/m", messages=MESSAGES)
        assert keys_sent(b) == ["alpha-of-the-team", "own-of-alpha"]


async def test_the_callers_own_key_goes_before_one_that_he_is_bound_to(bench: OpenBench) -> None:
    async with bench(completion(), environment=BOUND, **ALLOWED) as b:
        await b.pipeline.complete(model="alpha/m", messages=MESSAGES, principal=TEAM, credentials=OWN)
        assert keys_sent(b) == ["sk-own"]
