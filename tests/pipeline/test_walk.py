from __future__ import annotations

from typing import Any

import pytest

from llmgate.codecs import jsons
from llmgate.formats import get_format, read_request
from llmgate.spec import (
    InvalidRequestError,
    ProviderConnectionError,
    ProviderError,
)
from llmgate.testing.transport import json_answer
from scripted import CONFIG, MESSAGES, Bench, OpenBench, completion, failure

LOST = ProviderConnectionError("alpha cannot be reached", provider_name="alpha", retryable=True)
GONE = ProviderConnectionError("alpha has hung up", provider_name="alpha", retryable=True, lost=True)

# --- the retry budget -------------------------------------------------------------------------------------------------


def repeating(times: int, **budget: Any) -> dict[str, Any]:
    """Repeats at once, within a budget."""
    retries = {"strategy": "constant", "delay": "0s", "max-retries": times}
    return {"global": {"retries": retries, **({"retry-budget": budget} if budget else {})}}


async def fail_often(b: Bench, times: int, **call: Any) -> None:
    for _ in range(times):
        with pytest.raises(ProviderError):
            await b.pipeline.complete(messages=MESSAGES, **call)


ASKED_ANYWAY: dict[str, Any] = {"discover": {"monitor": {"health": {"ratio": 1}}}}
"""Nobody is left out, however much he fails."""


async def test_a_dead_provider_is_not_stormed(bench: OpenBench) -> None:
    async with bench(*[failure(503)] * 800, **repeating(3), **ASKED_ANYWAY) as b:
        await fail_often(b, 200, model="alpha/m")
        assert 200 < len(b.urls) <= 1.2 * 200 + 10


async def test_two_dead_providers_are_not_stormed_either(bench: OpenBench) -> None:
    """Once both are known to fail, asking the other one is no way out any more."""
    async with bench(*[failure(503)] * 1600, **repeating(3), **ASKED_ANYWAY) as b:
        await fail_often(b, 200, router="main", model="m")
        assert len(b.urls) <= 1.2 * 200 + 10 + 1, "the first failover was free"


async def test_the_budget_comes_back_with_time(bench: OpenBench) -> None:
    async with bench(*[failure(503)] * 20, **repeating(3, floor=2, ratio=0, window="10s")) as b:
        await fail_often(b, 2, model="alpha/m")
        assert len(b.urls) == 4
        await b.clock.advance(10)
        await fail_often(b, 1, model="alpha/m")
        assert len(b.urls) == 7


async def test_failover_to_a_deployment_that_does_well_is_free(bench: OpenBench) -> None:
    answers = [failure(503), completion()] * 50
    async with bench(*answers, **repeating(0, floor=0, ratio=0), **ASKED_ANYWAY) as b:
        for _ in range(50):
            assert (await b.pipeline.complete(router="main", model="m", messages=MESSAGES)).text == "hi"


async def test_failover_to_one_that_failed_a_moment_ago_is_paid_for(bench: OpenBench) -> None:
    async with bench(*[failure(503)] * 4, completion(), **repeating(0, floor=1, ratio=0)) as b:
        await fail_often(b, 1, router="main", model="m")
        assert len(b.urls) == 2, "free: nobody knew of either"
        await fail_often(b, 1, router="main", model="m")
        assert len(b.urls) == 4, "paid for"
        assert (await b.pipeline.complete(router="main", model="m", messages=MESSAGES)).text == "hi"


async def test_a_spent_budget_leaves_out_who_fails_and_asks_who_does_well(bench: OpenBench) -> None:
    providers = {name: {"base-url": f"https://{name}.test/v1", "keyless": True} for name in ("a", "b", "c")}
    balance = {"chat": {"strategy": "priority", "providers": ["a", "b", "c"]}}
    config = {"providers": providers, "routers": {"main": {"load-balance": balance}}}
    answers = [failure(503), failure(503), completion(), failure(503), completion()]
    async with bench(*answers, **config, **repeating(0, floor=0, ratio=0)) as b:
        for _ in range(2):
            await b.pipeline.complete(router="main", model="m", messages=MESSAGES)
        assert [url[8] for url in b.urls] == ["a", "b", "c", "a", "c"]


