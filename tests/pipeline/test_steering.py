from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pytest

from llmgate.formats import get_format, read_request
from llmgate.spec import (
    Credentials,
    GatewayError,
    InvalidRequestError,
    ModelNotFoundError,
    PermissionDeniedError,
    Principal,
    ProviderConnectionError,
    ProviderError,
)
from scripted import MESSAGES, Bench, OpenBench, completion, failure, streamed

LOST = ProviderConnectionError("alpha cannot be reached", provider_name="alpha", retryable=True)


async def ask(b: Bench, headers: Mapping[str, str], model: str = "m", router: str | None = "main", **more: Any) -> Any:
    body = json.dumps({"model": model, "messages": MESSAGES}).encode()
    async with b.pipeline.exchange(credentials=Credentials(headers=headers), **more) as exchange:
        response = await exchange.send(read_request(get_format("openai-chat"), body, router=router))
    return response, exchange.exchange


def hosts(b: Bench) -> list[str]:
    return [url.split("/")[2].removesuffix(".test") for url in b.urls]


# --- one provider -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("model", "router", "asked"),
    [
        ("m", "main", "m"),
        ("m", None, "m"),
        ("alpha/m", None, "m"),
        ("beta/m", None, "m"),
        ("alpha/m,beta/n", None, "n"),
        ("main/m", None, "m"),
        ("router/main/m", None, "m"),
        ("alpha/m", "main", "m"),
    ],
)
async def test_forced_routing_goes_to_that_provider(
    bench: OpenBench, model: str, router: str | None, asked: str
) -> None:
    async with bench(completion()) as b:
        await ask(b, {"helicone-forced-routing": "beta"}, model, router)
        assert hosts(b) == ["beta"]
        assert b.bodies[0]["model"] == asked


async def test_forced_routing_reaches_a_provider_that_is_not_in_the_router(bench: OpenBench) -> None:
    routers = {
        "main": {
            "load-balance": {"chat": {"strategy": "priority", "providers": ["alpha"]}},
            "model-mappings": {"m": ["beta/mapped"]},
        }
    }
    async with bench(completion(), routers=routers) as b:
        await ask(b, {"helicone-forced-routing": "beta"})
        assert (hosts(b), b.bodies[0]["model"]) == (["beta"], "mapped")


async def test_forced_routing_has_no_failover(bench: OpenBench) -> None:
    async with bench(failure(503)) as b:
        with pytest.raises(ProviderError):
            await ask(b, {"helicone-forced-routing": "beta"})
        assert hosts(b) == ["beta"]


async def test_forced_routing_to_nobody_lists_who_there_is(bench: OpenBench) -> None:
    async with bench() as b:
        with pytest.raises(ModelNotFoundError, match=r"names provider 'gamma'.* name one of alpha, beta") as caught:
            await ask(b, {"helicone-forced-routing": "gamma"})
        assert caught.value.code == "provider_not_found"


async def test_forced_routing_widens_no_right(bench: OpenBench) -> None:
    async with bench() as b:
        with pytest.raises(PermissionDeniedError):
            await ask(b, {"helicone-forced-routing": "beta"}, principal=Principal("p", models=["alpha/*"]))
        assert b.urls == []


# --- no failover ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("model", ["m", "alpha/m,beta/m"])
async def test_who_wants_no_failover_gets_none(bench: OpenBench, model: str) -> None:
    async with bench(failure(503)) as b:
        with pytest.raises(ProviderError):
            await ask(b, {"llmgate-failover": "false"}, model, "main" if model == "m" else None)
        assert hosts(b) == ["alpha"]


async def test_who_wants_no_failover_is_still_repeated_and_keeps_its_keys(bench: OpenBench) -> None:
    providers = {
        "alpha": {"base-url": "https://alpha.test/v1", "secrets": ["env:K1", "env:K2"]},
        "beta": {"base-url": "https://beta.test/v1"},
    }
    keys = {"K1": "1", "K2": "2", "BETA_API_KEY": "3"}
    async with bench(failure(429), completion(), providers=providers, environment=keys) as b:
        await ask(b, {"llmgate-failover": "false"})
        assert hosts(b) == ["alpha", "alpha"]


