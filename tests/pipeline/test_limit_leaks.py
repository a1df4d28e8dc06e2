"""Whatever becomes of a request, its limits are as if it had not been, but for what it used: at every await."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Sequence
from typing import Any

import pytest

from llmgate.formats import get_format, read_request
from llmgate.spec import (
    Claim,
    GatewayError,
    Interceptor,
    NoDeploymentError,
    Place,
    ProviderConnectionError,
    Rate,
    RateDecision,
    RateLimitError,
    StageContext,
    StateStore,
    Units,
    hookimpl,
)
from llmgate.stages.state.memory import Memory
from llmgate.testing.transport import stream_answer
from scripted import MESSAGES, Bench, OpenBench, completion, delta, failure

CHAT = b'{"model":"m","max_tokens":50,"messages":[{"role":"user","content":"hi"}]}'
STREAM = CHAT[:-1] + b',"stream":true}'
LIMITS = [
    {"capacity": 5, "unit": "concurrent", "name": "at-once"},
    {"capacity": 3, "unit": "concurrent", "by": ["provider"], "name": "at-provider"},
    {"capacity": 10_000, "window": "month", "unit": "tokens", "name": "tokens"},
    {"capacity": 1000, "refill-frequency": "30d", "unit": "output-tokens", "by": ["provider"], "name": "output"},
]


class Distant(Memory):
    """A store that others share; whatever is asked of it takes a turn of the loop on its way and another back."""

    name = "distant"
    shared = True
    instant = False
    stores: list[Distant] = []

    async def open(self, context: StageContext) -> None:
        await super().open(context)
        self.stores.append(self)

    async def claim(self, claims: Sequence[Claim], *, once: str | None = None) -> Sequence[RateDecision]:
        await asyncio.sleep(0)
        decisions = await super().claim(claims, once=once)
        await asyncio.sleep(0)
        return decisions

    async def give_back(self, claims: Sequence[Claim], *, once: str | None = None) -> None:
        await asyncio.sleep(0)
        await super().give_back(claims, once=once)
        await asyncio.sleep(0)

    def held(self) -> int:
        """Places that are taken."""
        return sum(len(lease.holders) for lease in self._leases.entries.values())

    def spent(self) -> dict[str, float]:
        """Units spent, by the name of the limit that they are of."""
        names = {f"interceptors[0].{index}": one["name"] for index, one in enumerate(LIMITS)}
        found: dict[str, float] = {}
        for key, rate in self._rates.entries.items():
            name = names[str(key).split(":")[1]]
            found[str(name)] = found.get(str(name), 0.0) + rate.units
        return {name: units for name, units in found.items() if units}


class Plugin:
    @hookimpl
    def llmgate_register_state_stores(self) -> type[StateStore[Any]]:
        return Distant


def limited(limits: Any = LIMITS, **fields: Any) -> dict[str, Any]:
    return {
        "plugins": (Plugin(),),
        "state": {"distant": {"use": "distant"}},
        "interceptors": [{"use": "rate-limit", "state": "distant", "limits": limits, **fields}],
    }


async def ask(b: Bench, body: bytes) -> None:
    request = read_request(get_format("openai-chat"), body, router="main")
    async with b.pipeline.exchange() as exchange:
        if request.stream:
            stream = await exchange.stream(request)
            async for _ in stream:
                await asyncio.sleep(0)
        else:
            await exchange.send(request)


async def quiet(b: Bench) -> Distant:
    """The store, once nothing is under way."""
    store = Distant.stores[-1]
    for _ in range(100):
        await asyncio.sleep(0)
    return store


@pytest.mark.parametrize("body", [CHAT, STREAM], ids=["whole", "stream"])
@pytest.mark.parametrize("first_fails", [False, True], ids=["first", "failover"])
async def test_leaving_at_any_await_leaves_nothing_held(bench: OpenBench, body: bytes, first_fails: bool) -> None:
    events = [delta("hi"), delta(" you"), delta(finish="stop", usage=None), b"data: [DONE]\n\n"]
    finished = turns = 0
    while finished < 3:
        answers = [failure(503)] if first_fails else []
        answers.append(stream_answer(*events) if body is STREAM else completion())
        async with bench(*answers, **limited()) as b:
            task = asyncio.create_task(ask(b, body))
            for _ in range(turns):
                await asyncio.sleep(0)
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
            finished += not task.cancelled()
            store = await quiet(b)
            assert store.held() == 0, f"after {turns} turns"
            # Who leaves a provider at work pays what was reserved; who left before it pays nothing, nobody more.
            spent = store.spent()
            reserved = -(-len(body) // 4) + 50
            assert spent.get("tokens", 0) <= reserved, f"after {turns} turns"
            assert spent.get("output", 0) <= 2 * 50, f"after {turns} turns"
            if not any(record.attempts for record in await b.records()):
                assert spent == {}, f"after {turns} turns: it has come to no provider"
        turns += 1
    assert turns > 10


async def test_every_kind_of_end_leaves_nothing_held(bench: OpenBench) -> None:
    gone = ProviderConnectionError("gone", retryable=True)
    answers = [failure(500), failure(500), failure(400), completion(), gone, gone]
    async with bench(*answers, **limited()) as b:
        for _ in range(4):
            with contextlib.suppress(GatewayError):
                await ask(b, CHAT)
        store = await quiet(b)
        assert store.held() == 0
        assert store.spent() == {"tokens": 5.0, "output": 2.0}, "what the one that was answered has used"


async def test_a_provider_at_its_limit_is_passed_by(bench: OpenBench) -> None:
    rule = [{"capacity": 2, "refill-frequency": "1d", "by": ["provider"], "name": "each"}]
    async with bench(*(completion() for _ in range(4)), **limited(rule)) as b:
        for _ in range(4):
            await b.pipeline.complete(model="m", router="main", messages=MESSAGES)
        assert [url.split("/")[2] for url in b.urls] == ["alpha.test"] * 2 + ["beta.test"] * 2
        with pytest.raises(RateLimitError, match="rate limit 'each' reached: 2 requests in 86400 s") as refused:
            await b.pipeline.complete(model="m", router="main", messages=MESSAGES)
        assert refused.value.retry_after == pytest.approx(43200)
        records = await b.records()
    assert (records[-1].status, len(records[-1].attempts)) == (429, 0)
    assert records[-1].metadata["rate-limit.refused-by"] == "interceptors[0] (each)"


async def test_a_chain_of_models_spends_what_each_of_them_may(bench: OpenBench) -> None:
    rule = [{"capacity": 1, "refill-frequency": "1d", "models": ["gold"], "name": "gold"}]
    async with bench(*(completion() for _ in range(3)), **limited(rule)) as b:
        for _ in range(3):
            await b.pipeline.complete(model="alpha/gold,beta/lead", messages=MESSAGES)
        assert [body["model"] for body in b.bodies] == ["gold", "lead", "lead"]
        with pytest.raises(RateLimitError):
            await b.pipeline.complete(model="beta/gold,alpha/gold", messages=MESSAGES)


async def test_an_answer_from_the_cache_costs_nothing(bench: OpenBench) -> None:
    config = limited([{"capacity": 2, "refill-frequency": "1d"}, {"capacity": 1, "unit": "concurrent"}])
    config["interceptors"].append({"use": "cache"})
    async with bench(completion(), **config) as b:
        for _ in range(5):
            await ask(b, CHAT)
        assert len(b.urls) == 1
        held = Distant.stores[-1]
        assert held.held() == 0
        (key,) = held._rates.entries
        assert (await held.peek(str(key), Rate(2, 86400), 0)).remaining == 1


async def test_a_skipped_deployment_without_a_reason_is_said_as_before(bench: OpenBench) -> None:
    class Closed(Interceptor[Any]):
        name = "closed"

        async def before_attempt(self, exchange: Any, attempt: Any) -> bool:
            return False

    class Closing:
        @hookimpl
        def llmgate_register_interceptors(self) -> Any:
            return Closed

    async with bench(plugins=(Closing(),), interceptors=[{"use": "closed"}]) as b:
        with pytest.raises(NoDeploymentError, match="every candidate was skipped"):
            await b.pipeline.complete(model="m", router="main", messages=MESSAGES)


async def test_claims_of_both_kinds_are_what_is_asked(bench: OpenBench) -> None:
    """One step for the whole request, one for the attempt."""
    seen: list[list[type[Claim]]] = []

    class Watched(Distant):
        async def claim(self, claims: Sequence[Claim], *, once: str | None = None) -> Sequence[RateDecision]:
            seen.append([type(one) for one in claims])
            return await super().claim(claims, once=once)

    class Watching:
        @hookimpl
        def llmgate_register_state_stores(self) -> type[StateStore[Any]]:
            return Watched

    async with bench(completion(), **{**limited(), "plugins": (Watching(),)}) as b:
        await ask(b, CHAT)
    assert seen == [[Place, Units], [Place, Units]]
