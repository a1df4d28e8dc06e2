"""Calls that applications made directly: told once, priced and recorded as if they had gone through the gateway."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import pytest

from end_to_end.loopback import Loopback, Reply, loopback
from llmgate.host.surfaces.intake import read_call
from llmgate.spec import InvalidRequestError

ANN, EMBEDDER = "key-of-ann-0123456789012345678901234567890", "key-of-embedder-0123456789012345678901234567890"
KEYS = [
    {"name": "ann", "secret": "env:ANN"},
    {"name": "embedder", "secret": "env:EMBEDDER", "scopes": ["embeddings"]},
]
NOW = 1_790_000_000.0
USAGE = {"prompt_tokens": 1000, "completion_tokens": 500, "total_tokens": 1500}
ANSWER = {
    "id": "chatcmpl-1",
    "object": "chat.completion",
    "created": 1,
    "model": "gpt-4o-mini-2024-07-18",
    "choices": [{"index": 0, "message": {"role": "assistant", "content": "Hello!"}, "finish_reason": "stop"}],
    "usage": USAGE,
}
CLAUDE = {
    "id": "msg_1",
    "type": "message",
    "role": "assistant",
    "model": "claude-sonnet-4-5",
    "content": [{"type": "text", "text": "Hello!"}],
    "stop_reason": "end_turn",
    "usage": {"input_tokens": 10, "output_tokens": 5},
}


def asking(**fields: Any) -> dict[str, Any]:
    return {"providerRequest": {"json": {"model": "m"}, **fields}}


def at(start: Any, end: Any, **fields: Any) -> dict[str, Any]:
    return {"timing": {"startTime": {"seconds": start}, "endTime": {"seconds": end}, **fields}}


CLAUDES = {
    "url": "https://api.anthropic.com/v1/messages",
    "model": "claude-sonnet-4-5",
    "response": {"json": CLAUDE},
}


def told(start: float = NOW, **changes: Any) -> dict[str, Any]:
    """A call as Helicone's manual logger tells it."""
    model = changes.pop("model", "gpt-4o-mini")
    seconds = {"seconds": int(start), "milliseconds": 0}
    return {
        "providerRequest": {
            "url": changes.pop("url", "https://api.openai.com/v1/chat/completions"),
            "json": {"model": model, "messages": [{"role": "user", "content": "Hi"}]},
            "meta": changes.pop("meta", {}),
        },
        "providerResponse": {"status": 200, "headers": {}, "json": ANSWER, **changes.pop("response", {})},
        "timing": {
            "startTime": seconds,
            "endTime": {"seconds": int(start) + 2, "milliseconds": 500},
            "timeToFirstToken": 400,
        },
        **changes,
    }


@asynccontextmanager
async def served(**sections: Any) -> AsyncIterator[Loopback]:
    settings = {"providers": {"echo": {}}, "auth": [{"use": "static-keys", "keys": KEYS}], **sections}
    async with loopback(settings, environment={"ANN": ANN, "EMBEDDER": EMBEDDER}) as one:
        yield one


async def tell(one: Loopback, body: Any, key: str = ANN, path: str = "/v1/log/request") -> Reply:
    return await one.post(body, path, authorization=f"Bearer {key}")


def now(one: Loopback) -> float:
    return float(int(one.pipeline.clock.now())) - 60


async def only(one: Loopback, count: int = 1) -> Any:
    """The records of calls, once so many are there; those that tell of nothing are left out."""
    for _ in range(200):
        found = [record for record in one.records if record.operation != "records"]
        if len(found) >= count:
            break
        await asyncio.sleep(0.01)
    assert len(found) == count
    return found[-1]


