"""What callers ask of routing by headers, over HTTP: it is done, told, and kept from providers."""

from __future__ import annotations

import asyncio
import json

import openai
import pytest

from end_to_end.loopback import MESSAGES, loopback, settings_for
from llmgate.testing.upstream import FakeUpstream

CHAT = {"model": "m", "messages": MESSAGES}
STREAM = {**CHAT, "stream": True}


@pytest.mark.parametrize("body", [CHAT, STREAM], ids=["whole", "stream"])
async def test_a_list_of_fallbacks_is_followed_and_the_answer_says_how_far(body):
    async with FakeUpstream() as one, FakeUpstream() as two:
        one.fault("status-503", times=9)
        places = [
            {"target-url": one.url, "onCodes": [{"from": 500, "to": 599}], "headers": {"Authorization": "Bearer mine"}},
            {"target-url": two.url, "onCodes": [], "bodyKeyOverride": {"model": "gpt-4o"}},
        ]
        async with loopback(settings_for(one, two)) as gateway:
            reply = await gateway.post(body, helicone_fallbacks=json.dumps(places))
        assert (reply.status, reply.headers["helicone-fallback-index"]) == (200, "1")
        assert reply.headers["helicone-provider"] == "two"
        assert json.loads(two.requests[0].body)["model"] == "gpt-4o"
        assert one.requests[0].headers["authorization"] == "Bearer secret-of-one"


async def test_what_is_meant_for_the_gateway_never_reaches_a_provider():
    wishes = {
        "helicone_forced_routing": "two",
        "llmgate_failover": "false",
        "llmgate_tags": "",
        "llmgate_timeout": "20",
        "helicone_token_limit_exception_handler": "truncate",
        "helicone_user_id": "u",
        "helicone_property_x": "y",
    }
    async with FakeUpstream() as one, FakeUpstream() as two:
        async with loopback(settings_for(one, two)) as gateway:
            reply = await gateway.post(CHAT, **wishes)
        assert (reply.status, reply.headers["helicone-provider"]) == (200, "two")
        assert not one.requests
        sent = two.requests[0].headers
        assert not [name for name in sent if name.startswith(("helicone-", "llmgate-"))]


@pytest.mark.parametrize(
    ("header", "value"),
    [
        ("helicone_fallbacks", "nonsense"),
        ("helicone_fallbacks", '[{"target-url": "http://169.254.169.254/"}]'),
        ("llmgate_failover", "perhaps"),
        ("helicone_token_limit_exception_handler", "shorten"),
    ],
)
async def test_a_header_that_cannot_be_followed_is_a_400_and_nobody_is_asked(header, value):
    async with FakeUpstream() as one:
        async with loopback(settings_for(one)) as gateway:
            reply = await gateway.post(CHAT, **{header: value})
            (record,) = await gateway.recorded()
        assert (reply.status, reply.error["code"]) == (400, "invalid_routing_header")
        assert not one.requests
        assert record.error_code == "invalid_routing_header"


@pytest.mark.parametrize("path", ["/one/v1/chat/completions", "/one/chat/completions"])
async def test_the_direct_relay_has_no_list_and_keeps_to_tags(path):
    async with FakeUpstream() as one:
        async with loopback(settings_for(one)) as gateway:
            refused = await gateway.post(CHAT, path, helicone_fallbacks='[{"model": "two/m"}]')
            forced = await gateway.post(CHAT, path, helicone_forced_routing="two")
            tagged = await gateway.post(CHAT, path, llmgate_tags="region:eu")
        assert (refused.status, refused.error["code"]) == (400, "invalid_routing_header")
        assert (forced.status, forced.error["code"]) == (400, "invalid_routing_header")
        assert (tagged.status, tagged.error["code"]) == (503, "no_tagged_deployment")
        assert tagged.headers["x-should-retry"] == "false"
        assert not one.requests


async def test_where_the_path_names_the_provider_a_larger_model_of_another_is_not_tried():
    async with FakeUpstream() as one, FakeUpstream() as two:
        too_long = {"error": {"message": "too long", "code": "context_length_exceeded"}}
        settings = {**settings_for(one, two), "unified-api": {"larger-models": ["two/large", "one/large"]}}
        async with loopback(settings) as gateway:
            one.answer(400, json=too_long)
            there = await gateway.post(CHAT, "/one/v1/chat/completions")
            one.answer(400, json=too_long)
            anywhere = await gateway.post({**CHAT, "model": "one/m"}, "/v1/chat/completions")
        assert (there.status, anywhere.status) == (200, 200)
        assert [json.loads(request.body)["model"] for request in one.requests] == ["m", "large", "m"]
        assert [json.loads(request.body)["model"] for request in two.requests] == ["large"]


