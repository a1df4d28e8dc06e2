"""Databases: found by their addresses, migrated by one process at a time, silent about themselves when they fail."""

from __future__ import annotations

import asyncio
import importlib
import logging
import os
import socket
import stat
import subprocess
import sys
from pathlib import Path

import pytest
import sqlalchemy as sa
from llmgate_store import migrations
from llmgate_store.config import KEYS, DatabaseConfig
from llmgate_store.database import Database, address_of
from llmgate_store.errors import StoreUnavailableError
from llmgate_store.schema import VERSION_TABLE, VERSIONS, current, make, upgrade, wanted
from llmgate_store.tables import issued_keys, metadata, revisions
from store_bench import PATIENCE, make_context

from llmgate.spec import ConfigError, GatewayClosedError, PluginError, SecretRef, StageContext


@pytest.mark.parametrize(
    "url",
    [
        "llmgate.db",
        "sqlite://",
        "sqlite:///:memory:",
        "sqlite://host/x.db",
        "sqlite:///x.db?mode=ro",
        "oracle://h/d",
        "postgresql://host",
        "postgresql:///d",
        "mysql+pymysql://h/d",
        "postgresql://user:secret@host/d",
    ],
)
def test_an_address_that_cannot_be_used_is_refused_without_being_shown(url):
    with pytest.raises(ValueError, match="url: ") as caught:
        DatabaseConfig(url=url)
    assert "secret" not in str(caught.value)


async def test_the_address_comes_from_the_file_a_reference_or_the_environment(tmp_path: Path):
    secret = "postgresql://u:p%40ss@h:1/d?ssl=require"
    context = make_context(tmp_path, secrets={"env:URL": secret}, environment={"LLMGATE_DATABASE_URL": "mysql://u@h/d"})
    written = await address_of(DatabaseConfig(url="mariadb://u@h/d"), context)
    assert written.drivername == "mariadb+asyncmy"
    referred = await address_of(DatabaseConfig(url_from=SecretRef("env", "URL")), context)
    assert (referred.drivername, referred.password, referred.port) == ("postgresql+asyncpg", "p@ss", 1)
    assert (await address_of(DatabaseConfig(), context)).drivername == "mysql+asyncmy"
    usual = await address_of(DatabaseConfig(), make_context(tmp_path))
    assert usual.database == str(tmp_path / "llmgate.db")


async def test_a_reference_to_a_wrong_address_is_named_and_not_shown(tmp_path: Path):
    context = make_context(tmp_path, secrets={"env:URL": "postgresql://user:hunter2@/"})
    with pytest.raises(ConfigError, match=r"auth\[0\]: env:URL: ") as caught:
        await address_of(DatabaseConfig(url_from=SecretRef("env", "URL")), context)
    assert "hunter2" not in str(caught.value)


async def test_the_migrations_make_what_the_tables_say(database: Database):
    def differences(connection: sa.Connection) -> list[str]:
        inspector = sa.inspect(connection)
        there = {
            name: {one["name"]: one for one in inspector.get_columns(name)} for name in inspector.get_table_names()
        }
        assert set(there) == {*metadata.tables, VERSION_TABLE}
        found = []
        for name, table in metadata.tables.items():
            if [one.name for one in table.columns] != list(there[name]):
                found.append(f"{name}: {list(there[name])}")
            found += [
                f"{name}.{one.name}: nullable"
                for one in table.columns
                if there[name][one.name]["nullable"] != one.nullable
            ]
            indexed = {tuple(one["column_names"]) for one in inspector.get_indexes(name)}
            found += [
                f"{name}.{one.name}: no index" for one in table.columns if one.index and (one.name,) not in indexed
            ]
        return found

    async with database.read() as connection:
        assert await connection.run_sync(differences) == []
        assert await connection.run_sync(current) == wanted()