async def test_a_call_is_recorded_and_priced_like_one_that_went_through():
    async with served() as one:
        meta = {"Helicone-User-Id": "eve", "Helicone-Property-Env": "prod", "Helicone-Session-Id": "s1"}
        start = now(one)
        reply = await tell(one, told(start, meta=meta))
        assert reply.status == 200, reply.body
        record = await only(one)
        assert json.loads(reply.body) == {"id": record.id, "kept": True}
        assert reply.headers["helicone-id"] == record.id
        assert (record.operation, record.surface, record.outcome, record.status) == ("chat", "log", "ok", 200)
        assert (record.principal, record.user, record.session_id) == ("ann", "eve", "s1")
        assert record.properties == {"env": "prod"}
        assert (record.provider_name, record.request_model) == ("openai", "gpt-4o-mini")
        assert (record.response_model, record.finish_reason) == ("gpt-4o-mini-2024-07-18", "stop")
        assert (record.usage.input_tokens, record.usage.output_tokens) == (1000, 500)
        assert record.cost_nano == 1000 * 150 + 500 * 600
        assert record.started_at == start
        assert record.duration == pytest.approx(2.5, abs=0.5)
        assert record.first_content == pytest.approx(0.4, abs=0.01)


async def test_a_call_that_is_told_twice_is_recorded_once_for_each_caller():
    async with served(auth=[{"use": "static-keys", "keys": [KEYS[0], {**KEYS[1], "scopes": ["chat"]}]}]) as one:
        body = told(now(one), meta={"Helicone-Request-Id": "mine-1"})
        first, again, others = await tell(one, body), await tell(one, body), await tell(one, body, EMBEDDER)
        assert [json.loads(reply.body)["kept"] for reply in (first, again, others)] == [True, False, True]
        assert json.loads(first.body)["id"] == json.loads(again.body)["id"] != json.loads(others.body)["id"]
        await only(one, 2)


async def test_many_that_tell_the_same_at_once_are_one():
    async with served() as one:
        body = told(now(one), meta={"helicone-request-id": "mine-2"})
        replies = await asyncio.gather(*(tell(one, body) for _ in range(10)))
        assert sorted(json.loads(reply.body)["kept"] for reply in replies) == [False] * 9 + [True]
        await only(one)


@pytest.mark.parametrize(
    ("body", "provider", "tokens"),
    [
        (CLAUDES, "anthropic", 10),
        ({"url": "custom-model-nopath", "meta": {"Helicone-Target-Provider": "openai"}}, "openai", 1000),
        ({"url": "https://models.example.org/v1/chat/completions"}, "models.example.org", 1000),
    ],
)  # fmt: skip
async def test_the_provider_is_told_by_the_address_or_by_name(body: Mapping[str, Any], provider: str, tokens: int):
    async with served() as one:
        reply = await tell(one, told(now(one), **body), path="/custom/v1/log")
        assert reply.status == 200, reply.body
        record = await only(one)
        assert (record.provider_name, record.usage.input_tokens) == (provider, tokens)


