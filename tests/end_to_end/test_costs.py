"""The same answer costs the same on every surface, from every format, streamed or not, after a failover, in process."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

import pytest

from end_to_end.dialects.dialect import Dialect, Said, Wish
from end_to_end.dialects.table import DIALECTS
from end_to_end.loopback import MESSAGES, Loopback, Reply, loopback, settings_for
from llmgate.spec import Record
from llmgate.testing.upstream import FakeUpstream

SAID = Said(text="Hello world", finish="stop")
"""Every dialect's answer takes 11 tokens in and 7 out."""
PRICES = {"models": {"*/*": {"input": 3, "output": 15.000001}}}
NANO = 138_000  # 11 * 3000 + 7 * 15000.001, rounded once
USD = "0.000138000"
CHAT = {"model": "m", "messages": MESSAGES}


def cost_of(reply: Reply) -> tuple[str | None, str | None]:
    return reply.headers.get("llmgate-cost-usd"), reply.headers.get("llmgate-cost-nano")


def answer_as(upstream: FakeUpstream, dialect: Dialect, *, stream: bool) -> None:
    head = {"content-type": dialect.media_type if stream else "application/json", **dialect.head}
    if stream:
        upstream.stream(dialect.events(SAID), end="eof", headers=head)
    else:
        upstream.answer(body=dialect.whole(SAID), headers=head)


async def ask(gateway: Loopback, client: Dialect, model: str, *, stream: bool) -> Reply:
    reply = await gateway.post(client.write(Wish(model=model, stream=stream)), client.path(model, stream=stream))
    assert (reply.status, reply.whole) == (200, True), reply.body
    return reply


@pytest.mark.parametrize("provider", DIALECTS, ids=lambda one: one.name)
async def test_every_surface_format_and_way_costs_the_same(provider: Dialect) -> None:
    async with FakeUpstream() as upstream:
        providers = {"one": {"base-url": upstream.url, "format": provider.name}}
        model = f"one/{provider.model}"
        async with loopback({"providers": providers, "prices": PRICES}) as gateway:
            for client in DIALECTS:
                for stream in (False, True):
                    answer_as(upstream, provider, stream=stream)
                    reply = await ask(gateway, client, model, stream=stream)
                    # a stream's head goes out before anybody knows
                    assert cost_of(reply) == ((None, None) if stream else (USD, str(NANO))), (client.name, stream)
            records = await gateway.recorded(2 * len(DIALECTS))
            assert {record.cost_nano for record in records} == {NANO}
            assert {attempt.cost_nano for record in records for attempt in record.attempts} == {NANO}
            assert {record.cost_usd for record in records} == {USD}
            answer_as(upstream, provider, stream=False)
            completion = await gateway.pipeline.complete(model=model, messages=MESSAGES)
            assert completion.exchange.cost_nano == NANO
            answer_as(upstream, provider, stream=True)
            async with gateway.pipeline.stream(model=model, messages=MESSAGES) as chunks:
                async for _ in chunks:
                    pass
            assert chunks.exchange.cost_nano == NANO


def told(body: bytes) -> set[str]:
    """What a stream says that it has cost, wherever and however often."""
    return {one.decode() for one in re.findall(rb'"cost_?[uU]sd": ?"([0-9.]+)"', body)}


@pytest.mark.parametrize("provider", DIALECTS, ids=lambda one: one.name)
async def test_the_usage_of_a_stream_tells_what_it_cost(provider: Dialect) -> None:
    """A translated one always does, one that is relayed when it is asked to; clients hear what they heard before."""
    async with FakeUpstream() as upstream:
        providers = {"one": {"base-url": upstream.url, "format": provider.name}}
        async with loopback({"providers": providers, "prices": PRICES}) as gateway:
            for client in DIALECTS:
                for asked in ({}, {"llmgate_stream_cost": "true"}):
                    answer_as(upstream, provider, stream=True)
                    model = f"one/{provider.model}"
                    body = client.write(Wish(model=model, stream=True))
                    reply = await gateway.post(body, client.path(model, stream=True), **asked)
                    assert reply.status == 200
                    assert client.hear_stream(reply.body) == SAID, (client.name, asked)
                    expected = {USD} if asked or client is not provider else set()
                    assert told(reply.body) == expected, (client.name, asked)
    assert all("llmgate-stream-cost" not in request.headers for request in upstream.requests)


