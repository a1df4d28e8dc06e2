from __future__ import annotations

import attrs
import pytest

from llmgate.pipeline.snapshot import ModelMapping
from scripted import CONFIG, MESSAGES, OpenBench, completion

MAPPING = ModelMapping(
    {
        "gpt-4o-mini-2024-07-18": ["alpha/dated"],
        "gpt-4o-mini": ["alpha/small", "alpha/second", "beta/org/tiny", "alphabet/other", "gamma/"],
    }
)


@pytest.mark.parametrize(
    ("names", "provider", "expected"),
    [
        (["gpt-4o-mini"], "alpha", "small"),
        (["gpt-4o-mini-2024-07-18", "gpt-4o-mini"], "alpha", "dated"),
        (["gpt-4o-mini-2024-07-18", "gpt-4o-mini"], "beta", "org/tiny"),
        (["gpt-4o-mini"], "alph", None),
        (["gpt-4o-mini"], "gamma", None),
        (["gpt-5"], "alpha", None),
        ([], "alpha", None),
    ],
)
def test_a_mapping_gives_the_first_candidate_of_the_provider(
    names: list[str], provider: str, expected: str | None
) -> None:
    assert MAPPING.find(names, provider) == expected


def test_an_empty_mapping_maps_nothing() -> None:
    assert ModelMapping().find(["gpt-4o-mini"], "alpha") is None


async def test_a_snapshot_cannot_be_changed(bench: OpenBench) -> None:
    async with bench() as b:
        snapshot = b.pipeline.snapshot
        for value, field in ((snapshot, "routers"), (snapshot.unified, "retries"), (snapshot.routers["main"], "chain")):
            with pytest.raises(attrs.exceptions.FrozenInstanceError):
                setattr(value, field, None)


async def test_an_exchange_keeps_the_snapshot_that_it_began_with(bench: OpenBench) -> None:
    async with bench(completion("old"), completion("new")) as b:
        old = b.pipeline.snapshot
        frame = b.pipeline.exchange()
        await b.pipeline.reload({**CONFIG, "routers": {}})
        async with frame:
            assert frame.snapshot is old
            request = b.pipeline._request(
                None, {"model": "m", "messages": MESSAGES}, "main", None, None, None, stream=False
            )
            assert (await frame.send(request)).chat.text == "old"
        assert b.pipeline.exchange().snapshot is not old
