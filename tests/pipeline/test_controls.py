"""Callers in process steer their requests as HTTP callers do: the same words, the same errors, the same effect."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from llmgate import BlockingPipeline, Controls, InvalidRequestError
from llmgate.spec import Credentials, Operation, Principal
from scripted import ENVIRONMENT, MESSAGES, OpenBench, bench, completion, failure, streamed

__all__ = ["bench"]

ASK: dict[str, Any] = {"model": "m", "messages": MESSAGES, "router": "main"}


async def test_one_provider_is_forced(bench: OpenBench) -> None:
    async with bench(completion("x"), streamed("y")) as b:
        await b.pipeline.complete(**ASK, controls=Controls(provider="beta"))
        async with b.pipeline.stream(**ASK, controls={"Helicone-Forced-Routing": "beta"}) as chunks:
            async for _ in chunks:
                pass
        assert all(url.startswith("https://beta.test/") for url in b.urls)
        assert len(b.urls) == 2
        assert not any(name.startswith(("helicone", "llmgate")) for one in b.transport.requests for name in one.headers)


async def test_a_list_of_ones_own_is_followed(bench: OpenBench) -> None:
    fallbacks = [{"model": "beta/m2", "onCodes": [{"from": 500, "to": 599}]}, {"model": "alpha/m1"}]
    async with bench(failure(503), completion("x")) as b:
        steered = Controls(fallbacks=fallbacks, retries=0)
        answer = await b.pipeline.complete(model="m", messages=MESSAGES, controls=steered)
        assert [url.split("/")[2] for url in b.urls] == ["beta.test", "alpha.test"]
        assert [body["model"] for body in b.bodies] == ["m2", "m1"]
        assert answer.text == "x"


async def test_without_failover_the_first_error_is_the_answer(bench: OpenBench) -> None:
    async with bench(failure(503), completion("x")) as b:
        with pytest.raises(Exception, match="503"):
            await b.pipeline.complete(**ASK, controls=Controls(failover=False, retries=0))
        assert len(b.urls) == 1


async def test_the_cache_is_told_by_controls_and_the_record_has_the_labels(bench: OpenBench) -> None:
    settings = {"interceptors": [{"use": "cache"}]}
    labels = Controls(user="ann", session_id="s", properties={"Team": "blue"})
    async with bench(completion("a"), completion("b"), completion("c"), **settings) as b:
        assert (await b.pipeline.complete(**ASK, controls=labels)).text == "a"
        assert (await b.pipeline.complete(**ASK)).text == "a"
        assert (await b.pipeline.complete(**ASK, controls=Controls(cache=False))).text == "b"
        assert (await b.pipeline.complete(**ASK, controls=Controls(cache_seed="s"))).text == "c"
        first, *_ = await b.records()
    assert (first.user, first.session_id, first.properties) == ("ann", "s", {"team": "blue"})
    assert first.principal == Principal.local().id


async def test_a_renewal_in_the_background_is_steered_alike(bench: OpenBench) -> None:
    settings = {"interceptors": [{"use": "cache", "directive": "max-age=5, stale-while-revalidate=60"}]}
    async with bench(completion("a"), completion("b"), **settings) as b:
        for _ in range(2):
            await b.pipeline.complete(**ASK, controls=Controls(provider="beta", user="ann"))
            b.clock.advance(6)
        async with asyncio.timeout(10):
            while b.pipeline._tasks:
                await asyncio.sleep(0)
        records = await b.records()
        assert all(url.startswith("https://beta.test/") for url in b.urls)
    assert [record.user for record in records] == ["ann"] * 3
    assert [record.metadata["cache.status"] for record in records] == ["miss", "stale", "renewal"]


async def test_what_cannot_be_read_is_the_error_that_http_callers_get_and_leaves_a_record(bench: OpenBench) -> None:
    async with bench(completion("x")) as b:
        with pytest.raises(InvalidRequestError, match="helicone-retry-num must be a number from 0 to 20") as caught:
            await b.pipeline.complete(**ASK, controls=Controls(retries=21))
        assert caught.value.code == "invalid_routing_header"
        with pytest.raises(InvalidRequestError, match="helicone-fallbacks"):
            await b.pipeline.complete(**ASK, controls={"helicone-fallbacks": "["})
        with pytest.raises(ValueError, match="nothing that the gateway is told"):
            await b.pipeline.complete(**ASK, controls={"x-forwarded-for": "1.2.3.4"})
        assert not b.urls
        assert [record.error_code for record in await b.records()] == ["invalid_routing_header"] * 2


async def test_controls_stand_beside_credentials_and_win_over_their_headers(bench: OpenBench) -> None:
    credentials = Credentials(headers={"helicone-forced-routing": "alpha", "authorization": "Bearer x"})
    async with bench(completion("x")) as b:
        frame = b.pipeline.exchange(credentials=credentials, controls={"helicone-forced-routing": "beta"})
        assert frame.exchange.client_headers == {**credentials.headers, "helicone-forced-routing": "beta"}


async def test_the_other_operations_take_them(bench: OpenBench) -> None:
    controls = Controls(properties={"a": "b"})
    async with bench(*(failure(400) for _ in range(5))) as b:
        for ask in (
            b.pipeline.respond(model="m", input="x", router="main", controls=controls),
            b.pipeline.embed(model="alpha/m", input="x", controls=controls),
            b.pipeline.moderate(model="alpha/m", input="x", controls=controls),
            b.pipeline.list_files(provider="alpha", controls=controls),
        ):
            with pytest.raises(Exception):  # noqa: B017 - what each makes of a 400 is told elsewhere
                await ask
        with pytest.raises(Exception):  # noqa: B017 - as above
            async with b.pipeline.stream_response(model="m", input="x", router="main", controls=controls):
                pass
        records = await b.records()
    assert len(records) == 5
    assert all(record.properties == {"a": "b"} for record in records)
    assert {record.operation for record in records} > {Operation.CHAT.value, Operation.EMBEDDINGS.value}


def test_a_blocking_pipeline_takes_them() -> None:
    settings = {"providers": {"echo": {"use": "echo"}}, "loggers": []}
    with BlockingPipeline.from_config(settings, environment=ENVIRONMENT) as pipeline:
        ask = {"model": "echo/echo", "messages": MESSAGES}
        answer = pipeline.complete(**ask, controls=Controls(user="ann"))
        with pipeline.stream(**ask, controls=Controls(user="bob")) as chunks:
            list(chunks)
    assert answer.text
    assert chunks.exchange.user == "bob"