def shape_of(connection: sa.Connection) -> dict[str, object]:
    """Everything that a database tells of its tables, and the rows that they begin with."""
    inspector = sa.inspect(connection)
    shape: dict[str, object] = {}
    for name in sorted(inspector.get_table_names()):
        columns = [{**one, "type": repr(one["type"])} for one in inspector.get_columns(name)]
        indexes = sorted(map(repr, inspector.get_indexes(name)))
        shape[name] = (columns, indexes, inspector.get_pk_constraint(name), inspector.get_table_options(name))
    shape["rows"] = sorted(map(tuple, connection.execute(sa.select(revisions))))
    shape["version"] = current(connection)
    return shape


async def test_an_empty_database_gets_the_tables_that_the_migrations_would_make(empty_url: str, context: StageContext):
    database = await Database(DatabaseConfig(url=empty_url, timeout=PATIENCE), context).open(migrations="never")
    shapes = []
    for how in (make, upgrade):
        async with database.write(PATIENCE) as connection:
            await connection.run_sync(how)
            shapes.append(await connection.run_sync(shape_of))
            await connection.execute(sa.text(f"DROP TABLE {VERSION_TABLE}"))
            await connection.run_sync(metadata.drop_all)
    await database.aclose()
    assert shapes[0] == shapes[1]


def test_the_versions_are_those_of_the_migrations():
    folder = Path(migrations.__file__).parent / "versions"
    assert [one.name[:4] for one in sorted(folder.glob("[0-9]*.py"))] == list(VERSIONS)
    found = [
        importlib.import_module(f"llmgate_store.migrations.versions.{one.stem}")
        for one in sorted(folder.glob("[0-9]*.py"))
    ]
    assert [one.revision for one in found] == list(VERSIONS)
    assert [one.down_revision for one in found] == [None, *VERSIONS[:-1]]


def test_tables_that_are_there_load_no_alembic(tmp_path: Path):
    program = (
        "import asyncio, pathlib, sys\n"
        "from llmgate_store.config import DatabaseConfig\n"
        "from llmgate_store.database import Database\n"
        "from store_bench import make_context\n"
        "async def main():\n"
        "    for how in ('at-start', 'at-start', 'by-hand'):\n"
        "        config = DatabaseConfig(url='sqlite:///there.db', migrations=how, open_timeout=60)\n"
        "        database = await Database(config, make_context(pathlib.Path.cwd())).open()\n"
        "        await database.aclose()\n"
        "asyncio.run(main())\n"
        "print('alembic' in sys.modules)"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(Path(__file__).parent), *sys.path])}
    command = [sys.executable, "-c", program]
    shown = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True, env=environment, cwd=tmp_path)
    assert shown.stdout.strip() == "False"


async def test_many_processes_may_start_at_once(empty_url: str, context: StageContext):
    config = DatabaseConfig(url=empty_url, timeout=PATIENCE, open_timeout=60)
    databases = [Database(config, context) for _ in range(5)]
    await asyncio.gather(*(one.open() for one in databases))
    async with databases[0].read() as connection:
        rows = (await connection.execute(sa.select(revisions))).all()
    assert [row.subject for row in rows].count(KEYS) == 1
    await asyncio.gather(*(one.aclose() for one in databases))


async def test_by_hand_an_empty_database_is_refused_and_left_as_it_is(empty_url: str, context: StageContext):
    database = Database(DatabaseConfig(url=empty_url, migrations="by-hand", timeout=PATIENCE), context)
    with pytest.raises(PluginError, match=r"version none.*llmgate db upgrade"):
        await database.open()
    async with database.read() as connection:
        assert await connection.run_sync(lambda one: sa.inspect(one).get_table_names()) == []
    await database.aclose()
    await database.open(migrations="at-start")
    await database.aclose()
    await database.open()
    await database.aclose()


async def test_tables_of_a_version_that_is_not_known_are_left_alone(empty_url: str, context: StageContext):
    database = await Database(DatabaseConfig(url=empty_url, timeout=PATIENCE), context).open()
    async with database.write() as connection:
        await connection.execute(sa.text(f"UPDATE {VERSION_TABLE} SET version_num = '9999'"))
    for how in ("at-start", "by-hand"):
        other = Database(DatabaseConfig(url=empty_url, migrations=how, timeout=PATIENCE), context)
        with pytest.raises(PluginError, match=r"9999.*install the newer"):
            await other.open()
        await other.aclose()
    await database.aclose()


