from __future__ import annotations

import asyncio
from typing import Any

import pytest

from llmgate.spec import (
    Interceptor,
    NoDeploymentError,
    ProviderAuthenticationError,
    ProviderConnectionError,
    ProviderError,
    ProviderRateLimitError,
    ProviderTimeoutError,
    hookimpl,
)
from scripted import MESSAGES, OpenBench, completion, failure

LOST = ProviderConnectionError("alpha cannot be reached", provider_name="alpha", retryable=True)
GONE = ProviderConnectionError("alpha has hung up", provider_name="alpha", retryable=True, lost=True)
LATE = ProviderTimeoutError("alpha is silent", provider_name="alpha", retryable=True)


@pytest.mark.parametrize(
    "first", [LOST, LATE, failure(500), failure(503), failure(429), failure(401), failure(404), failure(408)]
)
async def test_what_another_may_do_better_fails_over_to_it(bench: OpenBench, first: Any) -> None:
    async with bench(first, completion("from beta")) as b:
        answer = await b.pipeline.complete(router="main", model="m", messages=MESSAGES)
        assert answer.text == "from beta"
        assert [url.split("/")[2] for url in b.urls] == ["alpha.test", "beta.test"]
        (record,) = await b.records()
        assert record.provider_name == "beta"
        assert record.outcome == "ok"
        assert [attempt.error_code is None for attempt in record.attempts] == [False, True]


@pytest.mark.parametrize("status", [400, 413, 422])
async def test_a_request_that_is_wrong_is_wrong_everywhere(bench: OpenBench, status: int) -> None:
    async with bench(failure(status, "bad field")) as b:
        with pytest.raises(ProviderError, match="bad field") as caught:
            await b.pipeline.complete(router="main", model="m", messages=MESSAGES)
        assert caught.value.http_status == status
        assert len(b.urls) == 1


async def test_each_hop_gets_its_own_key_and_no_other(bench: OpenBench) -> None:
    async with bench(failure(500), completion()) as b:
        await b.pipeline.complete(router="main", model="m", messages=MESSAGES)
        assert [request.headers["authorization"] for request in b.transport.requests] == [
            "Bearer key-of-alpha",
            "Bearer key-of-beta",
        ]


async def test_when_all_fail_the_last_failure_is_told(bench: OpenBench) -> None:
    async with bench(failure(500), failure(503, "busy")) as b:
        with pytest.raises(ProviderError, match="busy") as caught:
            await b.pipeline.complete(router="main", model="m", messages=MESSAGES)
        assert caught.value.http_status == 503


async def test_a_refused_gateway_credential_is_a_502_without_the_vendors_text(bench: OpenBench) -> None:
    async with bench(failure(401, "bad key sk-abc***"), failure(403, "bad key sk-def***")) as b:
        with pytest.raises(ProviderAuthenticationError) as caught:
            await b.pipeline.complete(router="main", model="m", messages=MESSAGES)
        assert caught.value.http_status == 502
        assert "sk-" not in caught.value.message
        assert caught.value.body is None


async def test_repeats_wait_with_jitter_and_go_over_the_candidates_again(bench: OpenBench) -> None:
    retries = {"retries": {"strategy": "exponential", "min-delay": "1s", "max-delay": "30s", "max-retries": 2}}
    async with bench(*[failure(503)] * 5, completion("at last"), **{"global": retries}) as b:
        asking = asyncio.create_task(b.pipeline.complete(router="main", model="m", messages=MESSAGES))
        for _ in range(20):
            await b.clock.advance(1.0)
        assert (await asking).text == "at last"
        assert len(b.urls) == 6


async def test_a_repeat_waits_as_long_as_the_provider_asks(bench: OpenBench) -> None:
    async with bench(failure(429, **{"retry-after": "7"}), completion()) as b:
        asking = asyncio.create_task(b.pipeline.complete(model="alpha/m", messages=MESSAGES, max_retries=1))
        await b.clock.advance(0)
        await b.clock.advance(6.9)
        assert len(b.urls) == 1
        await b.clock.advance(0.2)
        await asking
        assert len(b.urls) == 2


async def test_who_asks_for_a_longer_wait_is_not_repeated_with_the_others(bench: OpenBench) -> None:
    failures = [failure(429, **{"retry-after": "60"}), failure(503, **{"retry-after": "2"})]
    async with bench(*failures, completion("from beta")) as b:
        asking = asyncio.create_task(b.pipeline.complete(router="main", model="m", messages=MESSAGES, max_retries=1))
        await b.clock.advance(0)
        await b.clock.advance(2)
        assert (await asking).text == "from beta"
        assert [url.split("/")[2] for url in b.urls] == ["alpha.test", "beta.test", "beta.test"]


