from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from llmgate.formats import get_format, read_request
from llmgate.spec import (
    AuthenticationError,
    Credentials,
    GatewayClosedError,
    GatewayError,
    GatewayTimeoutError,
    Interceptor,
    InvalidRequestError,
    ModelNotFoundError,
    PermissionDeniedError,
    Principal,
    ProviderProtocolError,
    hookimpl,
)
from llmgate.testing.transport import stream_answer
from scripted import MESSAGES, OpenBench, completion, delta, failure, streamed

FORMAT = get_format("openai-chat")
HASHED = {"use": "static-keys", "keys": [{"name": "team-a", "secret": "env:TEAM_KEY"}]}
ENVIRONMENT = {"ALPHA_API_KEY": "a", "BETA_API_KEY": "b", "TEAM_KEY": "sk-lg-team-secret-key-0123456789"}


def chat(model: str = "alpha/m", **fields: Any) -> Any:
    body = json.dumps({"model": model, "messages": MESSAGES, **fields}).encode()
    return read_request(FORMAT, body)


async def test_the_answer_goes_down_as_it_came(bench: OpenBench) -> None:
    async with bench(completion("hi", unknown={"kept": [1, 2.50]})) as b:
        async with b.pipeline.exchange() as x:
            response = await x.send(chat(unheard_of={"a": 1}))
        assert b'"unknown": {"kept": [1, 2.5]}' in response.body
        assert b.bodies[0] == {"model": "m", "messages": MESSAGES, "unheard_of": {"a": 1}}


async def test_the_body_goes_up_byte_by_byte_but_for_what_must_change(bench: OpenBench) -> None:
    body = b'{ "messages" : [ {"role":"user","content":"h\\u00e9"} ],\n "model":"m", "temperature": 1.50 }'
    async with bench(completion()) as b:
        async with b.pipeline.exchange() as x:
            await x.send(read_request(FORMAT, body.replace(b'"m"', b'"alpha/m"')))
        assert b.transport.requests[0].body == body


async def test_every_exchange_leaves_exactly_one_record(bench: OpenBench) -> None:
    async with bench(completion(), failure(400), streamed("a"), streamed("a", cut=True)) as b:
        async with b.pipeline.exchange() as x:
            await x.send(chat())
        with pytest.raises(GatewayError):
            async with b.pipeline.exchange() as x:
                await x.send(chat())
        async with b.pipeline.exchange() as x:
            assert [frame async for frame in await x.stream(chat(stream=True))]
        with pytest.raises(ProviderProtocolError):
            async with b.pipeline.exchange() as x:
                assert [frame async for frame in await x.stream(chat(stream=True))]
        with pytest.raises(InvalidRequestError):
            async with b.pipeline.exchange() as x:
                await x.send(read_request(FORMAT, b"{}"))
        records = await b.records()
        assert [record.outcome for record in records] == ["ok", "error", "ok", "incomplete", "error"]
        assert len({record.id for record in records}) == 5


async def test_authentication_comes_before_everything_and_refusals_are_recorded(bench: OpenBench) -> None:
    async with bench(auth=[HASHED], environment=ENVIRONMENT) as b:
        for credentials, message in [
            (Credentials(), "Missing authorization header"),
            (Credentials.of("wrong"), "Invalid credentials"),
        ]:
            with pytest.raises(AuthenticationError, match=message):
                async with b.pipeline.exchange(credentials=credentials):
                    pytest.fail("entered without a valid credential")
        records = await b.records()
        assert [(record.status, record.principal) for record in records] == [(401, None), (401, None)]


async def test_a_known_key_is_let_in_and_named_in_the_record(bench: OpenBench) -> None:
    async with bench(completion(), auth=[HASHED], environment=ENVIRONMENT) as b:
        await b.pipeline.complete(model="alpha/m", messages=MESSAGES, api_key=ENVIRONMENT["TEAM_KEY"])
        (record,) = await b.records()
        assert (record.principal, record.status) == ("team-a", 200)