async def test_what_fails_in_a_transaction_is_undone(database: Database):
    with pytest.raises(ZeroDivisionError):  # noqa: PT012 - the block is what is undone
        async with database.write() as connection:
            assert await database.raise_revision(connection, KEYS) == 1
            raise ZeroDivisionError
    async with database.write() as connection:
        assert await database.raise_revision(connection, KEYS) == 1


async def test_writers_are_put_in_order(database: Database):
    async def write() -> int:
        async with database.write(60) as connection:
            return await database.raise_revision(connection, KEYS)

    assert sorted(await asyncio.gather(*(write() for _ in range(20)))) == list(range(1, 21))


async def test_text_tells_upper_from_lower_case(database: Database):
    async with database.read() as connection:
        row = sa.select(revisions.c.revision).where(revisions.c.subject == "KEYS")
        assert (await connection.execute(row)).all() == []


async def test_a_database_that_does_not_answer_is_an_error_in_time_that_shows_nothing(tmp_path: Path, caplog):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        for scheme in ("postgresql", "mysql"):
            context = make_context(tmp_path, secrets={"env:URL": f"{scheme}://jane:hunter2@127.0.0.1:{port}/private"})
            config = DatabaseConfig(url_from=SecretRef("env", "URL"), timeout=0.2, open_timeout=0.2)
            database = Database(config, context)
            with caplog.at_level(logging.DEBUG), pytest.raises(StoreUnavailableError, match="in time") as caught:
                await database.open()
            assert caught.value.status_code == 503
            for shown in (str(caught.value), caplog.text):
                assert not [word for word in ("jane", "hunter2", "private", str(port)) if word in shown]
            await database.aclose()


async def test_a_database_that_refuses_is_an_error(tmp_path: Path):
    config = DatabaseConfig(url="postgresql://nobody@127.0.0.1:1/x", open_timeout=5)
    database = Database(config, make_context(tmp_path))
    with pytest.raises(StoreUnavailableError, match="cannot be reached"):
        await database.open()
    await database.aclose()


async def test_a_file_is_its_owners_alone_and_its_directory_must_be_there(tmp_path: Path):
    database = await Database(DatabaseConfig(url="sqlite:///own.db"), make_context(tmp_path)).open()
    for path in tmp_path.glob("own.db*"):  # noqa: ASYNC240 - nobody else runs
        assert stat.S_IMODE(path.stat().st_mode) == 0o600, path
    await database.aclose()
    lost = Database(DatabaseConfig(url="sqlite:///no/such/place.db"), make_context(tmp_path))
    with pytest.raises(ConfigError, match=r"place\.db cannot be made: No such file or directory"):
        await lost.open()


async def test_a_closed_database_says_so(tmp_path: Path):
    database = Database(DatabaseConfig(), make_context(tmp_path))
    with pytest.raises(GatewayClosedError, match="not open"):
        async with database.read():
            pass
    await database.aclose()


async def test_a_failed_statement_shows_no_value(database: Database, caplog):
    with caplog.at_level(logging.DEBUG), pytest.raises(StoreUnavailableError) as caught:
        async with database.write() as connection:
            await connection.execute(sa.insert(issued_keys).values(public_id="canary-value" * 50, label="canary-value"))
    assert "canary-value" not in f"{caught.value} {caplog.text}"


def test_checking_a_configuration_loads_no_database():
    program = (
        "import sys, llmgate_store\n"
        "llmgate_store.IssuedKeys(llmgate_store.IssuedKeysConfig())\n"
        "print([name for name in ('sqlalchemy', 'alembic', 'cryptography') if name in sys.modules])"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    shown = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, env=environment, timeout=150
    )
    assert shown.stdout.strip() == "[]"