async def test_a_spent_budget_is_known_before_anybody_waits(bench: OpenBench) -> None:
    retries = {"strategy": "constant", "delay": "60s", "max-retries": 3}
    async with bench(failure(503), **{"global": {"retries": retries, "retry-budget": {"floor": 0, "ratio": 0}}}) as b:
        await fail_often(b, 1, model="alpha/m")
        assert b.clock.sleeping == 0


async def test_a_router_may_have_a_budget_of_its_own(bench: OpenBench) -> None:
    balance = {"chat": {"strategy": "priority", "providers": ["alpha"]}}
    routers = {
        "own": {"load-balance": balance, "retry-budget": {"floor": 0, "ratio": 0}},
        "one": {"load-balance": balance},
        "two": {"load-balance": balance},
    }
    async with bench(*[failure(503)] * 20, routers=routers, **repeating(3, floor=4, ratio=0)) as b:
        await fail_often(b, 1, router="own", model="m")
        assert len(b.urls) == 1
        await fail_often(b, 1, router="one", model="m")
        assert len(b.urls) == 1 + 4
        await fail_often(b, 1, router="two", model="m")
        assert len(b.urls) == 1 + 4 + 2, "one and two share the gateway's"


# --- a credential that is refused -------------------------------------------------------------------------------------


async def test_a_key_that_was_exchanged_meanwhile_repairs_the_request(bench: OpenBench) -> None:
    environment = {"ALPHA_API_KEY": "old", "BETA_API_KEY": "key-of-beta"}

    def refuse(request: Any) -> Any:
        environment["ALPHA_API_KEY"] = "new"
        return failure(401)

    async with bench(refuse, completion("from alpha"), environment=environment) as b:
        answer = await b.pipeline.complete(router="main", model="m", messages=MESSAGES)
        assert answer.text == "from alpha"
        assert [request.headers["authorization"] for request in b.transport.requests] == ["Bearer old", "Bearer new"]
        (record,) = await b.records()
        old, new = record.attempts
        assert old.error_code == "provider_authentication_failed"
        assert old.credential_fingerprint != new.credential_fingerprint


async def test_a_new_key_that_is_refused_as_well_is_not_followed_by_a_third(bench: OpenBench) -> None:
    environment = {"ALPHA_API_KEY": "0"}

    def refuse(request: Any) -> Any:
        environment["ALPHA_API_KEY"] += "0"
        return failure(401)

    async with bench(refuse, refuse, environment=environment) as b:
        await fail_often(b, 1, model="alpha/m", max_retries=5)
        assert len(b.urls) == 2


@pytest.mark.parametrize("status", [401, 403])
async def test_a_refused_key_is_left_out_while_another_one_is_usable(bench: OpenBench, status: int) -> None:
    answers = [failure(status), completion(), completion(), failure(status), completion()]
    config = {"global": {"credential-cool-down": "30s"}}
    async with bench(*answers, **config) as b:
        for _ in range(2):
            await b.pipeline.complete(router="main", model="m", messages=MESSAGES)
        await b.clock.advance(31)
        await b.pipeline.complete(router="main", model="m", messages=MESSAGES)
        assert [url.split("/")[2][:1] for url in b.urls] == ["a", "b", "b", "a", "b"]


async def test_the_only_key_is_tried_again_however_often_it_was_refused(bench: OpenBench) -> None:
    async with bench(failure(401), failure(401), completion()) as b:
        await fail_often(b, 2, model="alpha/m")
        assert (await b.pipeline.complete(model="alpha/m", messages=MESSAGES)).text == "hi"