async def test_a_stream_is_read_from_its_text():
    chunk = {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "gpt-4o-mini"}
    delta = {"index": 0, "delta": {"role": "assistant", "content": "Hi"}, "finish_reason": None}
    events = [{**chunk, "choices": [delta]}, {**chunk, "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}]
    events.append({**chunk, "choices": [], "usage": USAGE})
    text = "".join(f"data: {json.dumps(event)}\n\n" for event in events) + "data: [DONE]\n\n"
    async with served() as one:
        await tell(one, told(now(one), response={"textBody": text}))
        record = await only(one)
        assert record.stream
        assert (record.usage.output_tokens, record.finish_reason) == (500, "stop")
        assert record.cost_nano == 1000 * 150 + 500 * 600


@pytest.mark.parametrize("first", [": PROCESSING\n\n", "id: 1\n", "retry: 5\n", "\ufeff", "\n"])
def test_a_stream_may_begin_with_more_than_data(first: str):
    text = first + "data: {}\n\n"
    assert read_call(told(response={"textBody": text}), NOW).media_type == "text/event-stream"


async def test_a_failed_call_is_an_error_that_costs_nothing():
    async with served() as one:
        error = {"error": {"message": "slow down", "type": "rate_limit", "code": "rate_limited", "param": None}}
        await tell(one, told(now(one), response={"status": 429, "json": error}))
        record = await only(one)
        assert (record.outcome, record.status, record.error_message) == ("error", 429, "slow down")
        assert record.cost_nano == 0


async def test_an_answer_that_says_nothing_of_tokens_has_a_cost_that_is_not_known():
    async with served() as one:
        await tell(one, told(now(one), response={"json": {"anything": 1}}))
        record = await only(one)
        assert (record.usage, record.cost_nano) == (None, None)


async def test_content_is_kept_where_it_is_for_calls_that_go_through_and_not_where_it_is_not_wanted():
    async with served(records={"content": "full"}) as one:
        await tell(one, told(now(one)))
        record = await only(one)
        assert '"Hi"' in record.content.request.text
        assert "Hello!" in record.content.response.text
        await tell(one, told(now(one), meta={"Helicone-Omit-Response": "true"}))
        record = await only(one, 2)
        assert record.content.response is None
    async with served() as one:
        await tell(one, told(now(one)))
        assert (await only(one)).content is None


async def test_only_who_is_known_tells_and_only_of_what_he_may_ask_for():
    async with served() as one:
        assert (await tell(one, told(now(one)), "wrong")).status == 401
        reply = await tell(one, told(now(one)), EMBEDDER)
        assert (reply.status, reply.error["code"]) == (403, "operation_not_allowed")
        reply = await one.post(b"x", "/v1/log/request", authorization=f"Bearer {ANN}", content_type="text/plain")
        assert reply.status == 415
        reply = await one.post(b"[", "/v1/log/request", authorization=f"Bearer {ANN}")
        assert (reply.status, reply.error["code"]) == (400, "invalid_json")


@pytest.mark.parametrize("path", ["/v1/log/request", "/custom/v1/log"])
async def test_where_it_is_switched_off_nobody_tells(path: str):
    async with served(records={"ingest": False}) as one:
        reply = await tell(one, told(now(one)), path=path)
        assert (reply.status, reply.error["code"]) == (403, "ingest_off")
        assert "records.ingest: true" in reply.error["message"]
        assert (await tell(one, told(now(one)), "wrong", path)).status == 401
        assert not [record for record in one.records if record.operation != "records"]


async def test_what_was_refused_can_be_told_again():
    async with served() as one:
        body = told(now(one), meta={"Helicone-Request-Id": "mine-3"}, url="https://user@host/")
        assert (await tell(one, body)).status == 400
        body = told(now(one), meta={"Helicone-Request-Id": "mine-3"})
        assert json.loads((await tell(one, body)).body)["kept"]


@pytest.mark.parametrize(
    ("change", "param"),
    [
        ({"providerRequest": None}, "providerRequest"),
        ({"providerResponse": []}, "providerResponse"),
        ({"providerRequest": {"json": "x"}}, "providerRequest.json"),
        ({"providerRequest": {"json": {}}}, "providerRequest.json.model"),
        (asking(url=5), "providerRequest.url"),
        (asking(meta="x"), "providerRequest.meta"),
        (asking(meta={"Helicone-User-Id": 5}), "providerRequest.meta.Helicone-User-Id"),
        (asking(meta={"Helicone-Request-Id": "x" * 200}), "providerRequest.meta.Helicone-Request-Id"),
        ({"providerResponse": {"status": 5}}, "providerResponse.status"),
        ({"providerResponse": {"status": True}}, "providerResponse.status"),
        ({"providerResponse": {"textBody": {}}}, "providerResponse.textBody"),
        ({"timing": 5}, "timing"),
        ({"timing": {"startTime": 5}}, "timing.startTime"),
        (at(1, 1), "timing.startTime"),
        (at(NOW, NOW - 5), "timing.endTime"),
        (at(NOW, True), "timing.endTime"),
        (at(NOW, NOW, timeToFirstToken=9e9), "timing.timeToFirstToken"),
    ],
)  # fmt: skip
def test_what_cannot_be_is_refused_by_name(change: Mapping[str, Any], param: str):
    with pytest.raises(InvalidRequestError) as caught:
        read_call({**told(), **change}, NOW)
    assert caught.value.param == param


def test_credentials_in_what_is_said_are_left_out():
    meta = {"Helicone-Auth": "Bearer x", "Authorization": "Bearer x", "Helicone-User-Id": "u"}
    call = read_call(told(meta=meta), NOW)
    assert call.headers == {"helicone-user-id": "u"}
