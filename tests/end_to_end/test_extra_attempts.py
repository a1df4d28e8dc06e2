"""How many extra attempts a provider in trouble gets, and which lost requests are never sent again; over HTTP."""

from __future__ import annotations

import asyncio
import hashlib
import json
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from end_to_end.loopback import MESSAGES, Loopback, Reply, loopback, settings_for
from llmgate.testing.upstream import FakeUpstream
from llmgate.testing.upstream_chat import answer_chat, chat_events
from llmgate.testing.upstream_faults import Phase

HEAD, CONTENT, MIDDLE, LAST = Phase
CHAT = {"model": "m", "messages": MESSAGES}
THREE = {"retries": {"strategy": "constant", "delay": "1ms", "max-retries": 3}}


@pytest.mark.parametrize("at_once", [False, True], ids=["one after the other", "all at once"])
async def test_two_hundred_requests_do_not_storm_a_dead_provider(at_once: bool) -> None:
    async with FakeUpstream() as one:
        one.fault("status-503", times=1000)
        nobody_out = {"monitor": {"health": {"ratio": 1}}}
        async with loopback(settings_for(one, **{"global": THREE}, discover=nobody_out)) as gateway:
            if at_once:
                replies = await asyncio.gather(*(gateway.post(CHAT) for _ in range(200)))
            else:
                replies = [await gateway.post(CHAT) for _ in range(200)]
            records = await gateway.recorded(200)
    assert {reply.status for reply in replies} == {503}
    assert {reply.headers.get("x-should-retry") for reply in replies} == {"false"}, "nor do the client's own repeats"
    # The window may turn once in the middle of it on a slow machine, and give the floor a second time.
    assert len(one.requests) == sum(len(record.attempts) for record in records) <= 1.2 * 200 + 2 * 10


async def like_an_sdk(gateway: Loopback, calls: int) -> list[Reply]:
    """A client that repeats a call twice, as the vendors' own do, and comes back sooner than it is told to."""
    replies = []
    for _ in range(calls):
        for _ in range(3):
            replies.append(await gateway.post(CHAT))
            if replies[-1].status == 200 or replies[-1].headers.get("x-should-retry") == "false":
                break
            await asyncio.sleep(0.001)
    return replies


@pytest.mark.parametrize("providers", [1, 2])
async def test_two_hundred_clients_of_dead_providers_call_them_hardly_more_often_than_they_are_called(
    providers: int,
) -> None:
    async with FakeUpstream() as one, FakeUpstream() as two:
        one.fault("status-503", times=10_000)
        two.fault("rst", times=10_000)
        dead = [one, two][:providers]
        async with loopback(settings_for(*dead, **{"global": THREE})) as gateway:
            clients = await asyncio.gather(*(like_an_sdk(gateway, 3) for _ in range(200)))
            replies = [reply for client in clients for reply in client]
            calls = sum(len(upstream.requests) for upstream in dead)
            assert calls <= 1.2 * len(replies)
            later = [await gateway.post(CHAT) for _ in range(50)]
    told = [{"x-should-retry", "retry-after"} & set(reply.headers) for reply in replies]
    assert all(told), "every client is told whether and when to come back"
    assert {reply.status for reply in replies} <= {502, 503}
    refused = [reply for reply in later if reply.error["code"] == "all_deployments_out"]
    assert len(refused) >= 45, "and nobody is asked but for a trial"
    assert all(1 <= int(reply.headers["retry-after"]) <= 5 for reply in refused)


async def test_what_was_dead_is_back_within_two_intervals() -> None:
    async with FakeUpstream() as one:
        one.fault("status-503", times=21)
        judged = {"monitor": {"health": {"interval": "200ms"}}}
        async with loopback(settings_for(one, discover=judged)) as gateway:
            for _ in range(20):
                assert (await gateway.post(CHAT)).status == 503
            assert (await gateway.post(CHAT)).error["code"] == "all_deployments_out"
            asked = len(one.requests)
            statuses: list[int] = []
            deadline = asyncio.get_running_loop().time() + 20
            while 200 not in statuses and asyncio.get_running_loop().time() < deadline:
                burst = await asyncio.gather(*(gateway.post(CHAT) for _ in range(10)))
                statuses += [reply.status for reply in burst]
                await asyncio.sleep(0.02)
    assert 200 in statuses
    assert len(one.requests) - asked <= 2 + statuses.count(200), "one trial that failed, one that was answered"


async def test_a_provider_that_says_when_to_come_back_is_quoted() -> None:
    async with FakeUpstream() as one:
        one.answer(429, json={"error": {"message": "slow down"}}, headers={"retry-after": "7"}, times=1)
        nothing = {**THREE, "retry-budget": {"ratio": 0, "floor": 0}}
        async with loopback(settings_for(one, **{"global": nothing})) as gateway:
            reply = await gateway.post(CHAT)
    assert (reply.status, reply.headers["retry-after"], len(one.requests)) == (429, "7", 1)
    assert "x-should-retry" not in reply.headers