# --- a request that was lost ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("resend", "error", "calls"),
    [(False, GONE, 1), (False, LOST, 2), (True, GONE, 2), (False, failure(503), 2)],
    ids=["lost", "never sent", "lost, allowed", "answered"],
)
@pytest.mark.parametrize("where", ["global", "router"])
async def test_a_lost_request_is_sent_again_only_where_that_is_allowed(
    bench: OpenBench, resend: bool, error: Any, calls: int, where: str
) -> None:
    main = CONFIG["routers"]["main"]
    config: dict[str, Any] = {"global": {"resend-unknown": resend}}
    if where == "router":
        config = {
            "global": {"resend-unknown": not resend},
            "routers": {"main": {**main, "resend-unknown": resend}},
        }
    async with bench(error, completion(), **config) as b:
        if calls == 1:
            with pytest.raises(ProviderConnectionError, match="hung up"):
                await b.pipeline.complete(router="main", model="m", messages=MESSAGES, max_retries=3)
        else:
            await b.pipeline.complete(router="main", model="m", messages=MESSAGES, max_retries=3)
        assert len(b.urls) == calls
        (record,) = await b.records()
        assert record.attempts[0].lost is (error is GONE)
        assert record.attempts[0].error_code is not None


async def test_unless_forbidden_a_lost_request_is_sent_again(bench: OpenBench) -> None:
    async with bench(GONE, completion()) as b:
        assert (await b.pipeline.complete(router="main", model="m", messages=MESSAGES)).text == "hi"


PICKY: dict[str, Any] = {"alpha": {"base-url": "https://alpha.test/v1", "format": "anthropic-messages"}}
BOTH = {**PICKY, "beta": {"base-url": "https://beta.test/v1"}}
MESSAGE = json_answer(
    {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": "m",
        "content": [{"type": "text", "text": "from alpha"}],
        "stop_reason": "end_turn",
        "usage": {"input_tokens": 1, "output_tokens": 1},
    }
)
AUDIO = {"type": "input_audio", "input_audio": {"data": "UklGRg==", "format": "wav"}}
HEARD = [{"role": "user", "content": [{"type": "text", "text": "listen"}, AUDIO]}]


def spread(*names: str, **more: Any) -> dict[str, Any]:
    return {"main": {"load-balance": {"chat": {"strategy": "priority", "providers": list(names)}}, **more}}


async def test_what_one_format_cannot_say_is_asked_of_one_that_can(bench: OpenBench) -> None:
    async with bench(completion("from beta"), providers=BOTH) as b:
        answer = await b.pipeline.complete(router="main", model="m", messages=MESSAGES, logprobs=True)
        assert answer.text == "from beta"
        assert [url.split("/")[2] for url in b.urls] == ["beta.test"]
        (record,) = await b.records()
        assert [attempt.provider_name for attempt in record.attempts] == ["beta"], "alpha was not asked"
        assert record.outcome == "ok"


async def test_what_no_candidate_can_say_is_refused_and_nobody_asked(bench: OpenBench) -> None:
    async with bench(providers=BOTH, routers=spread("alpha")) as b:
        with pytest.raises(InvalidRequestError, match="logprobs") as refused:
            await b.pipeline.complete(router="main", model="m", messages=MESSAGES, logprobs=True)
        assert (refused.value.param, refused.value.code) == ("logprobs", "unsupported_parameter")
        assert b.urls == []
        (record,) = await b.records()
        assert (record.status, record.error_code, list(record.attempts)) == (400, "unsupported_parameter", [])


async def test_a_provider_that_failed_says_more_than_one_that_could_not_be_asked(bench: OpenBench) -> None:
    async with bench(failure(503, "busy"), providers=BOTH, routers=spread("beta", "alpha")) as b:
        with pytest.raises(ProviderError, match="busy"):
            await b.pipeline.complete(router="main", model="m", messages=MESSAGES, logprobs=True)
        assert len(b.urls) == 1


@pytest.mark.parametrize("where", ["gateway", "router"])
async def test_an_operator_may_have_everything_left_out_and_named(bench: OpenBench, where: str) -> None:
    policy = {"unsupported-parameters": "report"}
    routers = spread("alpha", **(policy if where == "router" else {}))
    async with bench(MESSAGE, providers=BOTH, routers=routers, **(policy if where == "gateway" else {})) as b:
        content = [{"type": "text", "text": "listen"}, AUDIO]
        answer = await b.pipeline.complete(
            router="main", model="m", messages=[{"role": "user", "content": content}], logprobs=True, seed=1
        )
        assert answer.text == "from alpha"
        (sent,) = b.bodies
        assert sent["messages"] == [{"role": "user", "content": "listen"}]
        assert not sent.keys() & {"logprobs", "seed"}
        (record,) = await b.records()
        assert set(record.metadata["llmgate.dropped-params"].split(", ")) == {"logprobs", "seed", "messages[0]"}


