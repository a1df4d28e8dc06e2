from __future__ import annotations

import asyncio
from typing import Any

import pytest

from llmgate.formats import get_format, read_request
from llmgate.spec import Credentials, Interceptor, ProviderError, hookimpl
from llmgate.testing.transport import json_answer, stream_answer
from scripted import DONE, MESSAGES, ROLE, Bench, OpenBench, completion, failure, streamed

NAMES = ["alpha", "beta", "gamma"]
PROVIDERS = {name: {"base-url": f"https://{name}.test/v1", "keyless": True} for name in NAMES}
BODY = b'{"model": "m", "messages": [{"role": "user", "content": "hi"}]}'


def config(*providers: str, hedge: Any = "2s", **router: Any) -> dict[str, Any]:
    balance = {"chat": {"strategy": "priority", "providers": list(providers) or NAMES}}
    more = {} if hedge is None else {"hedge-after": hedge}
    return {"providers": PROVIDERS, "routers": {"main": {"load-balance": balance, **more, **router}}}


def silent() -> Any:
    return stream_answer(asyncio.Event())


def hosts(b: Bench) -> list[str]:
    return [url.split("/")[2].removesuffix(".test") for url in b.urls]


def asking(b: Bench, **options: Any) -> asyncio.Task[Any]:
    return asyncio.create_task(b.pipeline.complete(router="main", model="m", messages=MESSAGES, **options))


async def settle(b: Bench, *steps: float) -> None:
    for step in (0, *steps, 0):
        await b.clock.advance(step)
        await asyncio.sleep(0)


async def test_the_second_answers_where_the_first_is_silent(bench: OpenBench) -> None:
    async with bench(silent(), completion("from beta"), **config()) as b:
        asked = asking(b)
        await settle(b, 1.9)
        assert hosts(b) == ["alpha"]
        await settle(b, 0.2)
        answer = await asked
        assert (answer.text, hosts(b)) == ("from beta", ["alpha", "beta"])
        (record,) = await b.records()
        loser, winner = record.attempts
        assert (loser.deployment, loser.abandoned, loser.error_code) == ("alpha/m", True, None)
        assert (winner.deployment, winner.abandoned) == ("beta/m", False)
        assert (record.provider_name, record.outcome) == ("beta", "ok")
        assert loser.duration is not None


async def test_the_first_may_still_win_and_is_then_the_one_that_has_answered(bench: OpenBench) -> None:
    late = asyncio.Event()
    body = completion("from alpha").body  # type: ignore[union-attr]
    slow = stream_answer(late, body, headers={"content-type": "application/json"})
    async with bench(slow, silent(), **config()) as b:
        asked = asking(b)
        await settle(b, 2.1)
        assert hosts(b) == ["alpha", "beta"]
        late.set()
        assert (await asked).text == "from alpha"
        (record,) = await b.records()
        assert [(one.deployment, one.abandoned) for one in record.attempts] == [("beta/m", True), ("alpha/m", False)]
        assert record.provider_name == "alpha"


async def test_a_quick_answer_is_alone(bench: OpenBench) -> None:
    async with bench(completion(), **config()) as b:
        await b.pipeline.complete(router="main", model="m", messages=MESSAGES)
        await settle(b, 10)
        assert hosts(b) == ["alpha"]
        assert b.clock.sleeping == 0


async def test_unless_it_is_configured_there_is_no_second(bench: OpenBench) -> None:
    async with bench(silent(), **config(hedge=None)) as b:
        asked = asking(b)
        await settle(b, 60)
        assert hosts(b) == ["alpha"]
        asked.cancel()
        await asyncio.wait({asked})


async def test_a_stream_is_taken_from_who_has_content_first_and_the_other_is_closed(bench: OpenBench) -> None:
    async with bench(stream_answer(ROLE, asyncio.Event()), streamed("a", "b"), **config()) as b:

        async def read() -> bytes:
            async with b.pipeline.exchange() as exchange:
                body = BODY.replace(b"{", b'{"stream": true, ', 1)
                stream = await exchange.stream(read_request(get_format("openai-chat"), body, router="main"))
                return b"".join([piece async for piece in stream])

        reading = asyncio.create_task(read())
        await settle(b, 2.1)
        assert (await reading).endswith(DONE)
        assert b.transport.streams[0].closed
        (record,) = await b.records()
        assert [one.abandoned for one in record.attempts] == [True, False]


async def test_it_is_paid_for(bench: OpenBench) -> None:
    nothing = {"retry-budget": {"floor": 0, "ratio": 0}}
    async with bench(silent(), **config(**nothing)) as b:
        asked = asking(b)
        await settle(b, 60)
        assert hosts(b) == ["alpha"]
        asked.cancel()
        await asyncio.wait({asked})
    one = {"retry-budget": {"floor": 1, "ratio": 0, "window": "1h"}}
    async with bench(silent(), completion(), silent(), **config(**one)) as b:
        first = asking(b)
        await settle(b, 3)
        await first
        second = asking(b)
        await settle(b, 60)
        assert hosts(b) == ["alpha", "beta", "alpha"]
        second.cancel()
        await asyncio.wait({second})