# --- a list of the caller's own ---------------------------------------------------------------------------------------


def fallbacks(*entries: Mapping[str, Any]) -> dict[str, str]:
    return {"helicone-fallbacks": json.dumps(entries)}


ALPHA = {"target-url": "https://alpha.test", "onCodes": [{"from": 500, "to": 599}, 429]}
BETA = {"target-url": "https://beta.test/v1", "onCodes": [500], "bodyKeyOverride": {"model": "other"}}


@pytest.mark.parametrize(
    ("headers", "said"),
    [
        ({"helicone-forced-routing": "beta"}, "names 'beta'"),
        (fallbacks(ALPHA, {"target-url": "https://beta.test"}), "entry 1"),
    ],
    ids=["forced", "listed"],
)
@pytest.mark.parametrize("model", ["m,!beta", "!beta,alpha/m,beta/m", "m,!beta/m", "beta/m,alpha/m,!beta/m"])
async def test_a_provider_that_the_model_leaves_out_is_not_asked(
    bench: OpenBench, headers: Mapping[str, str], said: str, model: str
) -> None:
    async with bench(completion()) as b:
        with pytest.raises(InvalidRequestError, match=f"{said}.*leaves out") as caught:
            await ask(b, headers, model)
        assert caught.value.code == "invalid_routing_header"
        assert b.urls == []


@pytest.mark.parametrize("answers", [[failure(503)], [failure(429)], [failure(500)], [LOST]])
async def test_the_next_place_is_tried_after_its_statuses(bench: OpenBench, answers: list[Any]) -> None:
    async with bench(*answers, completion("from beta")) as b:
        response, exchange = await ask(b, fallbacks(ALPHA, BETA), router=None)
        assert response.chat.text == "from beta"
        assert hosts(b) == ["alpha", "beta"]
        assert [body["model"] for body in b.bodies] == ["m", "other"]
        assert exchange.noted_headers() == {"helicone-fallback-index": "1"}


async def test_the_first_place_is_part_of_the_list(bench: OpenBench) -> None:
    async with bench(completion()) as b:
        _, exchange = await ask(b, fallbacks(BETA, ALPHA), router="main")
        assert hosts(b) == ["beta"]
        assert exchange.noted_headers() == {"helicone-fallback-index": "0"}


@pytest.mark.parametrize("status", [400, 401, 404])
async def test_after_another_status_nothing_else_is_tried(bench: OpenBench, status: int) -> None:
    async with bench(failure(status)) as b:
        with pytest.raises(ProviderError):
            await ask(b, fallbacks(ALPHA, BETA), router=None)
        assert hosts(b) == ["alpha"]


async def test_even_a_wrong_request_goes_on_where_the_list_says_so(bench: OpenBench) -> None:
    async with bench(failure(400), completion()) as b:
        await ask(b, fallbacks({**ALPHA, "onCodes": [400]}, BETA), router=None)
        assert hosts(b) == ["alpha", "beta"]


async def test_the_last_place_has_the_last_word(bench: OpenBench) -> None:
    async with bench(failure(503), failure(500, "no more")) as b:
        with pytest.raises(ProviderError, match="no more"):
            await ask(b, fallbacks(ALPHA, BETA), router=None)


async def test_a_place_may_be_a_model(bench: OpenBench) -> None:
    async with bench(failure(503), completion()) as b:
        await ask(b, fallbacks({"model": "alpha/x", "onCodes": [503]}, {"model": "main/y"}), router=None)
        assert (hosts(b), [body["model"] for body in b.bodies]) == (["alpha", "alpha"], ["x", "y"])