async def test_a_spent_budget_does_not_keep_anybody_from_a_healthy_provider() -> None:
    async with FakeUpstream() as one, FakeUpstream() as two:
        one.fault("status-503", times=100)
        nothing = {**THREE, "retry-budget": {"ratio": 0, "floor": 0}}
        nobody_out = {"monitor": {"health": {"ratio": 1}}}
        async with loopback(settings_for(one, two, **{"global": nothing}, discover=nobody_out)) as gateway:
            replies = [await gateway.post(CHAT) for _ in range(50)]
    assert {reply.status for reply in replies} == {200}
    assert (len(one.requests), len(two.requests)) == (50, 50)


async def test_a_provider_that_is_down_is_left_out_and_found_to_be_back() -> None:
    async with FakeUpstream() as one, FakeUpstream() as two:
        one.fault("status-503", times=21)
        judged = {"monitor": {"health": {"interval": "200ms"}}}
        async with loopback(settings_for(one, two, discover=judged)) as gateway:
            replies = [await gateway.post(CHAT) for _ in range(20)]
            assert (len(one.requests), len(two.requests)) == (20, 20)
            deadline = asyncio.get_running_loop().time() + 20
            while len(one.requests) < 23 and asyncio.get_running_loop().time() < deadline:
                replies.append(await gateway.post(CHAT))
                await asyncio.sleep(0.02)
    assert {reply.status for reply in replies} == {200}
    assert len(one.requests) >= 23, "one trial that failed, one that was answered, and then all"
    assert len(two.requests) == len(replies) - (len(one.requests) - 21)


async def test_one_bad_key_of_three_is_out_and_the_others_are_not() -> None:
    def failing_for(bad: str) -> Any:
        async def behave(request: Any, connection: Any) -> None:
            if request.headers["authorization"] == f"Bearer {bad}":
                body = b'{"error": {"message": "this account is being moved"}}'
                await connection.write_head(500, {"content-type": "application/json", "content-length": str(len(body))})
                await connection.write(body)
            else:
                await answer_chat(request, connection, "chatcmpl-1", "req-1")

        return behave

    async with FakeUpstream() as one:
        one.script(failing_for("two"), times=10_000)
        settings = settings_for(one)
        settings["providers"]["one"]["secrets"] = [f"env:KEY_{number}" for number in (1, 2, 3)]
        keys = {"KEY_1": "one", "KEY_2": "two", "KEY_3": "three"}
        async with loopback(settings, environment=keys) as gateway:
            replies = [await gateway.post(CHAT) for _ in range(120)]
            checkups = await gateway.pipeline.health()
    asked = [request.headers["authorization"] for request in one.requests]
    assert 20 <= asked.count("Bearer two") <= 25, "the twenty that were judged, and trials"
    assert [reply.status for reply in replies].count(200) == 120 - asked.count("Bearer two")
    assert sorted((one.id, one.state != "closed") for one in checkups) == [("one/m", False)] * 2 + [("one/m", True)]
    assert len({one.instance for one in checkups}) == 3


async def test_who_is_slow_is_not_left_out_for_it() -> None:
    async with FakeUpstream() as one:
        one.stream(chat_events("slow as ever", model="m"), delay=0.02, times=100)
        async with loopback(settings_for(one)) as gateway:
            replies = await asyncio.gather(*(gateway.post({**CHAT, "stream": True}) for _ in range(30)))
            (checkup,) = await gateway.pipeline.health()
    assert {reply.status for reply in replies} == {200}
    assert (checkup.state, checkup.errors, checkup.answers) == ("closed", 0, 30)
    assert checkup.first_content is not None
    assert checkup.total is not None
    assert checkup.first_content.p50 < checkup.total.p50


async def fetched(gateway: Loopback, **headers: str) -> tuple[int, bytes]:
    url = f"http://127.0.0.1:{gateway.port}/v1/health/deployments"
    async with aiohttp.ClientSession() as session, session.get(url, headers=headers) as answer:
        return answer.status, await answer.read()


async def test_an_operator_sees_who_is_left_out_and_a_stranger_does_not() -> None:
    async with FakeUpstream() as one, FakeUpstream() as two:
        one.fault("status-503", times=100)
        login = [
            {"use": "static-keys", "keys": [{"name": "me", "hash": "sha256:" + hashlib.sha256(b"sk-me").hexdigest()}]}
        ]
        async with loopback(settings_for(one, two, auth=login)) as gateway:
            for _ in range(21):
                await gateway.post(CHAT, authorization="Bearer sk-me")
            stranger = await fetched(gateway)
            breakers = (await gateway.pipeline.standing()).breakers
            seen = await fetched(gateway, authorization="Bearer sk-me")
    assert stranger[0] == 401
    assert [(one.deployment, one.state, one.known) for one in breakers] == [
        ("one/m", "open", True),
        ("two/m", "closed", True),
    ]
    out, well = json.loads(seen[1])["data"]
    assert (out["id"], out["state"], out["dead"], out["requests"], out["errors"]) == ("one/m", "open", True, 20, 20)
    assert "20 of its last 20 requests failed" in out["reason"]
    assert out["out_since"] < out["trial_at"]
    assert (well["id"], well["state"], well["error_rate"], well["answers"]) == ("two/m", "closed", 0.0, 21)
    assert 0 < well["total_seconds"]["p50"] <= well["total_seconds"]["p99"]
    for hidden in (one.base_url, "ONE_API_KEY", "secret-of"):
        assert hidden.encode() not in seen[1]


