"""Brings the tables of a database to the shape that this version wants, one process at a time."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from alembic.util import CommandError

from llmgate.spec import PluginError

__all__ = ["VERSION_TABLE", "current", "migrate", "refuse_other", "wanted"]

VERSION_TABLE: Final = "llmgate_schema"
_LOCK: Final = 0x6C6C6D67617465
"""What processes that migrate the same PostgreSQL database wait for: ``llmgate`` in ASCII."""
_PATIENCE: Final = 3600
"""Seconds that MySQL waits for another process; the caller's own limit ends earlier."""


def current(connection: sa.Connection) -> str | None:
    """The version of the tables that are there; None for an empty database."""
    return MigrationContext.configure(connection, opts={"version_table": VERSION_TABLE}).get_current_revision()


def wanted() -> str:
    """The version that this package works with."""
    head = _script().get_current_head()
    assert head is not None, "the package has migrations"
    return head


def migrate(connection: sa.Connection, name: str) -> str | None:
    """Bring the tables to the wanted version; whoever comes second finds it done.

    Args:
        connection: In a transaction.
        name: What messages call the stage.

    Returns:
        The version, None where nothing was to be done.

    Raises:
        PluginError: the tables are of a version that this package does not know.
    """
    with _alone(connection):
        before, head = current(connection), wanted()
        if before == head:
            return None
        _refuse_unknown(before, name)
        config = _config()
        config.attributes["connection"] = connection
        command.upgrade(config, "head")
    return head


def refuse_other(connection: sa.Connection, name: str) -> None:
    """See that the tables have the wanted version.

    Raises:
        PluginError: they have another; the message says what to do.
    """
    there, head = current(connection), wanted()
    if there == head:
        return
    _refuse_unknown(there, name)
    raise PluginError(
        f"{name}: the database is at version {there or 'none'} of its tables and {head} is wanted: "
        "run `llmgate db upgrade`, or set migrations: at-start"
    )


def _refuse_unknown(version: str | None, name: str) -> None:
    try:
        if version is not None:
            _script().get_revision(version)
    except CommandError:
        raise PluginError(
            f"{name}: the database is at version {version} of its tables, which this llmgate-store does not know: "
            "install the newer one that made it"
        ) from None


@contextmanager
def _alone(connection: sa.Connection) -> Iterator[None]:
    """While it lasts no other process migrates the same database. SQLite's own transaction sees to it."""
    dialect = connection.dialect.name
    if dialect == "postgresql":
        connection.execute(sa.text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _LOCK})
    elif dialect in {"mysql", "mariadb"}:
        lock = "CONCAT('llmgate-', MD5(DATABASE()))"
        connection.execute(sa.text(f"SELECT GET_LOCK({lock}, {_PATIENCE})"))
        try:
            yield
        finally:
            connection.execute(sa.text(f"SELECT RELEASE_LOCK({lock})"))
        return
    yield


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations").replace("%", "%%"))
    return config


def _script() -> ScriptDirectory:
    return ScriptDirectory.from_config(_config())
