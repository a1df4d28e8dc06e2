"""``stale-while-revalidate``: who comes too late gets the old answer at once, and one exchange of its own renews it."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from llmgate import GatewayError, Pipeline
from llmgate.spec import Credentials, Principal
from llmgate.testing.upstream import FakeUpstream
from scripted import MESSAGES, Bench, OpenBench, completion, failure, streamed

ASK: dict[str, Any] = {"model": "alpha/m", "messages": MESSAGES}
STALE = "max-age=10, stale-while-revalidate=60"


def cached(*before: dict[str, Any], **config: Any) -> dict[str, Any]:
    return {"interceptors": [*before, {"use": "cache", "directive": STALE, **config}]}


def saying(**headers: str) -> dict[str, Any]:
    credentials = Credentials(headers={name.replace("_", "-"): value for name, value in headers.items()})
    return {"credentials": credentials, "principal": Principal.local()}


async def renewed(pipeline: Pipeline) -> None:
    """Wait until nothing goes on in the background."""
    async with asyncio.timeout(10):
        while pipeline.repeats.drains.running or pipeline._tasks:
            await asyncio.sleep(0)


async def read(b: Bench, **fields: Any) -> str:
    async with b.pipeline.stream(**ASK, **fields) as chunks:
        async for _ in chunks:
            pass
    return chunks.text


async def test_all_get_the_old_answer_at_once_and_one_exchange_renews_it(bench: OpenBench) -> None:
    async with bench(completion("a"), completion("b"), **cached()) as b:
        await b.pipeline.complete(**ASK)
        b.clock.advance(20)
        answers = await asyncio.gather(*(b.pipeline.complete(**ASK, metadata={"n": "x"}) for _ in range(5)))
        assert [answer.text for answer in answers] == ["a"] * 5
        assert all(not answer.exchange.attempts for answer in answers)
        await renewed(b.pipeline)
        assert (await b.pipeline.complete(**ASK)).text == "b"
        assert len(b.urls) == 2
        records = await b.records()
    statuses = [record.metadata["cache.status"] for record in records]
    assert sorted(statuses) == ["hit", "miss", "renewal", *["stale"] * 5]
    renewal = records[statuses.index("renewal")]
    assert renewal.metadata["cache.renews"] in {one.id for one in records if one.metadata["cache.status"] == "stale"}
    assert (renewal.status, len(renewal.attempts), renewal.usage) == (200, 1, records[0].usage)
    assert renewal.metadata["n"] == "x"
    assert (renewal.principal, renewal.surface) == (records[0].principal, records[0].surface)


async def test_a_stream_is_renewed_as_a_stream(bench: OpenBench) -> None:
    async with bench(streamed("a"), streamed("b", "c"), **cached()) as b:
        assert await read(b) == "a"
        b.clock.advance(20)
        assert [await read(b), await read(b)] == ["a", "a"]
        await renewed(b.pipeline)
        assert await read(b) == "bc"
        assert len(b.urls) == 2


async def test_one_that_takes_no_stale_answer_waits_for_the_renewal(bench: OpenBench) -> None:
    async with bench(completion("a"), completion("b"), **cached()) as b:
        await b.pipeline.complete(**ASK)
        b.clock.advance(20)
        stale = await b.pipeline.complete(**ASK)
        fresh = await b.pipeline.complete(**ASK, **saying(cache_control="max-age=5"))
        assert (stale.text, fresh.text) == ("a", "b")
        await renewed(b.pipeline)
        assert len(b.urls) == 2


async def test_past_the_time_of_stale_answers_everybody_waits(bench: OpenBench) -> None:
    async with bench(completion("a"), completion("b"), **cached()) as b:
        await b.pipeline.complete(**ASK)
        b.clock.advance(71)
        assert (await b.pipeline.complete(**ASK)).text == "b"


async def test_a_renewal_that_fails_is_not_tried_again_at_once(bench: OpenBench) -> None:
    async with bench(completion("a"), failure(400), completion("b"), **cached()) as b:
        await b.pipeline.complete(**ASK)
        b.clock.advance(20)
        for _ in range(3):
            assert (await b.pipeline.complete(**ASK)).text == "a"
            await renewed(b.pipeline)
        assert len(b.urls) == 2
        b.clock.advance(6)
        assert (await b.pipeline.complete(**ASK)).text == "a"
        await renewed(b.pipeline)
        assert (await b.pipeline.complete(**ASK)).text == "b"


async def test_a_renewal_is_charged_by_limits_which_may_refuse_it(bench: OpenBench) -> None:
    limit = {"use": "rate-limit", "limits": [{"capacity": 2, "refill-frequency": "1h", "name": "own"}]}
    rules = cached(limit)
    async with bench(completion("a"), completion("b"), **rules) as b:
        await b.pipeline.complete(**ASK)
        b.clock.advance(20)
        assert (await b.pipeline.complete(**ASK)).text == "a"
        await renewed(b.pipeline)  # a hit takes nothing of the limit, the renewal takes the second
        with pytest.raises(GatewayError, match="rate limit 'own' reached"):
            await b.pipeline.complete(**ASK)
        assert len(b.urls) == 2
    async with bench(completion("a"), **cached({**limit, "limits": [{**limit["limits"][0], "capacity": 1}]})) as b:  # type: ignore[index]
        await b.pipeline.complete(**ASK)
        with pytest.raises(GatewayError, match="rate limit 'own' reached"):
            await b.pipeline.complete(**ASK)


async def test_where_nothing_more_may_run_in_the_background_the_old_answer_is_given_all_the_same(
    bench: OpenBench,
) -> None:
    async with bench(completion("a"), stream={"max-drains": 0}, **cached()) as b:
        await b.pipeline.complete(**ASK)
        b.clock.advance(20)
        assert (await b.pipeline.complete(**ASK)).text == "a"
        assert b.pipeline.repeats.drains.refused == 1
        assert len(b.urls) == 1


@pytest.mark.parametrize(
    "headers", [{"cache_control": "only-if-cached"}, {"helicone_cache_save": "false"}], ids=["only", "unsaved"]
)
async def test_who_wants_nothing_fetched_or_nothing_kept_renews_nothing(
    bench: OpenBench, headers: dict[str, str]
) -> None:
    async with bench(completion("a"), completion("b"), **cached()) as b:
        await b.pipeline.complete(**ASK, **saying())
        b.clock.advance(20)
        answer = await b.pipeline.complete(**ASK, **saying(**headers))
        await renewed(b.pipeline)
        assert answer.text == ("a" if "cache_control" in headers else "b")
        assert b.pipeline.repeats.drains.completed == 0


async def test_the_callers_patience_is_not_the_renewals(bench: OpenBench) -> None:
    async with bench(completion("a"), completion("b"), **cached()) as b:
        await b.pipeline.complete(**ASK)
        b.clock.advance(20)
        assert (await b.pipeline.complete(**ASK, timeout=5)).text == "a"
        b.clock.advance(6)
        await renewed(b.pipeline)
        assert (await b.pipeline.complete(**ASK)).text == "b"


async def test_several_answers_are_renewed_one_by_one(bench: OpenBench) -> None:
    texts = [completion(text) for text in "abcdefgh"]
    async with bench(*texts, **cached(buckets=2)) as b:
        for _ in range(2):
            await b.pipeline.complete(**ASK)
        b.clock.advance(20)
        assert (await b.pipeline.complete(**ASK)).text in {"a", "b"}
        await renewed(b.pipeline)
        await b.pipeline.complete(**ASK)
        await renewed(b.pipeline)
        assert {(await b.pipeline.complete(**ASK)).text for _ in range(20)} <= {"c", "d"}
        assert len(b.urls) == 4


def over(one: FakeUpstream, directory: Path, **stream: Any) -> Pipeline:
    return Pipeline.from_config(
        {
            "providers": {"alpha": {"base-url": one.base_url}},
            "state": {"disk": {"use": "sqlite", "path": str(directory / "state.db")}},
            "stream": stream,
            "interceptors": [
                {"use": "cache", "directive": "max-age=1, stale-while-revalidate=600", "state": "disk", "shared": True}
            ],
            "loggers": [],
        },
        environment={"ALPHA_API_KEY": "k"},
    )


async def test_processes_that_share_a_store_renew_an_answer_once(tmp_path: Path) -> None:
    async with FakeUpstream() as one, over(one, tmp_path) as left, over(one, tmp_path) as right:
        await left.complete(**ASK)
        for round_number in (1, 2):
            await asyncio.sleep(1.1)
            await asyncio.gather(*(two.complete(**ASK) for two in (left, right) for _ in range(20)))
            await renewed(left)
            await renewed(right)
            assert len(one.requests) == 1 + round_number


async def test_closing_waits_for_a_renewal_and_cuts_one_that_takes_too_long(tmp_path: Path) -> None:
    async with FakeUpstream() as one:
        pipeline = over(one, tmp_path, **{"drain-timeout": "200ms"})
        async with pipeline:
            await pipeline.complete(**ASK)
            await asyncio.sleep(1.1)
            one.hang()
            assert (await pipeline.complete(**ASK)).response.status == 200
        assert (pipeline.repeats.drains.cut, pipeline.repeats.drains.running) == (1, 0)
        assert not pipeline._tasks
