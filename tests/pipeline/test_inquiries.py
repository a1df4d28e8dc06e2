"""What is asked of the gateway itself: each an exchange with a record, answered without a provider."""

from __future__ import annotations

import pytest

from llmgate import ModelNotFoundError, Principal
from llmgate.spec import Operation
from scripted import MESSAGES, OpenBench, bench, completion

__all__ = ["bench"]


async def test_models_and_health_are_what_the_caller_may_ask_for(bench: OpenBench) -> None:
    few = Principal("few", "keys", models=("beta/*",))
    async with bench(completion("x")) as b:
        await b.pipeline.complete(model="alpha/m", messages=MESSAGES)
        assert [one.id for one in await b.pipeline.health()] == ["alpha/m"]
        assert await b.pipeline.health(principal=few) == []
        assert list(await b.pipeline.models()) == [], "nobody has listed any"
        assert len(b.urls) == 1, "nobody was asked for that"
        records = await b.records()
    assert [record.operation for record in records[1:]] == [Operation.MODELS.value] * 3
    assert {record.status for record in records} == {200}


async def test_a_router_that_is_not_there_is_an_error_with_a_record(bench: OpenBench) -> None:
    async with bench() as b:
        with pytest.raises(ModelNotFoundError):
            await b.pipeline.models(router="none")
        (record,) = await b.records()
    assert (record.status, record.router) == (404, "none")


async def test_who_has_kept_an_answer_and_who_speaks_a_format(bench: OpenBench) -> None:
    async with bench() as b:
        frame = b.pipeline.exchange()
        assert (await frame.speaker(None, "alpha/m", "openai-chat")).id == "alpha/m"
        with pytest.raises(Exception, match=r"provider"):
            frame.keeper(None, "none", "openai-responses")
