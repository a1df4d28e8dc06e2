"""The book of domains in the database: shared by gateways, only ever added to, and what was read holds without it."""

from __future__ import annotations

import asyncio
import json
import sqlite3
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, closing
from pathlib import Path
from typing import Any, TypeAlias

import pytest
import sqlalchemy as sa
from falling_door import FallingDoor
from llmgate_store.config import DatabaseConfig, SqlDomainsConfig
from llmgate_store.database import Database
from llmgate_store.domains.book import DomainChangeError, SqlDomains
from llmgate_store.errors import StoreUnavailableError
from llmgate_store.tables import domain_events
from store_bench import PATIENCE

import llmgate
from llmgate.cli import main
from llmgate.spec import DomainEvent, GatewayClosedError, StageContext, standings
from llmgate.testing import FakeClock

OpenBook: TypeAlias = Callable[..., Awaitable[SqlDomains]]
DENIED = DomainEvent("2026-01-01T00:00:00+00:00", "a.example", "denied", by="Ärztin", note="Ключ 🔑")


@pytest.fixture
async def open_book(url: str, context: StageContext) -> AsyncIterator[OpenBook]:
    """Opens books on the test's database, as processes of their own would."""
    async with AsyncExitStack() as stack:

        async def open_one(address: str = url, timeout: float = PATIENCE) -> SqlDomains:
            book = SqlDomains(SqlDomainsConfig(DatabaseConfig(url=address, timeout=timeout)))
            stack.push_async_callback(book.aclose)
            await book.open(context)
            return book

        yield open_one


async def test_what_one_process_writes_another_reads_in_its_order(open_book: OpenBook) -> None:
    here, there = await open_book(), await open_book()
    assert (await there.revision(), list(await there.read())) == (0, [])
    later = DomainEvent("2025-01-01T00:00:00+00:00", "a.example", "approved", proof="x", token="y")
    await here.append(DENIED)
    await here.append(later)
    assert await there.revision() == 2
    assert list(await there.read()) == [DENIED, later]
    assert standings(await there.read())["a.example"].approved


async def test_of_many_who_add_at_once_each_is_kept(open_book: OpenBook, database: Database) -> None:
    books = [await open_book() for _ in range(3)]
    events = [DomainEvent("2026", f"{number}.example", "denied") for number in range(24)]
    await asyncio.gather(*(books[at % 3].append(event) for at, event in enumerate(events)))
    async with database.read() as connection:
        numbers = (await connection.execute(sa.select(domain_events.c.number))).scalars().all()
    assert sorted(numbers) == list(range(1, 25))
    assert {one.domain for one in await books[0].read()} == {one.domain for one in events}


@pytest.mark.parametrize(("field", "length"), [("note", 2000), ("by", 200), ("proof", 500), ("token", 64)])
async def test_what_no_column_holds_is_refused_alike_everywhere(open_book: OpenBook, field: str, length: int) -> None:
    book = await open_book()
    whole: dict[str, Any] = {"at": "2026", "domain": "a.example", "action": "denied"}
    await book.append(DomainEvent(**whole, **{field: "x" * length}))
    with pytest.raises(DomainChangeError, match=f"{field}: {length} characters at most"):
        await book.append(DomainEvent(**whole, **{field: "x" * (length + 1)}))
    assert [getattr(one, field) for one in await book.read()] == ["x" * length]


async def test_a_row_that_is_no_event_is_said(open_book: OpenBook, database: Database) -> None:
    book = await open_book()
    await book.append(DENIED)
    async with database.write() as connection:
        await connection.execute(sa.update(domain_events).values(action="allowed"))
    with pytest.raises(DomainChangeError, match="domain_events is no event"):
        await book.read()


async def test_a_book_that_is_closed_says_so(open_book: OpenBook) -> None:
    book = await open_book()
    await book.aclose()
    with pytest.raises(GatewayClosedError):
        await book.read()


@pytest.fixture
async def door(url: str) -> AsyncIterator[FallingDoor]:
    """The test's database behind a door."""
    door = FallingDoor(url)
    await door.lift()
    yield door
    await door.leave()


