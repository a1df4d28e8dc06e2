from __future__ import annotations

from typing import Any

import pytest

from llmgate.spec import GatewayError, Interceptor, NoConfig, RoutingStrategy, hookimpl
from scripted import MESSAGES, OpenBench, completion, failure


class Telling(RoutingStrategy[NoConfig]):
    """Keeps what it is told, and fails to learn when it is told to."""

    name = "telling"
    config_class = NoConfig
    told: list[tuple[str, str]]
    broken = False

    def __init__(self, config: NoConfig) -> None:
        super().__init__(config)
        self.told = []

    def rank(self, view: Any, deployments: Any, context: Any) -> Any:
        return deployments

    def started(self, attempt: Any) -> None:
        self.told.append(("started", attempt.deployment.provider_name))

    def first_content(self, attempt: Any) -> None:
        self.told.append(("first content", attempt.deployment.provider_name))
        if self.broken:
            raise ValueError("cannot learn")

    def finished(self, attempt: Any) -> None:
        self.told.append(("finished", attempt.deployment.provider_name))


class Holding(Interceptor[NoConfig]):
    """Holds something for each attempt, and lets it go."""

    name = "holding"
    config_class = NoConfig
    refused: frozenset[str] = frozenset()

    def __init__(self, config: NoConfig) -> None:
        super().__init__(config)
        self.held: list[str] = []
        self.all: list[str] = []

    async def before_attempt(self, view: Any, attempt: Any) -> bool:
        name = attempt.deployment.provider_name
        self.all.append(name)
        if name in self.refused:
            return False  # who refuses holds nothing
        self.held.append(name)
        return True

    async def after_attempt(self, view: Any, attempt: Any) -> None:
        self.held.remove(attempt.deployment.provider_name)


class Plugin:
    @hookimpl
    def llmgate_register_routing_strategies(self) -> type[Telling]:
        return Telling

    @hookimpl
    def llmgate_register_interceptors(self) -> type[Holding]:
        return Holding


ROUTERS = {"main": {"load-balance": {"chat": {"use": "telling", "providers": ["alpha", "beta"]}}}}


def stage(b: Any, kind: type[Any]) -> Any:
    return next(one for _, one in b.pipeline.snapshot.stages if isinstance(one, kind))


async def test_a_strategy_learns_of_every_try_in_order(bench: OpenBench) -> None:
    async with bench(failure(503), completion(), plugins=(Plugin(),), routers=ROUTERS) as b:
        await b.pipeline.complete(router="main", model="m", messages=MESSAGES)
        assert stage(b, Telling).told == [
            ("started", "alpha"),
            ("finished", "alpha"),
            ("started", "beta"),
            ("first content", "beta"),
            ("finished", "beta"),
        ]


async def test_one_that_cannot_learn_fails_no_request(
    bench: OpenBench, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(Telling, "broken", True)
    async with bench(completion("fine"), plugins=(Plugin(),), routers=ROUTERS) as b:
        answer = await b.pipeline.complete(router="main", model="m", messages=MESSAGES)
        assert answer.text == "fine"
    assert "the routing strategy failed in first_content" in caplog.text


@pytest.mark.parametrize("refused", [frozenset(), frozenset({"alpha"}), frozenset({"alpha", "beta"})])
async def test_what_an_attempt_holds_is_let_go_of_whether_it_may_start_or_not(
    bench: OpenBench, monkeypatch: pytest.MonkeyPatch, refused: frozenset[str]
) -> None:
    monkeypatch.setattr(Holding, "refused", refused)
    interceptors = [{"use": "holding"}]
    answers = [failure(503), failure(503)]
    async with bench(*answers, plugins=(Plugin(),), routers=ROUTERS, interceptors=interceptors) as b:
        with pytest.raises(GatewayError):
            await b.pipeline.complete(router="main", model="m", messages=MESSAGES)
        assert stage(b, Holding).all == ["alpha", "beta"]
        assert stage(b, Holding).held == []
        assert len(b.urls) == 2 - len(refused)