LOST = [
    ("hang", HEAD, False),
    ("hang", CONTENT, True),
    ("hang", MIDDLE, False),
    ("fin", HEAD, False),
    ("rst", HEAD, True),
    ("fin", MIDDLE, False),
    ("fin", CONTENT, True),
    ("early-end", CONTENT, True),
    ("bad-chunk", MIDDLE, False),
    ("cut-gzip", LAST, False),
    ("not-http", HEAD, False),
]
ANSWERED = [
    ("status-503", HEAD, False),
    ("status-429", HEAD, True),
    ("status-401", HEAD, False),
    ("html-error", HEAD, False),
    ("error-event", CONTENT, True),
    ("error-event", CONTENT, False),
    ("html", CONTENT, True),
    ("garbage", LAST, False),
]


async def after_a_fault(fault: str, phase: Phase, streamed: bool, **sections: Any) -> tuple[Reply, int, Any]:
    """What the caller gets, how many requests both providers got in all, and the record."""
    async with FakeUpstream() as one, FakeUpstream() as two:
        settings = settings_for(one, two, **sections)
        settings["providers"]["one"]["timeouts"] = {"first-byte": "150ms", "idle": "150ms"}
        if fault == "refused":
            await one.refuse()
        else:
            one.fault(fault, phase, times=5)
        async with loopback(settings) as gateway:
            reply = await gateway.post({**CHAT, "stream": streamed})
            (record,) = await gateway.recorded()
        return reply, len(one.requests) + len(two.requests), record


@pytest.mark.parametrize(("fault", "phase", "streamed"), LOST)
async def test_a_lost_request_is_not_sent_again_where_that_is_forbidden(
    fault: str, phase: Phase, streamed: bool
) -> None:
    forbidden = {"global": {**THREE, "resend-unknown": False}}
    reply, requests, record = await after_a_fault(fault, phase, streamed, **forbidden)
    assert reply.status in {502, 504}
    assert reply.headers["x-should-retry"] == "false"
    assert requests == 1
    (attempt,) = record.attempts
    assert attempt.lost
    assert attempt.error_code == record.error_code


@pytest.mark.parametrize(("fault", "phase", "streamed"), [*ANSWERED, ("refused", HEAD, False)])
async def test_what_was_answered_or_never_sent_fails_over_all_the_same(
    fault: str, phase: Phase, streamed: bool
) -> None:
    reply, _, record = await after_a_fault(fault, phase, streamed, **{"global": {"resend-unknown": False}})
    assert reply.status == 200
    assert [(attempt.provider_name, attempt.lost) for attempt in record.attempts] == [("one", False), ("two", False)]


@pytest.mark.parametrize("status", [401, 403])
async def test_a_refused_key_is_left_alone_while_another_one_is_usable(status: int) -> None:
    async with FakeUpstream() as one, FakeUpstream() as two:
        one.fault(f"status-{status}")
        async with loopback(settings_for(one, two)) as gateway:
            replies = [await gateway.post(CHAT) for _ in range(3)]
    assert [reply.headers["helicone-provider"] for reply in replies] == ["two"] * 3
    assert len(one.requests) == 1


async def test_a_key_that_was_exchanged_meanwhile_repairs_the_request(tmp_path: Path) -> None:
    """The gateway has cached the old key; the provider wants the new one, which is in the file already."""
    key = tmp_path / "key"
    key.write_text("old")

    async def wants_new(request: Any, connection: Any) -> None:
        known = request.headers["authorization"] == "Bearer new"
        body = b"{}" if known else b'{"error": {"message": "no"}}'
        key.write_text("new")
        await connection.write_head(
            200 if known else 401, {"content-type": "application/json", "content-length": str(len(body))}
        )
        await connection.write(body)

    async with FakeUpstream() as one:
        one.script(wants_new)
        settings = settings_for(one, secrets={"file": {"use": "file", "refresh": "1h"}})
        settings["providers"]["one"]["secret"] = f"file:{key}"
        async with loopback(settings) as gateway:
            reply = await gateway.post(CHAT)
            (record,) = await gateway.recorded()
    assert reply.status == 200
    assert [request.headers["authorization"] for request in one.requests] == ["Bearer old", "Bearer new"]
    assert [attempt.error_code for attempt in record.attempts] == ["provider_authentication_failed", None]


async def test_with_no_other_key_the_caller_learns_nothing_of_the_vendors_words() -> None:
    async with FakeUpstream() as one:
        one.fault("status-401", times=2)
        async with loopback(settings_for(one)) as gateway:
            replies = [await gateway.post(CHAT) for _ in range(2)]
    for reply in replies:
        assert (reply.status, reply.error["code"]) == (502, "provider_authentication_failed")
        assert b"the vendor's words" not in reply.body
        assert reply.headers["x-should-retry"] == "false"
    assert len(one.requests) == 2