async def test_both_fail_over_and_never_to_the_same(bench: OpenBench) -> None:
    held = asyncio.Event()
    refused = stream_answer(held, b'{"error": {}}', status=503, headers={"content-type": "application/json"})
    async with bench(refused, failure(503), completion("from gamma"), **config()) as b:
        asked = asking(b)
        await settle(b, 2.1)
        assert (await asked).text == "from gamma"
        assert hosts(b) == ["alpha", "beta", "gamma"]
        held.set()


async def test_when_both_fail_the_error_is_the_answer(bench: OpenBench) -> None:
    held = asyncio.Event()
    refused = stream_answer(held, b'{"error": {}}', status=503, headers={"content-type": "application/json"})
    async with bench(refused, failure(500), **config("alpha", "beta")) as b:
        asked = asking(b)
        await settle(b, 2.1)
        held.set()
        with pytest.raises(ProviderError):
            await asked
        (record,) = await b.records()
        assert len(record.attempts) == 2
        assert not any(one.abandoned for one in record.attempts)


async def test_a_refusal_by_one_waits_for_the_other(bench: OpenBench) -> None:
    held = asyncio.Event()
    body = completion("from alpha").body  # type: ignore[union-attr]
    slow = stream_answer(held, body, headers={"content-type": "application/json"})
    async with bench(slow, failure(400), **config()) as b:
        asked = asking(b)
        await settle(b, 2.1)
        held.set()
        assert (await asked).text == "from alpha"


async def test_a_failure_before_the_delay_is_failover_as_ever(bench: OpenBench) -> None:
    async with bench(failure(503), completion("from beta"), **config()) as b:
        assert (await b.pipeline.complete(router="main", model="m", messages=MESSAGES)).text == "from beta"
        await settle(b, 10)
        assert hosts(b) == ["alpha", "beta"]


@pytest.mark.parametrize(
    ("settings", "headers"),
    [
        (config("alpha"), {}),
        (config(**{"resend-unknown": False}), {}),
        (config(), {"llmgate-failover": "false"}),
        (config(), {"helicone-forced-routing": "alpha"}),
    ],
    ids=["nobody else", "never twice", "no failover", "forced"],
)
async def test_where_there_is_no_second(bench: OpenBench, settings: Any, headers: dict[str, str]) -> None:
    async with bench(silent(), **settings) as b:

        async def ask() -> None:
            async with b.pipeline.exchange(credentials=Credentials(headers=headers)) as exchange:
                await exchange.send(read_request(get_format("openai-chat"), BODY, router="main"))

        asked = asyncio.create_task(ask())
        await settle(b, 60)
        assert hosts(b) == ["alpha"]
        asked.cancel()
        await asyncio.wait({asked})


async def test_a_caller_who_leaves_ends_both(bench: OpenBench) -> None:
    async with bench(silent(), silent(), **config()) as b:
        asked = asking(b)
        await settle(b, 2.1)
        asked.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asked
        (record,) = await b.records()
        assert (record.outcome, [one.abandoned for one in record.attempts]) == ("cancelled", [True, True])


async def test_the_deadline_ends_both(bench: OpenBench) -> None:
    async with bench(silent(), silent(), **config(hedge="10ms")) as b:
        asked = asking(b, timeout=0.3)
        await settle(b, 0.02)
        with pytest.raises(Exception, match="not answered within"):
            await asked
        (record,) = await b.records()
        assert [one.error_code for one in record.attempts] == ["deadline_exceeded"] * 2


async def test_what_interceptors_hold_for_each_attempt_is_released(bench: OpenBench) -> None:
    held: list[int] = []

    class Holder(Interceptor[Any]):
        name = "holder"

        async def before_attempt(self, exchange: Any, attempt: Any) -> bool:
            held.append(attempt.index)
            return True

        async def after_attempt(self, exchange: Any, attempt: Any) -> None:
            held.remove(attempt.index)

    class Plugin:
        @hookimpl
        def llmgate_register_interceptors(self) -> Any:
            return Holder

    settings = {**config(), "interceptors": [{"use": "holder"}]}
    async with bench(silent(), completion(), plugins=(Plugin(),), **settings) as b:
        asked = asking(b)
        await settle(b, 1)
        assert held == [0]
        await settle(b, 1.1)
        await asked
        assert held == []


async def test_two_that_answer_at_once_leave_one_answer(bench: OpenBench) -> None:
    gate = asyncio.Event()
    body = json_answer({}).body and completion("same").body  # type: ignore[union-attr]
    slow = [stream_answer(gate, body, headers={"content-type": "application/json"}) for _ in range(2)]
    async with bench(*slow, **config()) as b:
        asked = asking(b)
        await settle(b, 2.1)
        gate.set()
        assert (await asked).text == "same"
        (record,) = await b.records()
        assert [one.abandoned for one in record.attempts] == [True, False]
