"""Brings the tables of a database to the shape that this version wants, one process at a time."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import sqlalchemy as sa

from llmgate.spec import PluginError

from .config import DOMAINS, KEYS, VAULT
from .records import tables as records  # noqa: F401 - they are in the same metadata
from .tables import metadata, revisions

__all__ = ["VERSIONS", "VERSION_TABLE", "current", "make", "migrate", "refuse_other", "upgrade", "wanted"]

VERSION_TABLE: Final = "llmgate_schema"
VERSIONS: Final = ("0001", "0002", "0003", "0004", "0005", "0006", "0007")
"""The versions that there have been, oldest first: those of the migrations."""
_versions: Final = sa.Table(VERSION_TABLE, sa.MetaData(), sa.Column("version_num", sa.String(32), nullable=False))
_versions.append_constraint(sa.PrimaryKeyConstraint("version_num", name=f"{VERSION_TABLE}_pkc"))
_LOCK: Final = 0x6C6C6D67617465
"""What processes that migrate the same PostgreSQL database wait for: ``llmgate`` in ASCII."""
_PATIENCE: Final = 3600
"""Seconds that MySQL waits for another process; the caller's own limit ends earlier."""


def current(connection: sa.Connection) -> str | None:
    """The version of the tables that are there; None for an empty database."""
    if not sa.inspect(connection).has_table(VERSION_TABLE):
        return None
    return connection.execute(sa.select(_versions.c.version_num)).scalar_one_or_none()


def wanted() -> str:
    """The version that this package works with."""
    return VERSIONS[-1]


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
        there = sa.inspect(connection).get_table_names()
        if before is None and not {*metadata.tables, VERSION_TABLE}.intersection(there):
            make(connection)
        else:
            upgrade(connection)
    return head


def make(connection: sa.Connection) -> None:
    """Make the tables in a database that has none of them, as the migrations would one after another."""
    metadata.create_all(connection)
    connection.execute(sa.insert(revisions), [{"subject": one, "revision": 0} for one in (KEYS, VAULT, DOMAINS)])
    _versions.create(connection)
    connection.execute(sa.insert(_versions).values(version_num=wanted()))


def upgrade(connection: sa.Connection) -> None:
    """Run the migrations that are missing."""
    # Late: Alembic takes 10 MB and half a second, once in the life of a database.
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations").replace("%", "%%"))
    config.attributes["connection"] = connection
    command.upgrade(config, "head")


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
    if version is not None and version not in VERSIONS:
        raise PluginError(
            f"{name}: the database is at version {version} of its tables, which this llmgate-store does not know: "
            "install the newer one that made it"
        )


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
