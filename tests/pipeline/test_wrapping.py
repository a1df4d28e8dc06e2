from __future__ import annotations

from typing import Any

import pytest

from llmgate.pipeline.wrapping import Wrapping
from llmgate.spec import ConfigError, RoutingContext
from llmgate.stages.routing.latency import Latency, LatencyConfig
from llmgate.stages.routing.split import Split, SplitConfig
from llmgate.testing.samples import sample_attempt, sample_deployment, sample_view
from scripted import MESSAGES, OpenBench, completion, failure

NAMES = ["a", "b", "c", "d"]
PROVIDERS = {name: {"base-url": f"https://{name}.test/v1", "keyless": True} for name in NAMES}


def routers(*providers: Any, **balance: Any) -> dict[str, Any]:
    return {"main": {"load-balance": {"chat": {"providers": list(providers) or NAMES, **balance}}}}


def test_the_outer_strategy_decides_and_the_inner_one_orders_the_rest() -> None:
    inner = Latency(LatencyConfig())
    both = Wrapping(Split(SplitConfig(by="session")), inner)
    given = [sample_deployment(f"p/{name}", weight=weight) for name, weight in zip(NAMES, (0, 0, 1, 0), strict=True)]
    for one, seconds in zip(given, (0.9, 0.1, 0.5, 0.3), strict=True):
        attempt = sample_attempt(one, started=1000.0, first_content=1000.0 + seconds, finished=1001.0)
        both.started(attempt)
        both.first_content(attempt)
        both.finished(attempt)
    for seed in range(20):
        ranked = both.rank(sample_view(), given, RoutingContext(now=1000.0, random=lambda seed=seed: seed / 20))
        assert ranked[0].id == "p/c", "the only one with a share"
        assert {one.id for one in ranked[1:]} == {"p/a", "p/b", "p/d"}
    slow_first = [one.id for one in ranked[1:]]
    assert slow_first.index("p/b") < slow_first.index("p/a"), "by latency"


async def test_a_balance_lays_one_over_another(bench: OpenBench) -> None:
    balance = routers(
        {"provider": "a", "tags": ["far"]},
        {"provider": "b", "tags": ["near"]},
        "c",
        {"provider": "d", "tags": ["near"]},
        strategy="tags",
        prefer=["near", "far"],
        over={"use": "split", "by": "principal", "over": "least-busy"},
    )
    async with bench(*[failure(503)] * 4, providers=PROVIDERS, routers=balance) as b:
        with pytest.raises(Exception, match="no"):
            await b.pipeline.complete(router="main", model="m", messages=MESSAGES)
        asked = [url[8] for url in b.urls]
        assert (set(asked[:2]), asked[2:]) == ({"b", "d"}, ["a", "c"])
        assert [one.entry.use for one in b.pipeline.snapshot.placed if one.kind == "routing"][-4:-1] == [
            "tags",
            "split",
            "least-busy",
        ]


async def test_a_split_over_cost_goes_on_to_the_cheapest(bench: OpenBench) -> None:
    models = [
        {"model": "a/gpt-4o", "weight": 1e-9},
        {"model": "b/gpt-4o-mini", "weight": 1e-9},
        {"model": "c/gpt-4.1", "weight": 1.0},
        {"model": "d/gpt-4", "weight": 1e-9},
    ]
    balance = {"main": {"load-balance": {"chat": {"strategy": "split", "over": "cost", "models": models}}}}
    vendors = {name: {"use": "openai", "keyless": True} for name in NAMES}
    async with bench(*[failure(503)] * 4, providers=vendors, routers=balance) as b:
        with pytest.raises(Exception, match="no"):
            await b.pipeline.complete(router="main", model="m", messages=MESSAGES)
        assert [body["model"] for body in b.bodies] == ["gpt-4.1", "gpt-4o-mini", "gpt-4o", "gpt-4"]


async def test_what_an_inner_strategy_has_learnt_outlives_a_reload(bench: OpenBench) -> None:
    balance = routers(strategy="tags", prefer=["x"], over={"use": "latency", "decay": "10s"})
    async with bench(completion(), providers=PROVIDERS, routers=balance) as b:
        before = [one.stage for one in b.pipeline.snapshot.placed if one.kind == "routing"]
        await b.pipeline.complete(router="main", model="m", messages=MESSAGES)
        await b.pipeline.reload()
        assert [one.stage for one in b.pipeline.snapshot.placed if one.kind == "routing"] == before


@pytest.mark.parametrize(
    ("balance", "problem"),
    [
        ({"strategy": "priority", "over": "latency"}, "'over' says nothing to it"),
        ({"strategy": "latency", "over": "priority"}, "'over' says nothing to it"),
        ({"strategy": "tags", "prefer": ["x"], "over": "nothing"}, "no routing strategy is called 'nothing'"),
        ({"strategy": "tags", "prefer": ["x"], "over": {"decay": 1}}, "'use' is required"),
        ({"strategy": "tags", "prefer": ["x"], "over": {"use": "priority", "over": "random"}}, "says nothing to it"),
        ({"strategy": "tags"}, "'prefer' is required"),
        ({"strategy": "tags", "prefer": []}, "name at least one tag"),
    ],
)
async def test_what_makes_no_sense_is_named(bench: OpenBench, balance: dict[str, Any], problem: str) -> None:
    with pytest.raises(ConfigError, match=problem):
        async with bench(providers=PROVIDERS, routers=routers(**balance)):
            pass
