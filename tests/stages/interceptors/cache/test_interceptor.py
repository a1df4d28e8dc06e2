"""``cache`` in a pipeline: what is given again, to whom, for how long, and what never is."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any

import pytest

from llmgate import GatewayError
from llmgate.codecs.jsons import dumps
from llmgate.formats import FORMATS, get_format, read_request
from llmgate.spec import (
    ChatRequest,
    Credentials,
    ExchangeView,
    GatewayRequest,
    GatewayTimeoutError,
    Interceptor,
    Message,
    Operation,
    Principal,
    Role,
    Text,
    hookimpl,
)
from llmgate.stages.interceptors.cache import Cache, NotCachedError
from llmgate.stages.interceptors.cache.shelf import Shelf
from llmgate.stages.state.memory import Memory
from llmgate.testing.transport import json_answer, stream_answer
from scripted import DONE, MESSAGES, ROLE, USAGE, OpenBench, completion, delta, failure, streamed

CHAT_FORMATS = [name for name in FORMATS if get_format(name).operation is Operation.CHAT]
ASK: dict[str, Any] = {"model": "alpha/m", "messages": MESSAGES}


def cached(**config: Any) -> dict[str, Any]:
    return {"interceptors": [{"use": "cache", **config}]}


class Pausing(Interceptor[Any]):
    """Lets others go on before a request goes up, as a socket does."""

    name = "pausing"

    async def before_request(self, exchange: ExchangeView, request: GatewayRequest) -> None:
        for _ in range(3):
            await asyncio.sleep(0)


class PausingPlugin:
    """Registers the interceptor that pauses."""

    @hookimpl
    def llmgate_register_interceptors(self) -> type[Pausing]:
        return Pausing


def together(**config: Any) -> dict[str, Any]:
    """A cache behind which requests overlap."""
    return {"interceptors": [{"use": "cache", **config}, {"use": "pausing"}], "plugins": (PausingPlugin(),)}


def saying(**headers: str) -> dict[str, Any]:
    """A request of the same caller with these headers."""
    credentials = Credentials(headers={name.replace("_", "-"): value for name, value in headers.items()})
    return {"credentials": credentials, "principal": Principal.local()}


async def read(b: Any, **fields: Any) -> tuple[str, Any]:
    async with b.pipeline.stream(**{**ASK, **fields}) as chunks:
        async for _ in chunks:
            pass
    return chunks.text, chunks.exchange


class TestWholeAnswers:
    async def test_an_equal_request_gets_the_very_bytes_and_no_attempt_is_made(self, bench: OpenBench) -> None:
        async with bench(completion("hi"), **cached()) as b:
            first = await b.pipeline.complete(**ASK)
            b.clock.advance(7)
            again = await b.pipeline.complete(**ASK)
            assert again.response.body == first.response.body
            assert again.text == "hi"
            assert again.usage == first.usage
            miss, hit = await b.records()
        assert (miss.metadata["cache.status"], len(miss.attempts)) == ("miss", 1)
        assert (hit.metadata["cache.status"], hit.metadata["cache.age"], hit.attempts) == ("hit", "7", ())
        assert (hit.status, hit.outcome, hit.usage, hit.response_model) == (200, "ok", miss.usage, miss.response_model)
        assert (hit.metadata["cache.model"], hit.provider_name) == ("m", None)

    async def test_another_request_is_asked(self, bench: OpenBench) -> None:
        async with bench(completion("a"), completion("b"), completion("c"), **cached()) as b:
            assert (await b.pipeline.complete(**ASK)).text == "a"
            assert (await b.pipeline.complete(**ASK, temperature=0.1)).text == "b"
            assert (await b.pipeline.complete(**ASK, user="x")).text == "c"
            assert (await b.pipeline.complete(**ASK, temperature=0.1)).text == "b"

    async def test_principals_have_answers_of_their_own_unless_told_to_share(self, bench: OpenBench) -> None:
        alice, bob = Principal("alice", "keys"), Principal("bob", "keys")
        async with bench(completion("for alice"), completion("for bob"), **cached()) as b:
            assert (await b.pipeline.complete(**ASK, principal=alice)).text == "for alice"
            assert (await b.pipeline.complete(**ASK, principal=bob)).text == "for bob"
        async with bench(completion("for both"), **cached(shared=True)) as b:
            for principal in (alice, bob):
                assert (await b.pipeline.complete(**ASK, principal=principal)).text == "for both"

    async def test_one_who_may_not_call_the_model_gets_no_answer_of_one_who_may(self, bench: OpenBench) -> None:
        async with bench(completion("hi"), **cached(shared=True)) as b:
            await b.pipeline.complete(**ASK)
            with pytest.raises(GatewayError, match="may not call"):
                await b.pipeline.complete(**ASK, principal=Principal("eve", "keys", models=("other",)))

    async def test_routers_have_answers_of_their_own(self, bench: OpenBench) -> None:
        async with bench(completion("a"), completion("b"), **cached()) as b:
            assert (await b.pipeline.complete(**ASK)).text == "a"
            assert (await b.pipeline.complete(**ASK, router="main")).text == "b"

    @pytest.mark.parametrize(
        "answer",
        [
            failure(400),
            completion(choices=[{"index": 0, "message": {"role": "assistant", "content": None, "refusal": "no"},
                                 "finish_reason": "stop"}]),
            completion(choices=[{"index": 0, "message": {"role": "assistant", "content": ""},
                                 "finish_reason": "content_filter"}]),
        ],
    )  # fmt: skip
    async def test_errors_refusals_and_what_was_filtered_are_not_kept(self, bench: OpenBench, answer: Any) -> None:
        async with bench(answer, completion("better"), **cached()) as b:
            with contextlib.suppress(GatewayError):
                assert (await b.pipeline.complete(**ASK)).text == ""
            assert (await b.pipeline.complete(**ASK)).text == "better"

    async def test_one_that_is_too_large_is_not_kept(self, bench: OpenBench) -> None:
        async with bench(completion("x" * 500), completion("y"), **cached(**{"max-entry-size": 400})) as b:
            await b.pipeline.complete(**ASK)
            assert (await b.pipeline.complete(**ASK)).text == "y"

    async def test_the_edits_of_the_interceptors_before_it_count(self, bench: OpenBench) -> None:
        rules = {"use": "request-rules", "max-output-tokens": 5}
        async with bench(completion("hi"), interceptors=[rules, {"use": "cache"}]) as b:
            await b.pipeline.complete(**ASK, max_tokens=8)
            assert (await b.pipeline.complete(**ASK, max_tokens=9)).text == "hi"

    async def test_a_cache_of_the_gateway_and_one_of_the_router_do_not_disturb_each_other(
        self, bench: OpenBench
    ) -> None:
        router = {"load-balance": {"chat": {"strategy": "priority", "providers": ["alpha"]}}, "cache": {"seed": "r"}}
        async with bench(completion("hi"), **{"global": {"cache": {}}, "routers": {"main": router}}) as b:
            for _ in range(3):
                assert (await b.pipeline.complete(**ASK, router="main")).text == "hi"


class TestStreams:
    async def test_a_stream_is_given_again_as_one(self, bench: OpenBench) -> None:
        async with bench(streamed("a", "b"), **cached()) as b:
            first, _ = await read(b)
            again, exchange = await read(b)
            assert (first, again) == ("ab", "ab")
            assert exchange.attempts == ()
            assert exchange.usage.output_tokens == 2
            assert exchange.finish_reason == "stop"

    async def test_its_bytes_are_the_same(self, bench: OpenBench) -> None:
        async with bench(streamed("a", "b"), **cached()) as b:
            bodies = [await raw(b), await raw(b)]
        assert bodies[0] == bodies[1]
        assert bodies[0].endswith(DONE)
        assert USAGE not in bodies[0]  # nobody asked for it, neither time

    async def test_streams_and_whole_answers_are_apart(self, bench: OpenBench) -> None:
        async with bench(streamed("a"), completion("b"), **cached()) as b:
            assert (await read(b))[0] == "a"
            assert (await b.pipeline.complete(**ASK)).text == "b"

    async def test_one_that_breaks_off_is_not_kept(self, bench: OpenBench) -> None:
        async with bench(streamed("a", cut=True), streamed("b"), **cached()) as b:
            with pytest.raises(GatewayError):
                await read(b)
            assert (await read(b))[0] == "b"

    async def test_one_whose_caller_left_is_not_kept(self, bench: OpenBench) -> None:
        async with bench(streamed("a", "b"), streamed("c"), **cached()) as b:
            async with b.pipeline.stream(**ASK) as chunks:
                await anext(aiter(chunks))
            assert (await read(b))[0] == "c"

    async def test_a_refusal_is_not_kept(self, bench: OpenBench) -> None:
        refusing = stream_answer(ROLE, delta(refusal="no"), delta(finish="stop"), DONE)
        async with bench(refusing, streamed("b"), **cached()) as b:
            await read(b)
            assert (await read(b))[0] == "b"

    async def test_one_that_grows_too_large_is_not_kept(self, bench: OpenBench) -> None:
        async with bench(streamed("x" * 900), streamed("y"), **cached(**{"max-entry-size": 800})) as b:
            await read(b)
            assert (await read(b))[0] == "y"

    async def test_interceptors_that_read_streams_read_the_kept_one(self, bench: OpenBench) -> None:
        chain = [{"use": "request-rules", "count-output": True}, {"use": "cache"}]
        async with bench(streamed("a", "b"), interceptors=chain) as b:
            assert await raw(b) == await raw(b)


class TestTime:
    async def test_an_answer_is_fresh_for_its_time(self, bench: OpenBench) -> None:
        async with bench(completion("a"), completion("b"), **cached(directive="max-age=60")) as b:
            await b.pipeline.complete(**ASK)
            b.clock.advance(59)
            assert (await b.pipeline.complete(**ASK)).text == "a"
            b.clock.advance(2)
            assert (await b.pipeline.complete(**ASK)).text == "b"

    async def test_a_caller_may_want_a_younger_one(self, bench: OpenBench) -> None:
        async with bench(completion("a"), completion("b"), **cached(directive="max-age=60")) as b:
            await b.pipeline.complete(**ASK)
            b.clock.advance(10)
            assert (await b.pipeline.complete(**ASK, **saying(cache_control="max-age=20"))).text == "a"
            assert (await b.pipeline.complete(**ASK, **saying(cache_control="max-age=5"))).text == "b"

    async def test_a_caller_may_take_a_stale_one(self, bench: OpenBench) -> None:
        async with bench(completion("a"), completion("b"), **cached(directive="max-age=60")) as b:
            await b.pipeline.complete(**ASK)
            b.clock.advance(70)
            stale = await b.pipeline.complete(**ASK, **saying(cache_control="max-stale=30"))
            assert (stale.text, stale.exchange.metadata["cache.status"]) == ("a", "stale")
            assert (await b.pipeline.complete(**ASK, **saying(cache_control="max-stale=5"))).text == "b"

    async def test_no_cache_fetches_anew_and_keeps_that(self, bench: OpenBench) -> None:
        async with bench(completion("a"), completion("b"), **cached()) as b:
            await b.pipeline.complete(**ASK)
            assert (await b.pipeline.complete(**ASK, **saying(cache_control="no-cache"))).text == "b"
            assert (await b.pipeline.complete(**ASK)).text == "b"

    async def test_no_store_leaves_everything_as_it_is(self, bench: OpenBench) -> None:
        async with bench(completion("a"), completion("b"), **cached()) as b:
            await b.pipeline.complete(**ASK)
            other = await b.pipeline.complete(**ASK, **saying(cache_control="no-store"))
            assert other.text == "b"
            assert "cache.status" not in other.exchange.metadata
            assert (await b.pipeline.complete(**ASK)).text == "a"

    async def test_only_if_cached_asks_nobody(self, bench: OpenBench) -> None:
        only = saying(cache_control="only-if-cached")
        async with bench(completion("a"), **cached()) as b:
            with pytest.raises(NotCachedError) as caught:
                await b.pipeline.complete(**ASK, **only)
            assert (caught.value.http_status, caught.value.code, b.urls) == (504, "not_cached", [])
            await b.pipeline.complete(**ASK)
            assert (await b.pipeline.complete(**ASK, **only)).text == "a"

    async def test_it_can_be_off_until_a_request_says_otherwise(self, bench: OpenBench) -> None:
        on = saying(helicone_cache_enabled="true")
        async with bench(*(completion(text) for text in "abc"), **cached(enabled=False)) as b:
            texts = [(await b.pipeline.complete(**ASK, **who)).text for who in ({}, {}, on, on)]
        assert texts == ["a", "b", "c", "c"]


class TestBuckets:
    async def test_all_are_filled_before_one_of_them_is_given(self, bench: OpenBench) -> None:
        async with bench(completion("a"), completion("b"), **cached(buckets=2)) as b:
            texts = [(await b.pipeline.complete(**ASK)).text for _ in range(30)]
            records = await b.records()
        assert texts[:2] == ["a", "b"]
        assert set(texts[2:]) == {"a", "b"}
        assert [record.metadata["cache.bucket"] for record in records[:2]] == ["0", "1"]
        assert all(
            text == "ab"[int(record.metadata["cache.bucket"])] for text, record in zip(texts, records, strict=True)
        )

    async def test_equal_requests_at_once_fill_different_ones(self, bench: OpenBench) -> None:
        async with bench(completion("a"), completion("b"), **together(buckets=2)) as b:
            answers = await asyncio.gather(*(b.pipeline.complete(**ASK) for _ in range(10)))
            assert {answer.text for answer in answers} == {"a", "b"}
            assert len(b.urls) == 2


class TestTogether:
    async def test_a_hundred_equal_requests_are_asked_once(self, bench: OpenBench) -> None:
        async with bench(completion("a"), **together()) as b:
            answers = await asyncio.gather(*(b.pipeline.complete(**ASK) for _ in range(100)))
            assert {answer.text for answer in answers} == {"a"}
            assert len(b.urls) == 1

    async def test_streams_too(self, bench: OpenBench) -> None:
        async with bench(streamed("a", "b"), **together()) as b:
            assert {text for text, _ in await asyncio.gather(*(read(b) for _ in range(20)))} == {"ab"}
            assert len(b.urls) == 1

    async def test_where_the_first_fails_the_others_ask_themselves(self, bench: OpenBench) -> None:
        async with bench(failure(400), *(completion("a") for _ in range(4)), **together()) as b:
            answers = await asyncio.gather(*(b.pipeline.complete(**ASK) for _ in range(5)), return_exceptions=True)
            assert sorted(isinstance(answer, Exception) for answer in answers) == [False] * 4 + [True]

    async def test_with_no_patience_each_asks_at_once(self, bench: OpenBench) -> None:
        async with bench(*(completion("a") for _ in range(5)), **together(wait=0)) as b:
            await asyncio.gather(*(b.pipeline.complete(**ASK) for _ in range(5)))
            assert len(b.urls) == 5

    async def test_where_the_first_leaves_another_takes_its_place(self, bench: OpenBench) -> None:
        async with bench(streamed("a", "b"), streamed("c"), **together()) as b:
            async with b.pipeline.stream(**ASK) as chunks:
                await anext(aiter(chunks))
                others = [asyncio.create_task(read(b)) for _ in range(5)]
                await asyncio.sleep(0)
            assert {text for text, _ in await asyncio.gather(*others)} == {"c"}
            assert len(b.urls) == 2

    async def test_where_the_first_has_no_more_time_another_takes_its_place(self, bench: OpenBench) -> None:
        async with bench(stream_answer(asyncio.Event()), *(completion("a") for _ in range(5)), **together()) as b:
            first = asyncio.create_task(b.pipeline.complete(**ASK, **saying(llmgate_timeout="200ms")))
            await asyncio.sleep(0)
            others = [asyncio.create_task(b.pipeline.complete(**ASK, **saying())) for _ in range(5)]
            with pytest.raises(GatewayTimeoutError):
                await first
            assert {answer.text for answer in await asyncio.gather(*others)} == {"a"}
            assert len(b.urls) == 2

    async def test_nothing_is_left_behind(self, bench: OpenBench) -> None:
        async with bench(completion("a"), failure(400), streamed("c"), **together()) as b:
            await b.pipeline.complete(**ASK)
            with pytest.raises(GatewayError):
                await b.pipeline.complete(**ASK, user="x")
            async with b.pipeline.stream(**ASK) as chunks:
                await anext(aiter(chunks))
            (stage,) = [one.stage for one in b.pipeline.snapshot.placed if isinstance(one.stage, Cache)]
            assert len(stage._flights) == 0


@pytest.mark.parametrize("name", CHAT_FORMATS)
@pytest.mark.parametrize("stream", [False, True])
async def test_every_format_of_chat_is_given_again_byte_for_byte(bench: OpenBench, name: str, stream: bool) -> None:
    wire_format = get_format(name)
    chat = ChatRequest("alpha/m", (Message(Role.USER, (Text("hello"),)),), max_output_tokens=50, stream=stream)
    body = wire_format.encode_request(chat)
    bodies = []
    async with bench(streamed("a", "b") if stream else completion("ab"), **cached()) as b:
        for _ in range(2):
            async with b.pipeline.exchange() as exchange:
                request = read_request(wire_format, body, model="alpha/m", stream=stream)
                if stream:
                    bodies.append(b"".join([data async for data in await exchange.stream(request)]))
                else:
                    bodies.append((await exchange.send(request)).body)
        assert len(b.urls) == 1
    assert bodies[0] == bodies[1]
    assert bodies[0]


class TestOtherOperations:
    async def test_moderations_are_kept(self, bench: OpenBench) -> None:
        result = {
            "id": "modr-1",
            "model": "m",
            "results": [{"flagged": False, "categories": {}, "category_scores": {}}],
        }
        async with bench(json_answer(result), **cached()) as b:
            answers = [await b.pipeline.moderate(model="alpha/m", input="x") for _ in range(2)]
            assert len(b.urls) == 1
            assert [record.metadata["cache.status"] for record in await b.records()] == ["miss", "hit"]
            assert len(answers) == 2

    async def test_embeddings_are_kept(self, bench: OpenBench) -> None:
        vectors = {"object": "list", "data": [{"object": "embedding", "index": 0, "embedding": [1.0]}], "model": "m",
                   "usage": {"prompt_tokens": 1, "total_tokens": 1}}  # fmt: skip
        async with bench(json_answer(vectors), **cached()) as b:
            answers = [await b.pipeline.embed(model="alpha/m", input="x") for _ in range(2)]
            assert answers[0].vectors == answers[1].vectors
            assert len(b.urls) == 1

    async def test_responses_are_kept_and_those_that_build_on_others_are_not(self, bench: OpenBench) -> None:
        def answer(text: str, status: str = "completed") -> Any:
            output = [{"type": "message", "id": "m", "role": "assistant", "status": "completed",
                       "content": [{"type": "output_text", "text": text, "annotations": []}]}]  # fmt: skip
            return json_answer({"id": "resp_1", "object": "response", "created_at": 1, "status": status, "model": "m",
                                "output": output if text else []})  # fmt: skip

        config = {**cached(), "providers": {"openai": {"base-url": "https://alpha.test/v1"}}}
        async with bench(*map(answer, "abcd"), environment={"OPENAI_API_KEY": "k"}, routers={}, **config) as b:
            plain = [(await b.pipeline.respond(model="openai/m", input="x")).text for _ in range(2)]
            bound = [
                (await b.pipeline.respond(model="openai/m", input="x", previous_response_id="r")).text for _ in range(2)
            ]
        assert plain == ["a", "a"]
        assert bound == ["b", "c"]
        async with bench(
            answer("", "queued"), answer("d"), environment={"OPENAI_API_KEY": "k"}, routers={}, **config
        ) as b:
            later = [await b.pipeline.respond(model="openai/m", input="x", background=True) for _ in range(2)]
            assert later[1].text == "d"


class Failing(Memory):
    """A store that has been lost."""

    name = "failing"

    async def get(self, key: str) -> Any:
        raise ConnectionError

    async def put(self, key: str, value: bytes, *, ttl: float | None = None) -> None:
        raise ConnectionError


class FailingPlugin:
    """Registers the failing store."""

    @hookimpl
    def llmgate_register_state_stores(self) -> type[Failing]:
        return Failing


class Distant(Memory):
    """A store whose answers take turns of the loop, each another number of them."""

    instant = False
    name = "distant"
    asked = 0

    async def get(self, key: str) -> Any:
        self.asked += 1
        turns = self.asked * 7 % 23
        found = await super().get(key)
        for _ in range(turns):
            await asyncio.sleep(0)
        return found


class DistantPlugin:
    """Registers the distant store."""

    @hookimpl
    def llmgate_register_state_stores(self) -> type[Distant]:
        return Distant


async def test_one_who_looked_too_early_looks_again(bench: OpenBench, monkeypatch: pytest.MonkeyPatch) -> None:
    made = Shelf.__init__

    def patient(self: Shelf, *args: Any, **fields: Any) -> None:
        made(self, *args, **{**fields, "timeout": None})

    # A store that is late is a miss, and on a busy machine any may be late.
    monkeypatch.setattr(Shelf, "__init__", patient)
    config = {**cached(state="far"), "state": {"far": {"use": "distant"}}}
    async with bench(completion("a"), plugins=(DistantPlugin(),), **config) as b:
        answers = await asyncio.gather(*(b.pipeline.complete(**ASK) for _ in range(100)))
        assert {answer.text for answer in answers} == {"a"}
        assert len(b.urls) == 1


async def test_without_its_store_requests_are_answered_all_the_same(bench: OpenBench) -> None:
    config = {**cached(state="lost"), "state": {"lost": {"use": "failing"}}}
    async with bench(completion("a"), completion("b"), plugins=(FailingPlugin(),), **config) as b:
        assert [(await b.pipeline.complete(**ASK)).text for _ in range(2)] == ["a", "b"]


async def test_a_store_that_is_not_configured_is_named_at_the_start(bench: OpenBench) -> None:
    with pytest.raises(GatewayError, match="'nowhere' is not configured"):
        async with bench(**cached(state="nowhere")):
            raise AssertionError("it must not open")


async def raw(b: Any) -> bytes:
    """A stream as the host sends it."""
    request = read_request(get_format("openai-chat"), dumps({**ASK, "stream": True}))
    async with b.pipeline.exchange() as exchange:
        stream = await exchange.stream(request)
        return b"".join([data async for data in stream])