async def test_a_stream_that_a_cache_keeps_tells_no_cost() -> None:
    anthropic = next(one for one in DIALECTS if one.name == "anthropic-messages")
    async with FakeUpstream() as upstream:
        answer_as(upstream, anthropic, stream=True)
        providers = {"one": {"base-url": upstream.url, "format": anthropic.name}}
        settings = {"providers": providers, "prices": PRICES, "global": {"cache": {"enabled": True}}}
        body = {**CHAT, "model": "one/m", "stream": True, "stream_options": {"include_usage": True}}
        async with loopback(settings) as gateway:
            replies = [await gateway.post(body, "/v1/chat/completions") for _ in range(2)]
    assert [reply.headers["helicone-cache"] for reply in replies] == ["MISS", "HIT"]
    assert [told(reply.body) for reply in replies] == [set(), set()]


async def test_a_stream_without_a_price_tells_no_cost() -> None:
    async with FakeUpstream() as upstream:
        body = {**CHAT, "stream": True, "stream_options": {"include_usage": True}}
        (reply,), _ = await served(settings_for(upstream), body, llmgate_stream_cost="true")
    assert b'"usage"' in reply.body
    assert b"cost" not in reply.body


async def test_a_failover_costs_what_the_one_that_answers_costs() -> None:
    async with FakeUpstream() as first, FakeUpstream() as second:
        first.answer(500, json={"error": {"message": "down"}})
        async with loopback(settings_for(first, second, prices=PRICES)) as gateway:
            reply = await gateway.post(CHAT)
            (record,) = await gateway.recorded()
        assert [one.cost_nano for one in record.attempts] == [0, record.cost_nano]
        assert cost_of(reply) == (record.cost_usd, str(record.cost_nano))
        assert record.cost_nano


async def served(settings: Mapping[str, Any], *bodies: Any, **headers: str) -> tuple[list[Reply], list[Record]]:
    async with loopback(settings) as gateway:
        replies = [await gateway.post(body, **headers) for body in bodies]
        return replies, list(await gateway.recorded(len(bodies)))


async def test_a_kept_answer_costs_nothing() -> None:
    async with FakeUpstream() as upstream:
        settings = settings_for(upstream, prices=PRICES, **{"global": {"cache": {"enabled": True}}})
        replies, records = await served(settings, CHAT, CHAT)
    assert [reply.headers["helicone-cache"] for reply in replies] == ["MISS", "HIT"]
    assert records[0].cost_nano
    assert records[1].cost_nano == 0
    assert cost_of(replies[1]) == ("0.000000000", "0")


async def test_an_unknown_price_is_said_to_be_unknown() -> None:
    async with FakeUpstream() as upstream:
        (reply,), (record,) = await served(settings_for(upstream), CHAT)
    assert cost_of(reply) == ("unknown", "unknown")
    assert (record.cost_nano, record.as_json()["cost_usd"]) == (None, None)
    assert record.usage is not None


async def test_a_request_that_is_refused_costs_nothing_and_says_nothing() -> None:
    async with FakeUpstream() as upstream:
        (reply,), (record,) = await served(settings_for(upstream, prices=PRICES), {**CHAT, "messages": "none"})
    assert reply.status == 400
    assert cost_of(reply) == (None, None)
    assert record.cost_nano == 0


async def test_an_answer_without_usage_has_an_unknown_cost() -> None:
    async with FakeUpstream() as upstream:
        upstream.answer(json={"id": "1", "model": "m", "choices": [{"index": 0, "message": {"content": "x"}}]})
        (reply,), (record,) = await served(settings_for(upstream, prices=PRICES), CHAT)
    assert cost_of(reply) == ("unknown", "unknown")
    assert record.cost_nano is None


