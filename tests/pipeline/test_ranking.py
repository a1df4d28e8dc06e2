from __future__ import annotations

from scripted import MESSAGES, OpenBench, completion, failure


async def test_who_is_left_out_for_its_health_comes_last_whatever_the_strategy_says(bench: OpenBench) -> None:
    async with bench(failure(429), completion(), completion()) as b:
        for _ in range(2):
            await b.pipeline.complete(router="main", model="m", messages=MESSAGES)
        assert [url.split("/")[2] for url in b.urls] == ["alpha.test", "beta.test", "beta.test"]
