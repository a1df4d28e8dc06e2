"""Real databases: a file of SQLite's, PostgreSQL and MariaDB on loopback; each test has a database of its own there."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any, TypeAlias

import pytest
from llmgate_store.config import DatabaseConfig, IssuedKeysConfig
from llmgate_store.database import Database
from llmgate_store.keys.book import KeyBook
from llmgate_store.keys.grant import Grant
from llmgate_store.keys.provider import IssuedKeys

from llmgate.spec import Peppers, StageContext

sys.path.insert(0, str(Path(__file__).parent))

from store_bench import (
    PATIENCE,
    PEPPER,
    SERVERS,
    empty_tables,
    make_context,
    make_tables,
    making_database,
)


@pytest.fixture(params=["sqlite", *SERVERS])
def empty_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """The address of an empty database, on each of the servers in turn."""
    with making_database(request.param, tmp_path) as address:
        yield address


@pytest.fixture(scope="session", params=["sqlite", "postgresql", "mariadb"])
def kept_url(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a database with its tables, on each of the servers in turn."""
    with making_database(request.param, tmp_path_factory.mktemp("database")) as address:
        asyncio.run(make_tables(address))
        yield address


@pytest.fixture
def url(kept_url: str) -> str:
    """The address of a database with its tables, which are empty."""
    asyncio.run(empty_tables(kept_url))
    return kept_url


@pytest.fixture
def context(tmp_path: Path) -> StageContext:
    """What a stage is opened with, in a directory of the test's own."""
    return make_context(tmp_path)


@pytest.fixture
async def database(url: str, context: StageContext) -> AsyncIterator[Database]:
    """A database with its tables."""
    database = Database(DatabaseConfig(url=url, timeout=PATIENCE), context)
    await database.open()
    yield database
    await database.aclose()


@pytest.fixture
def book(database: Database, context: StageContext) -> KeyBook:
    """The keys in it."""
    return KeyBook(database, context.clock)


@pytest.fixture
def peppers() -> Peppers:
    """What keys are hashed with."""
    return Peppers([PEPPER.encode()])


@pytest.fixture
def grant() -> Grant:
    """What a key allows."""
    return Grant(label="laptop", owner="jane", issued_by="root")


OpenKeys: TypeAlias = Callable[..., Awaitable[IssuedKeys]]


@pytest.fixture
async def open_keys(url: str, context: StageContext) -> AsyncIterator[OpenKeys]:
    """Opens auth providers on the test's database, as processes of their own would."""
    async with AsyncExitStack() as stack:

        async def open_one(context: StageContext = context, **keys: Any) -> IssuedKeys:
            stage = IssuedKeys(IssuedKeysConfig(database=DatabaseConfig(url=url, timeout=PATIENCE), **keys))
            stack.push_async_callback(stage.aclose)
            await stage.open(context)
            return stage

        yield open_one
