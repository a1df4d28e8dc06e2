"""Requests to approved domains pass freely; those to others are counted for each caller, and the counts hold."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any, TypeAlias

import pytest

from llmgate.spec import (
    ConfigError,
    DomainEvent,
    Exchange,
    ExchangeView,
    GatewayRequest,
    Operation,
    PermissionDeniedError,
    Principal,
    RateLimitError,
    StageContext,
    Target,
)
from llmgate.stages.domains.file import File, FileConfig
from llmgate.stages.interceptors.rate_limit import RateLimitUnknownError
from llmgate.stages.interceptors.target_domains import TargetDomains, TargetDomainsConfig
from llmgate.stages.state.memory import Memory, MemoryConfig
from llmgate.testing.clock import FakeClock
from llmgate.testing.transport import ScriptedTransport

REQUEST = GatewayRequest(Operation.RELAY, "", b"", "m", stream=False)


class Rules:
    """The interceptor, open, over a memory store."""

    def __init__(self, directory: Path, *, workers: int = 1, **config: Any) -> None:
        self.clock = FakeClock()
        self.store = Memory(MemoryConfig())
        self.directory = directory
        self.workers = workers
        self.book = File(FileConfig("book.jsonl"))
        self.stage = TargetDomains(TargetDomainsConfig(**config))

    async def open(self) -> Rules:
        context = StageContext(
            id="target-urls",
            clock=self.clock,
            transport=ScriptedTransport(),
            fetch_secret=lambda ref: (_ for _ in ()).throw(AssertionError(ref)),
            state=lambda name: self.store,
            directory=self.directory,
            workers=self.workers,
            domains=lambda: self.book,
        )
        await self.book.open(context)
        await self.store.open(context)
        await self.stage.open(context)
        await asyncio.sleep(0)  # so that it waits for the clock before anybody moves it
        return self

    async def ask(self, host: str, who: str = "alice", **principal: Any) -> dict[str, str]:
        exchange = Exchange(os.urandom(8).hex(), Operation.RELAY, "target", self.clock.now(), self.clock.monotonic())
        row = "openai" if host == "api.openai.com" else ""
        exchange.target = Target(f"https://{host}", host, 443, row=row)
        exchange.principal = Principal(who, "keys", **principal)
        view = ExchangeView(exchange)
        assert await self.stage.before_request(view, REQUEST) is None
        noted: dict[str, str] = view.notes("target-domains")["metadata"]
        return noted


Opened: TypeAlias = Callable[..., Awaitable[Rules]]


@pytest.fixture
async def opened(tmp_path: Path) -> AsyncIterator[Opened]:
    """Opens the interceptor with a config, and closes what was opened."""
    made: list[Rules] = []

    async def open_one(**config: Any) -> Rules:
        made.append(Rules(tmp_path, **config))
        return await made[-1].open()

    yield open_one
    for one in made:
        await one.stage.aclose()


async def test_what_names_no_target_is_none_of_its_business(opened: Opened) -> None:
    rules = await opened(unapproved="refuse")
    view = ExchangeView(Exchange("1", Operation.CHAT, "openai", 0, 0))
    assert await rules.stage.before_request(view, REQUEST) is None
    assert view.notes("target-domains") == {}


async def test_approved_domains_are_not_counted(opened: Opened) -> None:
    rules = await opened(domains=[".corp.example"])
    for _ in range(50):
        assert (await rules.ask("api.openai.com"))["domain"] == "approved"
        assert (await rules.ask("a.corp.example"))["domain"] == "approved"


async def test_one_request_a_second_for_each_caller_over_all_other_domains(opened: Opened) -> None:
    rules = await opened()
    assert (await rules.ask("a.example"))["domain"] == "unapproved"
    with pytest.raises(RateLimitError, match=r"'b\.example' is not approved: 1 requests in a second") as caught:
        await rules.ask("b.example")
    assert caught.value.retry_after == pytest.approx(1.0)
    await rules.ask("a.example", "bob")
    rules.clock.advance(1.0)
    await rules.ask("b.example")


async def test_ten_thousand_a_day_and_not_one_more(opened: Opened) -> None:
    rules = await opened(per_day=5)
    rules.clock.advance(86400 - rules.clock.now() % 86400)
    for _ in range(5):
        await rules.ask("a.example")
        rules.clock.advance(2)
    with pytest.raises(RateLimitError) as caught:
        await rules.ask("a.example")
    assert caught.value.retry_after == pytest.approx(86400 - 10)
    await rules.ask("a.example", "bob")
    rules.clock.advance(86400 - 10)
    await rules.ask("a.example")
    assert TargetDomainsConfig().per_day == 10_000


async def test_a_hundred_at_once_get_one_through(opened: Opened) -> None:
    rules = await opened()
    results = await asyncio.gather(*(rules.ask("a.example") for _ in range(100)), return_exceptions=True)
    assert sum(not isinstance(result, RateLimitError) for result in results) == 1


async def test_a_tenant_counts_as_one_where_the_auth_provider_names_it(opened: Opened) -> None:
    rules = await opened()
    await rules.ask("a.example", "alice", attributes={"tenant": "acme"})
    with pytest.raises(RateLimitError):
        await rules.ask("a.example", "bob", attributes={"tenant": "acme"})


async def test_the_operator_may_refuse_them(opened: Opened) -> None:
    rules = await opened(unapproved="refuse")
    with pytest.raises(PermissionDeniedError, match="llmgate domains") as caught:
        await rules.ask("a.example")
    assert caught.value.code == "domain_not_approved"
    assert not rules.stage.strict_state, "nothing is counted, so nothing must be shared"
    assert TargetDomains(TargetDomainsConfig()).strict_state


async def test_workers_divide_what_they_cannot_share(opened: Opened) -> None:
    rules = await opened(workers=4, per_day=8)
    await rules.ask("a.example")
    rules.clock.advance(1.0)
    with pytest.raises(RateLimitError):
        await rules.ask("a.example")
    rules.clock.advance(3.0)
    await rules.ask("a.example")
    rules.clock.advance(4.0)
    with pytest.raises(RateLimitError):
        await rules.ask("a.example")
    with pytest.raises(ConfigError, match="cannot be divided among 4 workers"):
        await opened(workers=4, per_day=3)


@pytest.mark.parametrize("policy", ["deny", "allow"])
async def test_a_store_that_fails_is_treated_as_the_operator_says(opened: Opened, policy: str) -> None:
    rules = await opened(on_failure=policy)

    async def fail(*_: Any, **__: Any) -> Any:
        raise OSError("gone")

    vars(rules.store)["acquire"] = fail
    if policy == "allow":
        await rules.ask("a.example")
    else:
        with pytest.raises(RateLimitUnknownError):
            await rules.ask("a.example")


async def test_what_is_decided_in_the_book_holds_within_a_second(opened: Opened, tmp_path: Path) -> None:
    rules = await opened(unapproved="refuse")
    with pytest.raises(PermissionDeniedError):
        await rules.ask("a.example")
    await rules.book.append(DomainEvent("2026-01-01T00:00:00Z", "a.example", "approved"))
    await rules.clock.advance(1.0)
    assert (await rules.ask("a.example"))["domain"] == "approved"
    with pytest.raises(PermissionDeniedError):
        await rules.ask("b.a.example")
    await rules.book.append(DomainEvent("2026-01-02T00:00:00Z", "a.example", "denied"))
    await rules.book.append(DomainEvent("2026-01-02T00:00:00Z", "api.openai.com", "denied"))
    await rules.clock.advance(1.0)
    for host in ("a.example", "api.openai.com"):
        with pytest.raises(PermissionDeniedError) as caught:
            await rules.ask(host)
        assert caught.value.code == "domain_denied"
    (tmp_path / "book.jsonl").write_text("rubbish\nmore\n")
    await rules.clock.advance(1.0)
    with pytest.raises(PermissionDeniedError):
        await rules.ask("a.example")
    with pytest.raises(ConfigError, match=r"book\.jsonl:1"):
        await opened()