async def test_an_address_of_nobody_is_refused_before_anything_is_tried(bench: OpenBench) -> None:
    async with bench() as b:
        elsewhere = {"target-url": "https://alpha.test.attacker.example", "onCodes": []}
        with pytest.raises(InvalidRequestError, match=r"entry 1 leads to 'alpha\.test\.attacker\.example'"):
            await ask(b, fallbacks(ALPHA, elsewhere), router=None)
        assert b.urls == []


async def test_a_vendors_address_stands_for_the_provider_of_that_vendor(bench: OpenBench) -> None:
    providers = {"openai": {"base-url": "https://proxy.test/v1"}}
    async with bench(completion(), providers=providers, routers={}, environment={"OPENAI_API_KEY": "k"}) as b:
        await ask(b, fallbacks({"target-url": "https://api.openai.com", "onCodes": []}), router=None)
        assert hosts(b) == ["proxy"]


async def test_the_list_widens_no_right(bench: OpenBench) -> None:
    async with bench(failure(503)) as b:
        with pytest.raises(PermissionDeniedError):
            await ask(b, fallbacks(ALPHA, BETA), router=None, principal=Principal("p", models=["alpha/*"]))
        assert hosts(b) == ["alpha"]


async def test_a_credential_in_the_list_goes_nowhere(bench: OpenBench) -> None:
    async with bench(completion()) as b:
        await ask(b, fallbacks({**ALPHA, "headers": {"Authorization": "Bearer theirs", "x-extra": "1"}}), router=None)
        (request,) = b.transport.requests
        assert request.headers["authorization"] == "Bearer key-of-alpha"
        assert "x-extra" not in request.headers


async def test_a_stream_fails_over_along_the_list(bench: OpenBench) -> None:
    async with bench(failure(503), streamed("a", "b")) as b:
        body = json.dumps({"model": "m", "messages": MESSAGES, "stream": True}).encode()
        async with b.pipeline.exchange(credentials=Credentials(headers=fallbacks(ALPHA, BETA))) as exchange:
            stream = await exchange.stream(read_request(get_format("openai-chat"), body))
            assert b"[DONE]" in b"".join([piece async for piece in stream])
        assert hosts(b) == ["alpha", "beta"]


async def test_a_list_that_cannot_be_read_is_a_400(bench: OpenBench) -> None:
    async with bench() as b:
        with pytest.raises(GatewayError) as caught:
            await ask(b, {"helicone-fallbacks": "[{]"})
        assert (caught.value.http_status, caught.value.code) == (400, "invalid_routing_header")


# --- repeats ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("number", "calls"), [("0", 1), ("2", 3)])
async def test_a_caller_says_how_often_to_repeat(bench: OpenBench, number: str, calls: int) -> None:
    repeats = {"helicone-retry-enabled": "true", "helicone-retry-num": number, "helicone-retry-min-timeout": "0"}
    async with bench(*[failure(503)] * calls) as b:
        with pytest.raises(ProviderError):
            await ask(b, repeats, "alpha/m", None)
        assert len(b.urls) == calls


async def test_a_caller_says_not_to_repeat(bench: OpenBench) -> None:
    config = {"global": {"retries": {"strategy": "constant", "delay": "0s", "max-retries": 3}}}
    async with bench(failure(503), **config) as b:
        with pytest.raises(ProviderError):
            await ask(b, {"helicone-retry-enabled": "false"}, "alpha/m", None)
        assert len(b.urls) == 1


async def test_what_is_too_long_is_shortened_along_the_list(bench: OpenBench) -> None:
    words = " ".join(f"word{number}" for number in range(9000))
    body = json.dumps({"model": "m", "messages": [{"role": "user", "content": words}]}).encode()
    said = {"helicone-token-limit-exception-handler": "middle-out", **fallbacks({"model": "alpha/gpt-4"})}
    async with bench(completion()) as b:
        async with b.pipeline.exchange(credentials=Credentials(headers=said)) as exchange:
            await exchange.send(read_request(get_format("openai-chat"), body))
        assert "llmgate-shortened" in exchange.exchange.noted_headers()
        assert len(b.bodies[0]["messages"][0]["content"]) < len(words) / 2