async def test_a_principal_asks_for_what_its_scopes_name_and_for_the_list_of_models(bench: OpenBench) -> None:
    limited = Principal("p", scopes=["embeddings"])
    async with bench() as b:
        with pytest.raises(PermissionDeniedError, match="may not ask for chat") as caught:
            await b.pipeline.complete(model="alpha/m", messages=MESSAGES, principal=limited)
        assert caught.value.code == "operation_not_allowed"
        assert b.transport.requests == []
        await b.pipeline.models(principal=limited)


async def test_a_principal_may_call_only_its_models_on_every_hop(bench: OpenBench) -> None:
    limited = Principal(id="p", models=["beta/*"])
    async with bench(completion("from beta")) as b:
        answer = await b.pipeline.complete(router="main", model="m", messages=MESSAGES, principal=limited)
        assert answer.text == "from beta"
        assert len(b.urls) == 1
        with pytest.raises(PermissionDeniedError):
            await b.pipeline.complete(model="alpha/m", messages=MESSAGES, principal=limited)


async def test_a_closed_pipeline_says_so(bench: OpenBench) -> None:
    async with bench() as b:
        await b.pipeline.aclose()
        with pytest.raises(GatewayClosedError):
            await b.pipeline.complete(model="alpha/m", messages=MESSAGES)


async def test_an_exchange_carries_one_request(bench: OpenBench) -> None:
    async with bench(completion()) as b, b.pipeline.exchange() as x:
        await x.send(chat())
        with pytest.raises(RuntimeError, match="one request"):
            await x.send(chat())


async def test_the_deadline_ends_a_silent_attempt(bench: OpenBench) -> None:
    never = asyncio.Event()
    async with bench(stream_answer(never)) as b:
        with pytest.raises(GatewayTimeoutError):
            await b.pipeline.complete(model="alpha/m", messages=MESSAGES, timeout=0.05)
        (record,) = await b.records()
        assert (record.status, record.attempts[0].error_code) == (504, "deadline_exceeded")


async def test_the_deadline_ends_a_silent_stream(bench: OpenBench) -> None:
    never = asyncio.Event()
    async with bench(stream_answer(delta("a"), never)) as b:
        seen = []
        with pytest.raises(GatewayTimeoutError):
            async with b.pipeline.stream(model="alpha/m", messages=MESSAGES, timeout=0.05) as chunks:
                seen.extend([chunk.text async for chunk in chunks])
        assert b.transport.streams[0].closed
        (record,) = await b.records()
        assert (record.outcome, record.status) == ("incomplete", 504)


async def test_a_caller_who_is_cancelled_closes_the_upstream_and_leaves_one_record(bench: OpenBench) -> None:
    never = asyncio.Event()
    async with bench(stream_answer(delta("a"), never)) as b:

        async def read() -> None:
            async with b.pipeline.exchange() as x:
                async for _ in await x.stream(chat(stream=True)):
                    pass

        reading = asyncio.create_task(read())
        await asyncio.sleep(0.02)
        reading.cancel()
        with pytest.raises(asyncio.CancelledError):
            await reading
        assert b.transport.streams[0].closed
        (record,) = await b.records()
        assert (record.outcome, record.status) == ("cancelled", 499)
        assert record.attempts[0].abandoned


async def test_a_stream_left_early_is_cancelled_upstream(bench: OpenBench) -> None:
    async with bench(streamed("a", "b", "c")) as b:
        async with b.pipeline.exchange() as x:
            async for _ in await x.stream(chat(stream=True)):
                break
        assert b.transport.streams[0].closed
        (record,) = await b.records()
        assert record.outcome == "cancelled"


async def test_an_unexpected_failure_is_an_internal_error_in_the_record_and_itself_to_the_caller(
    bench: OpenBench,
) -> None:
    async with bench(ZeroDivisionError("oops")) as b:
        with pytest.raises(ZeroDivisionError):
            await b.pipeline.complete(model="alpha/m", messages=MESSAGES)
        (record,) = await b.records()
        assert (record.status, record.error_code) == (500, "internal_error")
        assert "oops" not in (record.error_message or "")


