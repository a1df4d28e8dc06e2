"""Rate limits over HTTP and in process: who is let through, what the others are told, what is recorded."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import aiohttp
import openai
import pytest

from end_to_end.loopback import MESSAGES, Loopback, loopback, settings_for
from llmgate import Pipeline
from llmgate.spec import RateLimitError
from llmgate.testing.clock import FakeClock
from llmgate.testing.upstream import FakeUpstream
from llmgate.testing.upstream_faults import Phase
from llmgate.testing.upstream_sockets import FakeSocketUpstream

CHAT = {"model": "m", "messages": MESSAGES}
MESSAGE = {**CHAT, "max_tokens": 9}
TEN = {"global": {"rate-limit": {"per-api-key": {"capacity": 10, "refill-frequency": "1h"}}}}
KEYS = {
    "auth": [
        {
            "use": "static-keys",
            "keys": [{"name": name, "secret": f"env:{name.upper()}_KEY"} for name in ("ann", "bob")],
        }
    ]
}
ENVIRONMENT = {"ANN_KEY": "sk-ann-0123456789abcdef", "BOB_KEY": "sk-bob-0123456789abcdef"}


def limited(capacity: int, every: str = "1h") -> dict[str, Any]:
    return {"rate-limit": {"per-api-key": {"capacity": capacity, "refill-frequency": every}}}


async def ask(gateway: Loopback, count: int, path: str = "/router/main/chat/completions", **headers: str) -> list[int]:
    return [(await gateway.post(CHAT, path, **headers)).status for _ in range(count)]


async def test_a_hundred_at_once_get_exactly_the_capacity() -> None:
    async with FakeUpstream() as one, loopback(settings_for(one, **TEN)) as gateway:
        replies = await asyncio.gather(*(gateway.post(CHAT) for _ in range(100)))
        records = await gateway.recorded(100)
    assert sorted(reply.status for reply in replies) == [200] * 10 + [429] * 90
    assert len(one.requests) == 10, "who is refused costs no provider anything"
    refused = [record for record in records if record.status == 429]
    assert len(refused) == 90
    assert {(record.error_code, len(record.attempts)) for record in refused} == {("rate_limit_exceeded", 0)}
    assert refused[0].metadata["rate-limit.refused-by"] == "global.rate-limit (requests-per-api-key)"


async def test_a_hundred_at_once_in_process() -> None:
    settings = {**TEN, "providers": {"echo": {"use": "echo"}}, "loggers": []}
    async with Pipeline.from_config(settings, environment={}) as pipeline:
        found = await asyncio.gather(
            *(pipeline.complete(model="echo/echo", messages=MESSAGES) for _ in range(100)), return_exceptions=True
        )
    refused = [one for one in found if isinstance(one, RateLimitError)]
    assert (len(found) - len(refused), len(refused)) == (10, 90)
    assert not any(isinstance(one, BaseException) for one in found if one not in refused)


async def test_a_refusal_in_the_words_of_each_surface() -> None:
    clock = FakeClock()
    settings = {"global": limited(1, "1m")}
    async with FakeUpstream() as one, loopback(settings_for(one, **settings), clock=clock) as gateway:
        first = await gateway.post(CHAT)
        chat = await gateway.post(CHAT)
        message = await gateway.post(MESSAGE, "/router/main/v1/messages")
    assert first.status == 200
    assert (first.headers["x-ratelimit-limit"], first.headers["x-ratelimit-remaining"]) == ("1", "0")
    assert first.headers["x-ratelimit-remaining-requests"] == "0"
    assert "x-ratelimit-after" not in first.headers
    assert (chat.status, chat.error["code"]) == (429, "rate_limit_exceeded")
    assert chat.error["message"].startswith("rate limit 'requests-per-api-key' reached: 1 requests in 60 s; try again")
    assert (chat.headers["retry-after"], chat.headers["x-ratelimit-after"]) == ("60", "60")
    assert chat.headers["x-ratelimit-reset-requests"] == "1m0s"
    assert chat.headers["ratelimit-policy"] == '"requests-per-api-key";q=1;w=60'
    assert (message.status, message.error["type"]) == (429, "rate_limit_error")
    assert message.headers["anthropic-ratelimit-requests-remaining"] == "0"


async def test_what_comes_back_lets_through_again() -> None:
    clock = FakeClock()
    async with (
        FakeUpstream() as one,
        loopback(settings_for(one, **{"global": limited(2, "1m")}), clock=clock) as gateway,
    ):
        assert await ask(gateway, 3) == [200, 200, 429]
        clock.advance(30)
        assert await ask(gateway, 2) == [200, 429]


async def test_keys_are_counted_apart() -> None:
    async with FakeUpstream() as one:
        settings = settings_for(one, **{"global": limited(2)}, **KEYS)
        async with loopback(settings, environment=ENVIRONMENT) as gateway:
            ann = await ask(gateway, 3, authorization=f"Bearer {ENVIRONMENT['ANN_KEY']}")
            bob = await ask(gateway, 3, x_api_key=ENVIRONMENT["BOB_KEY"])
            nobody = await ask(gateway, 1)
    assert (ann, bob, nobody) == ([200, 200, 429], [200, 200, 429], [401])


async def test_routers_have_limits_of_their_own_below_the_global_one() -> None:
    async with FakeUpstream() as one:
        settings = settings_for(one, **{"global": limited(4)})
        balance = settings["routers"]["main"]
        settings["routers"] = {"main": {**balance, **limited(1)}, "wide": {**balance, **limited(50)}}
        async with loopback(settings) as gateway:
            assert await ask(gateway, 3) == [200, 429, 429]
            wide = await ask(gateway, 5, "/router/wide/chat/completions")
    assert wide == [200, 200, 200, 429, 429], "what a router refuses is not spent from the global limit"


async def test_the_unified_api_has_one_of_its_own() -> None:
    async with FakeUpstream() as one:
        settings = settings_for(one, **{"unified-api": limited(1)})
        async with loopback(settings) as gateway:
            unified = [
                (await gateway.post({**CHAT, "model": "one/m"}, "/ai/chat/completions")).status for _ in range(2)
            ]
            assert (unified, await ask(gateway, 2)) == ([200, 429], [200, 200])


async def test_streams_count_and_what_fails_or_cannot_be_read_does_not() -> None:
    async with FakeUpstream() as one, loopback(settings_for(one, **{"global": limited(2)})) as gateway:
        stream = await gateway.post({**CHAT, "stream": True})
        unread = await gateway.post(b'{"model": 5}')
        one.fault("status-503", times=1)
        failed = await gateway.post(CHAT)
        await gateway.recorded(3)
        whole = await gateway.post(CHAT)
        last = await gateway.post({**CHAT, "stream": True})
    assert (stream.status, unread.status, failed.status, whole.status, last.status) == (200, 400, 503, 200, 429)
    assert stream.headers["x-ratelimit-remaining-requests"] == "1"
    assert failed.headers["x-ratelimit-remaining-requests"] == "0"
    assert last.headers["content-type"].startswith("application/json")


async def test_the_gateways_word_holds_where_the_provider_has_the_same() -> None:
    async with FakeUpstream() as one:
        theirs = {"x-ratelimit-limit-requests": "9999", "x-ratelimit-remaining-tokens": "777"}
        one.answer(json=_answer(), headers=theirs, times=1)
        async with loopback(settings_for(one, **{"global": limited(3)})) as gateway:
            reply = await gateway.post(CHAT)
    assert reply.headers["x-ratelimit-limit-requests"] == "3"
    assert reply.headers["x-ratelimit-remaining-tokens"] == "777"


def _answer() -> dict[str, Any]:
    choice = {"index": 0, "message": {"role": "assistant", "content": "hi"}, "finish_reason": "stop"}
    return {"id": "c", "object": "chat.completion", "created": 1, "model": "m", "choices": [choice]}


async def test_tokens_are_settled_by_what_the_provider_says() -> None:
    rule = {"use": "rate-limit", "limits": [{"capacity": 1000, "refill-frequency": "1h", "unit": "tokens"}]}
    async with FakeUpstream() as one:
        answer = {**_answer(), "usage": {"prompt_tokens": 400, "completion_tokens": 500, "total_tokens": 900}}
        one.answer(json=answer, times=2)
        async with loopback(settings_for(one, interceptors=[rule])) as gateway:
            first = await gateway.post({**CHAT, "max_tokens": 10})
            await gateway.recorded(1)
            second = await gateway.post({**CHAT, "max_tokens": 200})
            third = await gateway.post({**CHAT, "max_tokens": 10})
    assert (first.status, second.status, third.status) == (200, 429, 200)
    assert int(first.headers["x-ratelimit-remaining-tokens"]) > 900, "the estimate"
    assert json.loads(second.body)["error"]["message"].startswith(
        "rate limit 'tokens-per-api-key' reached: 1000 tokens"
    )


async def test_the_openai_library_waits_as_it_is_told() -> None:
    async with FakeUpstream() as one, loopback(settings_for(one, **{"global": limited(1, "1s")})) as gateway:
        base_url = f"http://127.0.0.1:{gateway.port}/router/main"
        async with openai.AsyncOpenAI(api_key="x", base_url=base_url, max_retries=0) as client:
            await client.chat.completions.create(**CHAT)
            with pytest.raises(openai.RateLimitError) as refused:
                await client.chat.completions.create(**CHAT)
            assert refused.value.code == "rate_limit_exceeded"
            assert refused.value.response.headers["retry-after"] == "1"
            raw = await client.with_options(max_retries=2).chat.completions.with_raw_response.create(**CHAT)
            assert raw.status_code == 200


async def test_a_stream_whose_head_goes_out_early_says_what_is_left() -> None:
    async with FakeUpstream() as one:
        one.fault("hang", phase=Phase.HEAD, times=1)
        settings = settings_for(
            one, **{"global": limited(3)}, stream={"commit-after": "10ms"}, timeouts={"total": "1s"}
        )
        async with loopback(settings) as gateway:
            reply = await gateway.post({**CHAT, "stream": True})
    assert reply.status == 200
    assert reply.headers["x-ratelimit-remaining-requests"] == "2"


async def test_users_and_policies_come_in_headers() -> None:
    rule = {"use": "rate-limit", "policy-header": True, "limits": [{"capacity": 5, "refill-frequency": "1h"}]}
    async with FakeUpstream() as one, loopback(settings_for(one, interceptors=[rule])) as gateway:
        own = {"helicone_ratelimit_policy": "1;w=3600;s=user"}
        ann = await ask(gateway, 2, helicone_user_id="ann", **own)
        bob = await ask(gateway, 1, helicone_user_id="bob", **own)
        wrong = await gateway.post(CHAT, helicone_ratelimit_policy="much")
        told = await gateway.post(CHAT, helicone_user_id="eve", **own)
    assert (ann, bob) == ([200, 429], [200])
    assert (wrong.status, wrong.error["code"]) == (400, "invalid_rate_limit_policy")
    assert told.headers["helicone-ratelimit-policy"] == "1;w=3600;s=user"
    assert told.headers["helicone-ratelimit-remaining"] == "0"
    assert told.headers["x-ratelimit-remaining"] == "0"
    assert not any("helicone-user-id" in request.headers for request in one.requests), "never sent upstream"


async def test_a_session_is_one_request_and_a_refused_one_a_plain_answer() -> None:
    async with FakeSocketUpstream() as one:
        settings = {"providers": {"openai": {"base-url": one.base_url}}, "unified-api": limited(1)}
        async with loopback(settings) as gateway:
            address = f"http://127.0.0.1:{gateway.port}/v1/realtime?model=gpt-realtime"
            async with gateway.client.ws_connect(address) as socket:
                for _ in range(3):
                    await socket.send_str("{}")
                    await socket.receive_str()
            with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
                await gateway.client.ws_connect(address)
    assert refused.value.status == 429
    assert refused.value.headers is not None
    assert int(refused.value.headers["retry-after"]) > 3000


async def test_a_reload_keeps_what_has_been_spent() -> None:
    echo = {"providers": {"echo": {"use": "echo"}}, "loggers": []}
    async with Pipeline.from_config({**echo, "global": limited(3)}, environment={}) as pipeline:

        async def granted(count: int) -> int:
            asked = (pipeline.complete(model="echo/echo", messages=MESSAGES) for _ in range(count))
            return sum(
                not isinstance(one, RateLimitError) for one in await asyncio.gather(*asked, return_exceptions=True)
            )

        assert await granted(2) == 2
        await pipeline.reload({**echo, "global": limited(3), "timeouts": {"total": "1m"}})
        assert await granted(5) == 1
        await pipeline.reload({**echo, "global": limited(5)})
        assert await granted(9) == 2, "more capacity is there at once, what was spent stays spent"


async def test_a_failure_without_work_costs_no_tokens() -> None:
    rule = {"use": "rate-limit", "limits": [{"capacity": 1500, "refill-frequency": "1h", "unit": "tokens"}]}
    async with FakeUpstream() as one, loopback(settings_for(one, interceptors=[rule])) as gateway:
        one.fault("status-503", times=3)
        found = []
        for number in range(1, 5):
            found.append((await gateway.post(CHAT)).status)
            await gateway.recorded(number)
    assert found == [503, 503, 503, 200], "each estimate of a thousand tokens was given back"


def spending(capacity: int, **limit: Any) -> list[dict[str, Any]]:
    one = {"name": "spend", "unit": "cents", "capacity": capacity, "refill-frequency": "1d", "by": [], **limit}
    return [{"use": "rate-limit", "limits": [one], "assumed-output": 7}]


PRICES = {"models": {"one/*": {"input": 1000, "output": 10_000}, "two/*": {"input": 1, "output": 1}}}
"""An answer of 7 tokens to 3 costs 7 cents and more at the first, next to nothing at the second."""


async def test_money_is_charged_by_what_requests_cost_and_a_cheaper_deployment_may_still_be_asked() -> None:
    usage = {"prompt_tokens": 10, "completion_tokens": 9, "total_tokens": 19}  # 10 cents at the first
    body = {"id": "1", "model": "m", "usage": usage, "choices": [{"index": 0, "message": {"content": "x"}}]}
    async with FakeUpstream() as one, FakeUpstream() as two:
        settings = settings_for(one, two, prices=PRICES, interceptors=spending(48))
        for upstream in (one, two):
            for _ in range(8):
                upstream.answer(json=body)
        async with loopback(settings) as gateway:
            statuses = await ask(gateway, 8)
            records = await gateway.recorded(8)
        served = [record.attempts[-1].provider_name for record in records]
    assert statuses == [200] * 8
    first = served.count("one")
    assert served == ["one"] * first + ["two"] * (8 - first)
    # Each is let through while what was spent and what it is expected to cost (7 cents and the input's) keep the limit.
    assert first == 4
    assert sum(record.cost_nano or 0 for record in records) <= 48 * 10**7


async def test_a_limit_of_money_that_is_reached_refuses() -> None:
    async with FakeUpstream() as one:
        settings = settings_for(one, prices=PRICES, interceptors=spending(12))
        async with loopback(settings) as gateway:
            assert await ask(gateway, 1) == [200]
            reply = await gateway.post(CHAT)
            records = await gateway.recorded(2)
    assert (reply.status, reply.error["code"]) == (429, "rate_limit_exceeded")
    assert "12 cents" in reply.error["message"]
    assert records[1].cost_nano == 0
    assert len(one.requests) == 1


async def test_a_failed_attempt_gives_its_money_back() -> None:
    async with FakeUpstream() as one:
        for _ in range(20):
            one.answer(503, json={"error": {"message": "down"}})
        settings = settings_for(one, prices=PRICES, interceptors=spending(12))
        async with loopback(settings) as gateway:
            assert set(await ask(gateway, 5)) == {503}


async def test_what_has_no_price_is_not_let_through_a_limit_of_money_unless_it_may() -> None:
    async with FakeUpstream() as one, loopback(settings_for(one, interceptors=spending(50))) as gateway:
        reply = await gateway.post(CHAT)
        assert reply.status == 429
        assert "nobody knows what one/m costs" in reply.error["message"]
        assert not one.requests
    allowed = spending(50, **{"unknown-price": "allow"})
    async with FakeUpstream() as one, loopback(settings_for(one, interceptors=allowed)) as gateway:
        assert await ask(gateway, 3) == [200] * 3


OWN = [{"use": "rate-limit", "policy-header": True, "assumed-output": 7}]


async def test_a_policy_of_money_holds_its_callers_spending_each_user_apart() -> None:
    policy = {"helicone_ratelimit_policy": "20;w=86400;u=cents;s=user"}
    async with FakeUpstream() as one, loopback(settings_for(one, prices=PRICES, interceptors=OWN)) as gateway:
        first = await gateway.post(CHAT, helicone_user_id="ann", **policy)
        many = await asyncio.gather(*(gateway.post(CHAT, helicone_user_id="ann", **policy) for _ in range(30)))
        other = await ask(gateway, 1, helicone_user_id="bob", **policy)
        free = await ask(gateway, 1)
        records = await gateway.recorded(33)
    assert (first.status, first.headers["helicone-ratelimit-limit"]) == (200, "20")
    assert int(first.headers["helicone-ratelimit-remaining"]) < 20
    refused = [reply for reply in many if reply.status != 200]
    assert {(reply.status, reply.error["code"]) for reply in refused} == {(429, "rate_limit_exceeded")}
    assert {reply.headers["helicone-ratelimit-policy"] for reply in refused} == {policy["helicone_ratelimit_policy"]}
    assert all("retry-after" in reply.headers for reply in refused)
    assert (other, free) == ([200], [200])
    assert sum(record.cost_nano or 0 for record in records[:31]) <= 20 * 10**7
    assert len(one.requests) == 33 - len(refused)


async def test_a_policy_of_money_lets_nothing_through_whose_price_nobody_knows() -> None:
    async with FakeUpstream() as one, loopback(settings_for(one, interceptors=OWN)) as gateway:
        reply = await gateway.post(CHAT, helicone_ratelimit_policy="20;w=60;u=cents")
    assert reply.status == 429
    assert "nobody knows what one/m costs" in reply.error["message"]
    assert not one.requests


async def until_let_through(gateway: Loopback) -> int:
    """How many tries it takes until a request is let through."""
    async with asyncio.timeout(10):
        for tries in range(1000):
            if (await gateway.post(CHAT)).status == 200:
                return tries
            await asyncio.sleep(0.02)
    raise AssertionError("nobody is ever let through again")


async def test_a_place_is_held_by_a_stream_and_free_when_its_client_has_left() -> None:
    rule = {"use": "rate-limit", "limits": [{"capacity": 1, "unit": "concurrent"}]}
    async with FakeUpstream() as one, loopback(settings_for(one, interceptors=[rule])) as gateway:
        one.fault("hang", phase=Phase.MIDDLE, times=1)
        address = f"http://127.0.0.1:{gateway.port}/router/main/chat/completions"
        stream = await gateway.client.post(address, json={**CHAT, "stream": True})
        await stream.content.readany()
        refused = await gateway.post(CHAT)
        stream.close()
        await until_let_through(gateway)
    assert refused.status == 429
    assert refused.error["message"].startswith("rate limit 'concurrent-per-api-key' reached: 1 requests at once")
    assert refused.headers["ratelimit-policy"] == '"concurrent-per-api-key";q=1;qu="concurrent-requests"'


async def test_a_place_at_a_provider_is_free_after_a_failure() -> None:
    rule = {"use": "rate-limit", "limits": [{"capacity": 1, "unit": "concurrent", "by": ["provider"]}]}
    async with FakeUpstream() as one, loopback(settings_for(one, interceptors=[rule])) as gateway:
        one.fault("status-503", times=1)
        statuses = [(await gateway.post(CHAT)).status for _ in range(3)]
    assert statuses == [503, 200, 200]


async def test_a_request_waits_for_its_turn_and_the_record_says_so() -> None:
    rule = {"use": "rate-limit", "wait": "10s", "limits": [{"capacity": 1, "unit": "concurrent"}]}
    async with FakeUpstream() as one, loopback(settings_for(one, interceptors=[rule])) as gateway:
        replies = await asyncio.gather(*(gateway.post(CHAT) for _ in range(8)))
        records = await gateway.recorded(8)
    assert [reply.status for reply in replies] == [200] * 8
    assert any("rate-limit.waited" in record.metadata for record in records)
