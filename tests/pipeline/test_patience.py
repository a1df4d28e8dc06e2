from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

import pytest

from llmgate.formats import get_format, read_request
from llmgate.pipeline.patience import Patience, patience_of
from llmgate.spec import Credentials, GatewayTimeoutError, InvalidRequestError
from llmgate.testing.transport import stream_answer
from scripted import DONE, ROLE, Bench, OpenBench, delta, failure

BODY = b'{"model": "alpha/m", "messages": [{"role": "user", "content": "hi"}]}'


@pytest.mark.parametrize(
    ("headers", "wanted"),
    [
        ({}, None),
        ({"x-stainless-lang": "python"}, None),
        ({"llmgate-timeout": "2"}, Patience(whole=2.0)),
        ({"llmgate-timeout": "1500ms"}, Patience(whole=1.5)),
        ({"x-stainless-read-timeout": "2"}, Patience(silence=1.9)),
        ({"x-stainless-timeout": "600.0"}, Patience(silence=599.0)),
        ({"x-server-timeout": "10"}, Patience(silence=9.5)),
        ({"x-stainless-timeout": "600", "x-stainless-read-timeout": "20"}, Patience(silence=19.0)),
        ({"llmgate-timeout": "3", "x-stainless-read-timeout": "2"}, Patience(3.0, 1.9)),
        ({"x-stainless-read-timeout": "None"}, None),
        ({"x-stainless-read-timeout": "NOT_GIVEN"}, None),
        ({"x-stainless-read-timeout": "nan"}, None),
        ({"x-stainless-read-timeout": "inf"}, None),
        ({"x-stainless-read-timeout": "-1"}, None),
    ],
)
def test_what_headers_say(headers: Mapping[str, str], wanted: Patience | None) -> None:
    assert patience_of(headers) == wanted


@pytest.mark.parametrize("text", ["", "soon", "-1", "0", "nan", "inf", "1e999", "10 years"])
def test_an_own_word_that_is_no_time_is_refused(text: str) -> None:
    with pytest.raises(InvalidRequestError, match="llmgate-timeout: ") as caught:
        patience_of({"llmgate-timeout": text})
    assert caught.value.code == "invalid_timeout"


async def ask(b: Bench, headers: Mapping[str, str], body: bytes = BODY, **options: Any) -> Any:
    async with b.pipeline.exchange(credentials=Credentials(headers=headers)) as exchange:
        return await exchange.send(read_request(get_format("openai-chat"), body, **options))


async def test_repeats_end_with_the_time_that_the_caller_has(bench: OpenBench) -> None:
    retries = {"retries": {"strategy": "constant", "delay": "1s", "max-retries": 50}}
    async with bench(*[failure(503)] * 50, **{"global": retries}) as b:
        asking = asyncio.create_task(ask(b, {"llmgate-timeout": "5"}))
        for _ in range(100):
            await b.clock.advance(0.1)
        with pytest.raises(Exception, match="no"):
            await asking
        assert 1 < len(b.urls) < 50
        (record,) = await b.records()
        assert record.duration <= 5.0


async def test_a_silent_provider_is_given_up_before_the_library_gives_up(bench: OpenBench) -> None:
    async with bench(stream_answer(asyncio.Event())) as b:
        began = asyncio.get_running_loop().time()
        with pytest.raises(GatewayTimeoutError):
            await ask(b, {"x-stainless-read-timeout": "0.4"})
        assert asyncio.get_running_loop().time() - began < 0.4


async def test_a_deadline_of_the_application_that_is_nearer_wins(bench: OpenBench) -> None:
    async with bench(stream_answer(asyncio.Event())) as b:
        with pytest.raises(GatewayTimeoutError):
            await ask(b, {"llmgate-timeout": "100"}, deadline=b.clock.monotonic() + 0.05)


async def test_a_stream_may_last_longer_than_its_library_waits_for_a_sign_of_life(bench: OpenBench) -> None:
    held = asyncio.Event()
    async with bench(stream_answer(ROLE, delta("a"), held, delta("b"), delta(finish="stop"), DONE)) as b:
        headers = {"x-stainless-read-timeout": "0.2"}
        async with b.pipeline.exchange(credentials=Credentials(headers=headers)) as exchange:
            body = BODY.replace(b"{", b'{"stream": true, ', 1)
            stream = await exchange.stream(read_request(get_format("openai-chat"), body))
            asyncio.get_running_loop().call_later(0.4, held.set)
            assert b"".join([piece async for piece in stream]).endswith(DONE)