async def test_what_was_read_holds_while_the_database_is_away(open_book: OpenBook, door: FallingDoor, url: str) -> None:
    """A gateway whose database falls away goes on by what it knows, and learns what it has missed without a restart."""
    clock = FakeClock()
    source = {
        "providers": {"echo": {}},
        "target-urls": {
            "unapproved": "refuse",
            "book": {"use": "sql-domains", "database": {"url": door.url, "timeout": 1}},
        },
    }
    writer = await open_book()
    await writer.append(DENIED)
    async with llmgate.Pipeline.from_config(source, environment={}, clock=clock) as pipeline:
        rules = next(one.stage for one in pipeline.snapshot.placed if one.entry.use == "target-domains")
        await asyncio.sleep(0)  # so that it waits for the clock before anybody moves it
        assert known(rules) == {"a.example": "denied"}
        if url.startswith("sqlite"):
            return  # a file has no connections that could be cut
        await door.drop()
        await writer.append(DomainEvent("2026", "a.example", "approved"))
        await writer.append(DomainEvent("2026", "b.example", "denied"))
        for _ in range(4):
            await clock.advance(1)
            await asyncio.sleep(0.05)
        assert known(rules) == {"a.example": "denied"}
        with pytest.raises(StoreUnavailableError):
            await pipeline.snapshot.domains.revision()  # type: ignore[union-attr]
        await door.lift()
        async with asyncio.timeout(PATIENCE):
            while known(rules) != {"a.example": "approved", "b.example": "denied"}:
                await clock.advance(1)
                await asyncio.sleep(0.05)


def known(rules: Any) -> dict[str, str]:
    return {name: one.action for name, one in rules._standings.items()}


def test_the_commands_work_on_the_database(url: str, tmp_path: Path, monkeypatch, capsys) -> None:
    """``llmgate domains`` asks and decides as on a file; every step is a row."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LLMGATE_DATABASE_URL", url)
    (tmp_path / "llmgate.yaml").write_text("providers: {echo: {}}\ntarget-urls: {book: {use: sql-domains}}\n")
    assert main(["domains", "request", "api.example.com", "--note", "Acme", "--by", "ann"]) == 0
    assert "llmgate-verification=" in capsys.readouterr().out
    assert main(["domains", "approve", "api.example.com"]) == 1
    assert "nothing proves yet" in capsys.readouterr().err
    assert main(["domains", "approve", "api.example.com", "--without-proof", "--by", "bob"]) == 0
    assert main(["domains", "deny", "evil.example"]) == 0
    capsys.readouterr()
    assert main(["domains", "list", "--json"]) == 0
    found = {one["domain"]: (one["action"], one["by"]) for one in json.loads(capsys.readouterr().out)}
    assert found["api.example.com"] == ("approved", "bob")
    assert found["evil.example"][0] == "denied"
    assert not (tmp_path / "llmgate-domains.jsonl").exists()
    assert main(["db", "status"]) == 0


def test_the_tables_of_before_are_brought_up(tmp_path: Path, monkeypatch, capsys) -> None:
    """A database made by the version before gets the table, and loses nothing."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("LLMGATE_DATABASE_URL", raising=False)
    (tmp_path / "llmgate.yaml").write_text("providers: {echo: {}}\ntarget-urls: {book: {use: sql-domains}}\n")
    assert main(["db", "upgrade"]) == 0
    with closing(sqlite3.connect(tmp_path / "llmgate.db")) as connection, connection:
        connection.execute("DROP TABLE domain_events")
        connection.execute("DROP TABLE usage_blocks")
        connection.execute("ALTER TABLE payloads DROP COLUMN format")
        connection.execute("DELETE FROM store_revisions WHERE subject = 'domains'")
        connection.execute("UPDATE store_revisions SET revision = 7 WHERE subject = 'vault'")
        connection.execute("UPDATE llmgate_schema SET version_num = '0004'")
    assert main(["db", "status"]) == 1
    assert main(["domains", "deny", "a.example"]) == 0
    assert main(["db", "status"]) == 0
    with closing(sqlite3.connect(tmp_path / "llmgate.db")) as connection:
        assert dict(connection.execute("SELECT subject, revision FROM store_revisions"))["vault"] == 7
    capsys.readouterr()