async def test_a_stream_that_is_cut_costs_what_came_of_it_by_estimate() -> None:
    """What Anthropic tells of usage at the beginning of a stream is no account of it, but of its input."""
    anthropic = next(one for one in DIALECTS if one.name == "anthropic-messages")
    async with FakeUpstream() as upstream:
        upstream.stream(anthropic.events(SAID)[:-1], end="eof", headers={"content-type": "text/event-stream"})
        providers = {"one": {"base-url": upstream.url, "format": anthropic.name}}
        async with loopback({"providers": providers, "prices": PRICES}) as gateway:
            await gateway.post({**CHAT, "model": "one/m", "stream": True}, "/v1/chat/completions")
            (record,) = await gateway.recorded()
    assert record.usage is not None
    assert record.usage.estimated
    (attempt,) = record.attempts
    assert (attempt.cost_estimated, record.cost_estimated, record.as_json()["cost_estimated"]) == (True, True, True)
    assert record.cost_nano == attempt.cost_nano
    assert (record.cost_nano or 0) > 0
    assert Record.from_json(record.as_json()) == record


async def test_a_request_that_was_lost_costs_its_input_by_estimate_and_the_answer_says_so() -> None:
    async with FakeUpstream() as one, FakeUpstream() as two:
        one.reset()
        (reply,), (record,) = await served(settings_for(one, two, prices=PRICES), CHAT)
    lost, answered = record.attempts[0], record.attempts[-1]
    assert (lost.lost, lost.cost_estimated, answered.cost_estimated) == (True, True, False)
    assert lost.usage is not None
    assert (lost.usage.estimated, lost.usage.output_tokens) == (True, 0)
    assert reply.headers["llmgate-cost-estimated"] == "true"
    assert reply.headers["llmgate-cost-nano"] == str(sum(one.cost_nano or 0 for one in record.attempts))


@pytest.mark.parametrize(
    ("section", "known"), [({"response-headers": {"cost": False}}, True), ({"prices": {"enabled": False}}, False)]
)
async def test_it_can_be_turned_off(section: dict[str, Any], known: bool) -> None:
    async with FakeUpstream() as upstream:
        (reply,), (record,) = await served(settings_for(upstream, **{"prices": PRICES, **section}), CHAT)
    assert cost_of(reply) == (None, None)
    assert (record.cost_nano is not None) == known


async def test_the_tier_of_service_that_was_given_is_the_one_that_is_paid() -> None:
    body = {**json.loads(answer_of(100)), "usage": {"prompt_tokens": 1000, "completion_tokens": 100}}
    async with FakeUpstream() as upstream:
        providers = {"openai": {"base-url": upstream.base_url}}
        async with loopback({"providers": providers}) as gateway:
            costs = []
            for tier in ("priority", "default"):
                upstream.answer(json={**body, "service_tier": tier})
                reply = await gateway.post({**CHAT, "model": "openai/gpt-4o-mini"}, "/v1/chat/completions")
                costs.append(cost_of(reply)[1])
            records = await gateway.recorded(2)
    assert costs == ["350000", "210000"]
    assert [record.attempts[0].service_tier for record in records] == ["priority", "default"]


async def test_embeddings_cost_what_their_input_costs() -> None:
    async with FakeUpstream() as upstream:
        upstream.answer(json={"object": "list", "model": "text-embedding-3-small", "data": [{"embedding": [0.5]}],
                              "usage": {"prompt_tokens": 50, "total_tokens": 50}})  # fmt: skip
        async with loopback({"providers": {"openai": {"base-url": upstream.base_url}}}) as gateway:
            body = {"model": "openai/text-embedding-3-small", "input": "hello"}
            reply = await gateway.post(body, "/v1/embeddings")
    assert cost_of(reply) == ("0.000001000", "1000")


async def test_a_provider_cannot_say_what_its_answer_costs() -> None:
    async with FakeUpstream() as upstream:
        upstream.answer(json=json.loads(answer_of(7)), headers={"llmgate-cost-usd": "0.5", "llmgate-cost-nano": "5"})
        (reply,), _ = await served(settings_for(upstream, prices=PRICES), CHAT)
    assert cost_of(reply) == (USD, str(NANO))