async def test_settling_happens_once_even_when_the_settling_caller_is_cancelled(bench: OpenBench) -> None:
    settled: list[str] = []

    class Slow(Interceptor[Any]):
        name = "slow"

        async def on_settle(self, exchange: Any) -> None:
            await asyncio.sleep(0.05)
            settled.append(exchange.id)

    class Plugin:
        @hookimpl
        def llmgate_register_interceptors(self) -> Any:
            return Slow

    async with bench(completion(), plugins=(Plugin(),), interceptors=[{"use": "slow"}]) as b:
        asking = asyncio.create_task(b.pipeline.complete(model="alpha/m", messages=MESSAGES))
        await asyncio.sleep(0.02)
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking
        records = await b.records()
        assert [record.id for record in records] == settled


async def test_what_an_attempt_holds_is_released_even_when_the_caller_leaves_in_the_middle_of_it(
    bench: OpenBench,
) -> None:
    steps: list[str] = []
    releasing = asyncio.Event()

    class Holder(Interceptor[Any]):
        name = "holder"

        async def after_attempt(self, exchange: Any, attempt: Any) -> None:
            releasing.set()
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            steps.append("released")

        async def on_settle(self, exchange: Any) -> None:
            steps.append("settled")

    class Plugin:
        @hookimpl
        def llmgate_register_interceptors(self) -> Any:
            return Holder

    async with bench(completion(), plugins=(Plugin(),), interceptors=[{"use": "holder"}]) as b:
        asking = asyncio.create_task(b.pipeline.complete(model="alpha/m", messages=MESSAGES))
        await releasing.wait()
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking
        assert steps == ["released", "settled"]
        (record,) = await b.records()
        assert record.outcome == "cancelled"


async def test_an_interceptor_that_fails_after_an_attempt_costs_neither_the_answer_nor_the_record(
    bench: OpenBench,
) -> None:
    class Failing(Interceptor[Any]):
        name = "failing"

        async def after_attempt(self, exchange: Any, attempt: Any) -> None:
            raise RuntimeError("cannot release")

    class Plugin:
        @hookimpl
        def llmgate_register_interceptors(self) -> Any:
            return Failing

    async with bench(completion("fine"), plugins=(Plugin(),), interceptors=[{"use": "failing"}]) as b:
        assert (await b.pipeline.complete(model="alpha/m", messages=MESSAGES)).text == "fine"
        (record,) = await b.records()
        assert record.outcome == "ok"


async def test_metadata_is_recorded_and_not_sent(bench: OpenBench) -> None:
    async with bench(completion()) as b:
        await b.pipeline.complete(model="alpha/m", messages=MESSAGES, metadata={"feature": "search"})
        assert "metadata" not in b.bodies[0]
        (record,) = await b.records()
        assert record.metadata == {"feature": "search", "llmgate.mapping": "pending"}


async def test_the_record_names_the_credential_and_never_shows_it(bench: OpenBench) -> None:
    async with bench(completion()) as b:
        await b.pipeline.complete(model="alpha/m", messages=MESSAGES)
        (record,) = await b.records()
        attempt = record.attempts[0]
        assert attempt.credential_ref == "env:ALPHA_API_KEY"
        assert len(attempt.credential_fingerprint) == 8
        assert attempt.provider_request_id == "upstream-1"
        assert "key-of-alpha" not in repr(record)


async def test_an_unknown_router_is_not_found(bench: OpenBench) -> None:
    async with bench() as b:
        with pytest.raises(ModelNotFoundError, match=r"^router 'other' is not configured: .* or use one of main$"):
            await b.pipeline.complete(router="other", model="m", messages=MESSAGES)


async def test_where_there_is_no_router_none_is_proposed(bench: OpenBench) -> None:
    async with bench(routers={}) as b:
        with pytest.raises(ModelNotFoundError) as caught:
            await b.pipeline.complete(router="other", model="m", messages=MESSAGES)
        assert caught.value.message == "router 'other' is not configured: there is none, write it under routers"