@pytest.mark.parametrize(
    ("parameters", "fields", "refused", "dropped"),
    [
        ({"seed": "refuse"}, {"seed": 1}, "seed", None),
        ({"logprobs": "report"}, {"logprobs": True, "seed": 1}, None, {"logprobs", "seed"}),
        ({"seed": "adjust"}, {"seed": 1}, "seed", None),
        ({"temperature": "adjust"}, {"temperature": 1.5}, None, {"temperature"}),
        ({"temperature": "refuse"}, {"temperature": 1.5}, "temperature", None),
        ({"n": "report"}, {"n": 2}, None, {"n"}),
        ({"messages": "report"}, {"messages": HEARD}, None, {"messages[0]"}),
    ],
)
async def test_an_operator_may_judge_single_parameters(
    bench: OpenBench, parameters: dict[str, str], fields: dict[str, Any], refused: str | None, dropped: set[str] | None
) -> None:
    asked = {"messages": MESSAGES, **fields}
    routers = spread("alpha", **{"unsupported-parameters": {"parameters": parameters}})
    async with bench(MESSAGE, providers=BOTH, routers=routers) as b:
        if refused is not None:
            with pytest.raises(InvalidRequestError) as failure:
                await b.pipeline.complete(router="main", model="m", **asked)
            assert (failure.value.param, failure.value.code) == (refused, "unsupported_parameter")
            assert b.urls == []
            return
        await b.pipeline.complete(router="main", model="m", **asked)
        (record,) = await b.records()
        assert set(record.metadata["llmgate.dropped-params"].split(", ")) == dropped


async def test_a_parameter_is_known_by_openais_name_whatever_the_caller_speaks(bench: OpenBench) -> None:
    providers = {"alpha": {"base-url": "http://alpha.test/v1", "format": "openai-chat"}}
    routers = spread("alpha", **{"unsupported-parameters": {"parameters": {"stop": "refuse"}}})
    body = {"model": "gpt-4o", "max_tokens": 9, "messages": MESSAGES, "stop_sequences": ["a", "b", "c", "d", "e"]}
    async with bench(providers=providers, routers=routers) as b, b.pipeline.exchange() as frame:
        request = read_request(get_format("anthropic-messages"), jsons.dumps(body), router="main")
        with pytest.raises(InvalidRequestError) as failure:
            await frame.send(request)
        assert failure.value.param == "stop_sequences"


async def test_a_request_of_which_nothing_would_be_left_is_refused_even_then(bench: OpenBench) -> None:
    routers = spread("alpha", **{"unsupported-parameters": "report"})
    async with bench(providers=BOTH, routers=routers) as b:
        messages = [{"role": "system", "content": "listen"}, {"role": "user", "content": [AUDIO]}]
        with pytest.raises(InvalidRequestError, match="audio") as refused:
            await b.pipeline.complete(router="main", model="m", messages=messages)
        assert refused.value.param == "messages[1]"
        assert b.urls == []


@pytest.mark.parametrize("field", [{"seed": 1}, {"temperature": 1.5}])
async def test_an_operator_may_have_everything_refused(bench: OpenBench, field: dict[str, Any]) -> None:
    routers = spread("alpha", "beta", **{"unsupported-parameters": "refuse"})
    async with bench(completion("from beta"), providers=BOTH, routers=routers) as b:
        answer = await b.pipeline.complete(router="main", model="m", messages=MESSAGES, **field)
        assert answer.text == "from beta", "a relay leaves nothing out"
    routers = spread("alpha", **{"unsupported-parameters": "refuse"})
    async with bench(providers=BOTH, routers=routers, **{"unsupported-parameters": "report"}) as b:
        with pytest.raises(InvalidRequestError) as refused:
            await b.pipeline.complete(router="main", model="m", messages=MESSAGES, **field)
        assert refused.value.param in field
        assert refused.value.message