async def test_nobody_is_kept_waiting_for_more_than_two_minutes(bench: OpenBench) -> None:
    async with bench(failure(429, **{"retry-after": "121"})) as b:
        with pytest.raises(ProviderRateLimitError) as caught:
            await b.pipeline.complete(model="alpha/m", messages=MESSAGES, max_retries=3)
        assert caught.value.retry_after == 121


async def test_no_repeat_that_would_come_after_the_deadline(bench: OpenBench) -> None:
    async with bench(failure(429, **{"retry-after": "60"})) as b:
        with pytest.raises(ProviderRateLimitError) as caught:
            await b.pipeline.complete(model="alpha/m", messages=MESSAGES, max_retries=3, timeout=30)
        assert caught.value.retry_after == 60


async def test_without_being_asked_to_nothing_is_repeated(bench: OpenBench) -> None:
    async with bench(failure(503)) as b:
        with pytest.raises(ProviderError):
            await b.pipeline.complete(model="alpha/m", messages=MESSAGES)
        assert len(b.urls) == 1


async def test_a_refused_key_is_not_tried_a_second_time(bench: OpenBench) -> None:
    async with bench(failure(401)) as b:
        with pytest.raises(ProviderAuthenticationError):
            await b.pipeline.complete(model="alpha/m", messages=MESSAGES, max_retries=3)
        assert len(b.urls) == 1


async def test_a_provider_without_its_key_is_passed_over(bench: OpenBench) -> None:
    async with bench(completion(), environment={"BETA_API_KEY": "key-of-beta"}) as b:
        await b.pipeline.complete(router="main", model="m", messages=MESSAGES)
        assert [url.split("/")[2] for url in b.urls] == ["beta.test"]


async def test_nothing_is_sent_without_a_credential_and_every_missing_variable_is_named(bench: OpenBench) -> None:
    async with bench(environment={}) as b:
        with pytest.raises(NoDeploymentError, match=r"ALPHA_API_KEY.*BETA_API_KEY"):
            await b.pipeline.complete(router="main", model="m", messages=MESSAGES)
        assert b.urls == []
        (record,) = await b.records()
        assert (record.status, record.error_code) == (503, "missing_credential")


async def test_a_key_that_is_set_later_is_noticed(bench: OpenBench) -> None:
    environment = {"BETA_API_KEY": "key-of-beta"}
    async with bench(completion(), completion(), environment=environment) as b:
        await b.pipeline.complete(router="main", model="m", messages=MESSAGES)
        environment["ALPHA_API_KEY"] = "key-of-alpha"
        await b.clock.advance(30)
        await b.pipeline.complete(router="main", model="m", messages=MESSAGES)
        assert [url.split("/")[2] for url in b.urls] == ["beta.test", "alpha.test"]


async def test_an_interceptor_that_skips_every_candidate_leaves_none(bench: OpenBench) -> None:
    class Skipper(Interceptor[Any]):
        name = "skipper"

        async def before_attempt(self, exchange: Any, attempt: Any) -> bool:
            return False

    class Plugin:
        @hookimpl
        def llmgate_register_interceptors(self) -> Any:
            return Skipper

    async with bench(plugins=(Plugin(),), interceptors=[{"use": "skipper"}]) as b:
        with pytest.raises(NoDeploymentError, match="skipped"):
            await b.pipeline.complete(router="main", model="m", messages=MESSAGES)
        (record,) = await b.records()
        assert record.attempts == ()


async def test_a_provider_may_be_repeated_more_often_than_its_route_says(bench: OpenBench) -> None:
    providers = {
        "alpha": {
            "base-url": "https://alpha.test/v1",
            "retries": {"strategy": "constant", "delay": "1s", "max-retries": 2},
        },
        "beta": {"base-url": "https://beta.test/v1"},
    }
    async with bench(failure(503), failure(503), failure(503), completion("third time"), providers=providers) as b:
        asking = asyncio.create_task(b.pipeline.complete(router="main", model="m", messages=MESSAGES))
        for _ in range(6):
            await b.clock.advance(1.0)
        assert (await asking).text == "third time"
        assert [url.split("/")[2] for url in b.urls] == ["alpha.test", "beta.test", "alpha.test", "alpha.test"]
