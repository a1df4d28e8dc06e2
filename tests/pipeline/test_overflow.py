from __future__ import annotations

from typing import Any

import pytest

from llmgate.pipeline.overflow import is_overflow
from llmgate.spec import (
    GatewayError,
    InvalidRequestError,
    Principal,
    ProviderError,
    ProviderRateLimitError,
)
from llmgate.testing.transport import json_answer
from scripted import MESSAGES, Bench, OpenBench, completion, failure, streamed

SAYINGS = [
    "This model's maximum context length is 8192 tokens. However, your messages resulted in 9000 tokens.",
    "prompt is too long: 210000 tokens > 200000 maximum",
    "input length and `max_tokens` exceed context limit: 199000 + 8192 > 200000, decrease input length",
    "The input token count (1200000) exceeds the maximum number of tokens allowed (1048576).",
    "Input is too long for requested model.",
    "Prompt contains 40000 tokens and 0 draft tokens, too large for model with 32768 maximum context length",
    "too many tokens: size limit exceeded by 1203 tokens. Try using shorter or fewer inputs",
    "Please reduce the length of the messages or completion.",
    "the request exceeds the available context size, try increasing it",
    "Your input exceeds the context window of this model. Please adjust your input and try again.",
]


@pytest.mark.parametrize("saying", SAYINGS)
def test_how_vendors_say_that_it_is_too_long(saying: str) -> None:
    assert is_overflow(ProviderError(f"provider 'x' answered 400: {saying}", upstream_status=400))


@pytest.mark.parametrize(
    ("error", "is_one"),
    [
        (ProviderError("x", upstream_status=400, code="context_length_exceeded"), True),
        (InvalidRequestError("x", code="context_length_exceeded"), True),
        (InvalidRequestError("x", code="capability_missing"), False),
        (ProviderError("'temperature' must be at most 2", upstream_status=400), False),
        (ProviderError("invalid max_tokens: must be at least 1", upstream_status=400), False),
        (ProviderError("messages: at least one message is required", upstream_status=400), False),
        (ProviderError("prompt is too long", upstream_status=500), False),
        (ProviderRateLimitError("too many tokens per minute", upstream_status=429), False),
        (GatewayError("x"), False),
    ],
)
def test_what_else_is_and_is_not(error: GatewayError, is_one: bool) -> None:
    assert is_overflow(error) is is_one


TOO_LONG = json_answer(
    {"error": {"message": SAYINGS[0], "type": "invalid_request_error", "code": "context_length_exceeded"}}, status=400
)
PROVIDERS = {name: {"base-url": f"https://{name}.test/v1", "keyless": True} for name in ("alpha", "beta", "gamma")}


def config(*larger: str, providers: tuple[str, ...] = ("alpha",)) -> dict[str, Any]:
    balance = {"chat": {"strategy": "priority", "providers": list(providers)}}
    more = {"larger-models": list(larger)} if larger else {}
    return {"providers": PROVIDERS, "routers": {"main": {"load-balance": balance, **more}}, "unified-api": more}


def asked(b: Bench) -> list[str]:
    hosts = [url.split("/")[2].removesuffix(".test") for url in b.urls]
    return [f"{host}/{body['model']}" for host, body in zip(hosts, b.bodies, strict=True)]


@pytest.mark.parametrize("call", [{"router": "main", "model": "m"}, {"model": "alpha/m"}])
async def test_a_larger_model_is_tried(bench: OpenBench, call: dict[str, Any]) -> None:
    async with bench(TOO_LONG, completion("from beta"), **config("beta/large", "gamma/larger")) as b:
        answer = await b.pipeline.complete(messages=MESSAGES, **call)
        assert (answer.text, asked(b)) == ("from beta", ["alpha/m", "beta/large"])
        (record,) = await b.records()
        assert [attempt.error_code for attempt in record.attempts] == ["context_length_exceeded", None]


async def test_and_one_that_is_larger_still(bench: OpenBench) -> None:
    async with bench(TOO_LONG, TOO_LONG, completion(), **config("beta/large", "gamma/larger")) as b:
        await b.pipeline.complete(router="main", model="m", messages=MESSAGES)
        assert asked(b) == ["alpha/m", "beta/large", "gamma/larger"]


async def test_when_all_are_too_small_the_last_one_is_heard(bench: OpenBench) -> None:
    async with bench(TOO_LONG, TOO_LONG, **config("beta/large")) as b:
        with pytest.raises(ProviderError) as caught:
            await b.pipeline.complete(router="main", model="m", messages=MESSAGES)
        assert (caught.value.code, caught.value.http_status) == ("context_length_exceeded", 400)


async def test_unless_it_is_configured_the_error_is_the_answer(bench: OpenBench) -> None:
    async with bench(TOO_LONG, **config(providers=("alpha", "beta"))) as b:
        with pytest.raises(ProviderError):
            await b.pipeline.complete(router="main", model="m", messages=MESSAGES)
        assert asked(b) == ["alpha/m"]


async def test_a_caller_who_names_several_models_goes_on_to_the_next(bench: OpenBench) -> None:
    async with bench(TOO_LONG, completion(), **config()) as b:
        await b.pipeline.complete(model="alpha/m,beta/n", messages=MESSAGES)
        assert asked(b) == ["alpha/m", "beta/n"]


async def test_a_model_that_is_known_to_be_no_larger_is_not_tried(bench: OpenBench) -> None:
    async with bench(TOO_LONG, completion(), **config("beta/gpt-4", "gamma/gpt-4.1")) as b:
        await b.pipeline.complete(model="alpha/gpt-4o", messages=MESSAGES)
        assert asked(b) == ["alpha/gpt-4o", "gamma/gpt-4.1"]


async def test_what_is_known_to_be_too_long_for_all_goes_to_a_larger_one_at_once(bench: OpenBench) -> None:
    long = [{"role": "user", "content": "many words " * 9000}]
    async with bench(completion(), **config("gamma/gpt-4.1")) as b:
        await b.pipeline.complete(model="alpha/gpt-4,beta/gpt-3.5-turbo", messages=long)
        assert asked(b) == ["gamma/gpt-4.1"]


async def test_a_larger_model_that_the_caller_may_not_call_is_not_tried(bench: OpenBench) -> None:
    async with bench(TOO_LONG, **config("beta/large")) as b:
        with pytest.raises(ProviderError) as caught:
            await b.pipeline.complete(
                router="main", model="m", messages=MESSAGES, principal=Principal("p", models=["alpha/*"])
            )
        assert caught.value.code == "context_length_exceeded"


async def test_another_failure_of_a_larger_model_fails_over_among_the_larger_ones(bench: OpenBench) -> None:
    async with bench(TOO_LONG, failure(503), completion(), **config("beta/large", "gamma/larger")) as b:
        await b.pipeline.complete(router="main", model="m", messages=MESSAGES)
        assert asked(b) == ["alpha/m", "beta/large", "gamma/larger"]


async def test_what_is_no_chat_is_not_asked_of_a_chat_model(bench: OpenBench) -> None:
    async with bench(TOO_LONG, **config("beta/large")) as b:
        with pytest.raises(ProviderError):
            await b.pipeline.embed(model="alpha/embedder", input="x")
        assert asked(b) == ["alpha/embedder"]


async def test_a_stream_goes_on_at_a_larger_model(bench: OpenBench) -> None:
    async with (
        bench(TOO_LONG, streamed("a", "b"), **config("beta/large")) as b,
        b.pipeline.stream(router="main", model="m", messages=MESSAGES) as chunks,
    ):
        assert "".join([chunk.text async for chunk in chunks]) == "ab"