async def test_a_deadline_holds_over_slow_tries_and_hedges():
    """Two seconds for tries of a second and a half, and another beside each: it ends in time, all closed."""
    async with FakeUpstream() as one, FakeUpstream() as two:
        for upstream in (one, two):
            for _ in range(9):
                upstream.hang()
        retries = {"strategy": "constant", "delay": "1ms", "max-retries": 3}
        settings = settings_for(one, two, timeouts={"first-byte": "1500ms"}, **{"global": {"retries": retries}})
        settings["routers"]["main"]["hedge-after"] = "500ms"
        async with loopback(settings) as gateway:
            began = asyncio.get_running_loop().time()
            reply = await gateway.post(CHAT, llmgate_timeout="2s")
            took = asyncio.get_running_loop().time() - began
            await one.closed(len(one.requests))
            await two.closed(len(two.requests))
            (record,) = await gateway.recorded()
        assert reply.status == 504
        assert 1.4 < took < 2.3
        assert {attempt.provider_name for attempt in record.attempts} == {"one", "two"}
        assert all(attempt.duration is not None for attempt in record.attempts)


async def test_the_openai_sdk_gets_the_answer_of_the_quicker_one():
    async with FakeUpstream() as one, FakeUpstream() as two:
        one.hang()
        settings = settings_for(one, two)
        settings["routers"]["main"]["hedge-after"] = "200ms"
        async with loopback(settings) as gateway:
            url = f"http://127.0.0.1:{gateway.port}/router/main/v1"
            async with openai.AsyncOpenAI(base_url=url, api_key="mine", timeout=20) as client:
                raw = await client.chat.completions.with_raw_response.create(**CHAT)
            await one.closed()
            (record,) = await gateway.recorded()
        assert (raw.headers["helicone-provider"], raw.headers["llmgate-attempts"]) == ("two", "2")
        assert [(attempt.provider_name, attempt.abandoned) for attempt in record.attempts] == [
            ("one", True),
            ("two", False),
        ]


async def test_a_provider_with_two_keys_goes_on_with_the_other():
    async with FakeUpstream() as one:
        one.answer(429, json={"error": {"message": "slow down"}})
        settings = settings_for(one)
        settings["providers"]["one"]["secrets"] = ["env:FIRST", "env:SECOND"]
        async with loopback(settings, environment={"FIRST": "key-1", "SECOND": "key-2"}) as gateway:
            replies = [await gateway.post(CHAT) for _ in range(10)]
            records = await gateway.recorded(10)
        assert {reply.status for reply in replies} == {200}
        limited, *others = [request.headers["authorization"] for request in one.requests]
        assert set(others) == {"Bearer key-1", "Bearer key-2"} - {limited}
        assert {attempt.credential_ref for record in records for attempt in record.attempts} == {
            "env:FIRST",
            "env:SECOND",
        }
        assert "key-1" not in repr(records)


async def test_the_direct_relay_goes_on_with_the_other_key_and_tells_when_all_are_limited():
    async with FakeUpstream() as one:
        settings = settings_for(one)
        settings["providers"]["one"]["secrets"] = ["env:FIRST", "env:SECOND"]
        limit = {"error": {"message": "slow down", "type": "requests", "code": "rate_limit_exceeded"}}
        async with loopback(settings, environment={"FIRST": "key-1", "SECOND": "key-2"}) as gateway:
            one.answer(429, json=limit, headers={"retry-after": "7"})
            one.answer(200, json={"object": "list", "data": []})
            answered = await gateway.post({"input": "x"}, "/one/v1/responses/input_tokens")
            for _ in range(2):
                one.answer(429, json=limit, headers={"retry-after": "7"})
            limited = await gateway.post({"input": "x"}, "/one/v1/responses/input_tokens")
        assert (answered.status, json.loads(answered.body)) == (200, {"object": "list", "data": []})
        assert len({request.headers["authorization"] for request in one.requests[:2]}) == 2
        assert (limited.status, limited.headers["retry-after"]) == (429, "7")
        assert json.loads(limited.body) == limit
