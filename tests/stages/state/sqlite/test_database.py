"""The file: whose it is, what it may be, and what becomes of work that fails."""

from __future__ import annotations

import asyncio
import sqlite3
import stat

import pytest

from llmgate.spec import GatewayClosedError, PluginError
from llmgate.stages.state.sqlite.database import Database, StateFileError


@pytest.fixture
async def database(tmp_path):
    one = Database("state.disk", tmp_path / "s.db", 0.05)
    await one.open()
    yield one
    await one.aclose()


def insert(file):
    return file.execute("INSERT INTO counters VALUES (x'00', 1, 1e9)")


async def test_it_is_its_owners_alone(database, tmp_path):
    await database.run(insert)
    assert {stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()} == {0o600}


async def test_work_that_fails_leaves_nothing(database):
    def half(file):
        insert(file)
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        await database.run(half)
    assert await database.run(lambda file: file.execute("SELECT count(*) FROM counters").fetchone()) == (0,)
    await database.run(insert)
    assert await database.run(lambda file: file.execute("SELECT entries FROM totals").fetchone()) == (1,)


async def test_a_file_that_another_holds_is_waited_for_and_no_longer(database, tmp_path):
    with sqlite3.connect(tmp_path / "s.db", isolation_level=None) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(StateFileError, match="cannot use its file now: database is locked") as refused:
            await database.run(insert)
        assert refused.value.http_status == 503
        other.execute("ROLLBACK")
    other.close()
    await database.run(insert)


@pytest.mark.parametrize("content", [b"not a database at all, but long enough to be taken for one" * 40, None])
async def test_a_file_of_something_else_is_left_alone(tmp_path, content):
    path = tmp_path / "other.db"
    if content is None:
        with sqlite3.connect(path) as other:
            other.execute("CREATE TABLE mine (a)")
        other.close()
    else:
        path.write_bytes(content)
    before = path.read_bytes()
    with pytest.raises(PluginError, match=r"state\.disk: .*other\.db cannot be used as a state store"):
        await Database("state.disk", path, 0.05).open()
    assert path.read_bytes() == before


async def test_a_file_of_a_newer_version_is_left_alone(database, tmp_path):
    await database.run(lambda file: file.execute("PRAGMA user_version=99"))
    with pytest.raises(PluginError, match="a newer version of llmgate has written it"):
        await Database("state.disk", tmp_path / "s.db", 0.05).open()


async def test_a_directory_that_is_not_there_is_said(tmp_path):
    with pytest.raises(PluginError, match=r"cannot be used as a state store: .*No such file"):
        await Database("state.disk", tmp_path / "none" / "s.db", 0.05).open()


async def test_many_may_open_it_at_once(tmp_path):
    several = [Database(f"{number}", tmp_path / "new.db", 0.25) for number in range(5)]
    await asyncio.gather(*(one.open() for one in several))
    await asyncio.gather(*(one.aclose() for one in several))


async def test_a_closed_one_says_so(database):
    await database.aclose()
    with pytest.raises(GatewayClosedError):
        await database.run(insert)