def answer_of(tokens: int) -> str:
    """A chat completion that took 11 tokens in."""
    choice = {"index": 0, "message": {"role": "assistant", "content": "x"}, "finish_reason": "stop"}
    usage = {"prompt_tokens": 11, "completion_tokens": tokens}
    return json.dumps({"id": "1", "model": "m", "choices": [choice], "usage": usage})


@pytest.mark.parametrize("provider", DIALECTS, ids=lambda one: one.name)
async def test_the_direct_relay_costs_the_same(provider: Dialect) -> None:
    """Nobody has asked for anything but bytes, and they are the provider's; what they say is read beside them."""
    async with FakeUpstream() as upstream:
        providers = {"one": {"base-url": upstream.url, "format": provider.name, "passthrough": "all"}}
        async with loopback({"providers": providers, "prices": PRICES}) as gateway:
            for stream in (False, True):
                answer_as(upstream, provider, stream=stream)
                asked = await ask_relayed(gateway, provider, stream=stream)
                assert asked.status == 200, asked.body
                whole = b"".join(provider.events(SAID)) if stream else provider.whole(SAID)
                assert asked.body == whole
            records = await gateway.recorded(2)
    assert [(record.usage.input_tokens, record.usage.output_tokens) for record in records if record.usage] == [
        (11, 7)
    ] * 2
    assert [record.cost_nano for record in records] == [NANO] * 2


async def ask_relayed(gateway: Loopback, provider: Dialect, *, stream: bool) -> Reply:
    """What a client of the provider's own API sends, to the provider by name."""
    path = gateway.pipeline.snapshot.providers["one"].path_of(provider.name)
    assert path is not None
    path = path.replace("{model}", provider.model)
    if stream:
        path = path.replace(":generateContent", ":streamGenerateContent?alt=sse").replace(
            "/converse", "/converse-stream"
        )
    return await gateway.post(provider.write(Wish(model=provider.model, stream=stream)), f"/one{path}")


async def test_a_relayed_refusal_costs_nothing() -> None:
    async with FakeUpstream() as upstream:
        upstream.answer(400, json={"error": {"message": "no"}})
        async with loopback(settings_for(upstream, prices=PRICES)) as gateway:
            reply = await gateway.post(CHAT, "/one/v1/chat/completions")
            (record,) = await gateway.recorded()
    assert (reply.status, record.cost_nano) == (400, 0)


TARGETS = {
    "openai-chat": ("/v1/chat/completions", "/v1/chat/completions"),
    "openai-responses": ("/v1/responses", "/v1/responses"),
    "anthropic-messages": ("/v1/messages", "/v1/messages"),
    "gemini-generate-content": (
        "/v1beta/models/{model}:generateContent",
        "/v1beta/models/{model}:streamGenerateContent?alt=sse",
    ),
    "bedrock-converse": ("/model/{model}/converse", "/model/{model}/converse-stream"),
    "cohere-chat": ("/v2/chat", "/v2/chat"),
    "ollama-chat": ("/api/chat", "/api/chat"),
}
"""Where each format is asked at its vendor: whole answers, streams."""


@pytest.mark.parametrize("provider", DIALECTS, ids=lambda one: one.name)
async def test_a_target_of_the_callers_own_costs_the_same(provider: Dialect) -> None:
    async with FakeUpstream() as upstream, FakeUpstream() as other:
        settings = {
            "providers": {"one": {"base-url": other.base_url}},
            "target-urls": {"per-second": 1000},
            "egress": {"allow": [f"127.0.0.1:{upstream.port}"]},
            "prices": PRICES,
        }
        async with loopback(settings) as gateway:
            for stream in (False, True):
                answer_as(upstream, provider, stream=stream)
                wish = provider.write(Wish(model=provider.model, stream=stream))
                path = TARGETS[provider.name][stream].replace("{model}", provider.model)
                reply = await gateway.post(wish, path, helicone_target_url=upstream.url, authorization="Bearer own")
                assert reply.status == 200, reply.body
            records = await gateway.recorded(2)
        assert not other.requests
    assert [record.cost_nano for record in records] == [NANO] * 2
