"""Requests to approved domains pass freely; those to others are counted for each caller, and the counts hold."""

from __future__ import annotations

import asyncio
import json
import os
from pathlib import Path
from typing import Any

import attrs
import pytest

from llmgate.spec import (
    ConfigError,
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
from llmgate.stages.interceptors.rate_limit import RateLimitUnknownError
from llmgate.stages.interceptors.target_domains import (
    DomainBook,
    DomainEvent,
    TargetDomains,
    TargetDomainsConfig,
    standings,
)
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
        )
        await self.store.open(context)
        await self.stage.open(context)
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


async def test_what_names_no_target_is_none_of_its_business(tmp_path: Path) -> None:
    rules = await Rules(tmp_path, unapproved="refuse").open()
    view = ExchangeView(Exchange("1", Operation.CHAT, "openai", 0, 0))
    assert await rules.stage.before_request(view, REQUEST) is None
    assert view.notes("target-domains") == {}


async def test_approved_domains_are_not_counted(tmp_path: Path) -> None:
    rules = await Rules(tmp_path, domains=[".corp.example"]).open()
    for _ in range(50):
        assert (await rules.ask("api.openai.com"))["domain"] == "approved"
        assert (await rules.ask("a.corp.example"))["domain"] == "approved"


async def test_one_request_a_second_for_each_caller_over_all_other_domains(tmp_path: Path) -> None:
    rules = await Rules(tmp_path).open()
    assert (await rules.ask("a.example"))["domain"] == "unapproved"
    with pytest.raises(RateLimitError, match=r"'b\.example' is not approved: 1 requests in a second") as caught:
        await rules.ask("b.example")
    assert caught.value.retry_after == pytest.approx(1.0)
    await rules.ask("a.example", "bob")
    rules.clock.advance(1.0)
    await rules.ask("b.example")


async def test_ten_thousand_a_day_and_not_one_more(tmp_path: Path) -> None:
    rules = await Rules(tmp_path, per_day=5).open()
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


async def test_a_hundred_at_once_get_one_through(tmp_path: Path) -> None:
    rules = await Rules(tmp_path).open()
    results = await asyncio.gather(*(rules.ask("a.example") for _ in range(100)), return_exceptions=True)
    assert sum(not isinstance(result, RateLimitError) for result in results) == 1


async def test_a_tenant_counts_as_one_where_the_auth_provider_names_it(tmp_path: Path) -> None:
    rules = await Rules(tmp_path).open()
    await rules.ask("a.example", "alice", attributes={"tenant": "acme"})
    with pytest.raises(RateLimitError):
        await rules.ask("a.example", "bob", attributes={"tenant": "acme"})


async def test_the_operator_may_refuse_them(tmp_path: Path) -> None:
    rules = await Rules(tmp_path, unapproved="refuse").open()
    with pytest.raises(PermissionDeniedError, match="llmgate domains") as caught:
        await rules.ask("a.example")
    assert caught.value.code == "domain_not_approved"
    assert not rules.stage.strict_state, "nothing is counted, so nothing must be shared"
    assert TargetDomains(TargetDomainsConfig()).strict_state


async def test_workers_divide_what_they_cannot_share(tmp_path: Path) -> None:
    rules = await Rules(tmp_path, workers=4, per_day=8).open()
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
        await Rules(tmp_path, workers=4, per_day=3).open()


@pytest.mark.parametrize("policy", ["deny", "allow"])
async def test_a_store_that_fails_is_treated_as_the_operator_says(tmp_path: Path, policy: str) -> None:
    rules = await Rules(tmp_path, on_failure=policy).open()

    async def fail(*_: Any, **__: Any) -> Any:
        raise OSError("gone")

    vars(rules.store)["acquire"] = fail
    if policy == "allow":
        await rules.ask("a.example")
    else:
        with pytest.raises(RateLimitUnknownError):
            await rules.ask("a.example")


async def test_what_is_decided_in_the_book_holds_within_a_second(tmp_path: Path) -> None:
    rules = await Rules(tmp_path, unapproved="refuse", book="book.jsonl").open()
    book = DomainBook(tmp_path / "book.jsonl")
    with pytest.raises(PermissionDeniedError):
        await rules.ask("a.example")
    book.append(DomainEvent("2026-01-01T00:00:00Z", "a.example", "approved"))
    rules.clock.advance(1.1)
    assert (await rules.ask("a.example"))["domain"] == "approved"
    with pytest.raises(PermissionDeniedError):
        await rules.ask("b.a.example")
    book.append(DomainEvent("2026-01-02T00:00:00Z", "a.example", "denied"))
    book.append(DomainEvent("2026-01-02T00:00:00Z", "api.openai.com", "denied"))
    rules.clock.advance(1.1)
    for host in ("a.example", "api.openai.com"):
        with pytest.raises(PermissionDeniedError) as caught:
            await rules.ask(host)
        assert caught.value.code == "domain_denied"
    (tmp_path / "book.jsonl").write_text("rubbish\nmore\n")
    rules.clock.advance(1.1)
    with pytest.raises(PermissionDeniedError):
        await rules.ask("a.example")
    with pytest.raises(ConfigError, match=r"book\.jsonl:1"):
        await Rules(tmp_path, book="book.jsonl").open()


def test_what_the_lines_come_to() -> None:
    events = [
        DomainEvent("1", "a.example", "requested", by="x", token="t", note="Acme"),
        DomainEvent("2", "a.example", "verified", proof="t"),
        DomainEvent("3", "a.example", "approved", by="y"),
        DomainEvent("4", "a.example", "requested", token="u"),
        DomainEvent("5", "b.example", "denied", note="no"),
        DomainEvent("6", "b.example", "requested", token="v"),
        DomainEvent("7", "c.example", "verified"),
    ]
    found = standings(events)
    assert list(found) == ["a.example", "b.example", "c.example"]
    a, b, c = found.values()
    assert (a.approved, a.proven, a.token, a.note, a.by, a.since) == (True, "2", "u", "Acme", "y", "3")
    assert (b.denied, b.token, b.note) == (True, "v", "no"), "who asks again changes nothing of a decision"
    assert (c.approved, c.denied, c.proven) == (False, False, "7")


def test_the_book_only_grows_and_survives_a_line_that_was_cut_off(tmp_path: Path) -> None:
    book = DomainBook(tmp_path / "book.jsonl")
    assert book.read() == ()
    first = DomainEvent("1", "a.example", "requested", token="t")
    book.append(first)
    assert (tmp_path / "book.jsonl").stat().st_mode & 0o777 == 0o600
    with (tmp_path / "book.jsonl").open("ab") as file:
        file.write(b'{"at": "2", "dom')
    assert list(book.read()) == [first]
    second = DomainEvent("3", "a.example", "approved", by="me", note="fine")
    book.append(second)
    lines = (tmp_path / "book.jsonl").read_bytes().splitlines()
    assert json.loads(lines[-1]) == {"at": "3", "domain": "a.example", "action": "approved", "by": "me", "note": "fine"}
    assert list(book.read()) == [first, second]


@pytest.mark.parametrize(
    "line",
    [
        '{"at": "1"}',
        "[]",
        '{"at": 1, "domain": "a", "action": "approved"}',
        '{"at": "1", "domain": "a", "action": "x"}',
    ],
)
def test_a_line_that_is_no_event_is_named(tmp_path: Path, line: str) -> None:
    path = tmp_path / "book.jsonl"
    path.write_text(f"{line}\n\n" + json.dumps(attrs.asdict(DomainEvent("1", "a", "denied"))) + "\n")
    with pytest.raises(ConfigError, match=r"book\.jsonl:1"):
        DomainBook(path).read()


def test_a_book_that_cannot_be_read_or_written_says_so(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    with pytest.raises(ConfigError, match="cannot be read"):
        DomainBook(tmp_path / "folder").read()
    with pytest.raises(ConfigError, match="cannot be written"):
        DomainBook(tmp_path / "none" / "book").append(DomainEvent("1", "a", "denied"))
