"""``llmgate db upgrade`` and ``status``: the tables, for operators who migrate by hand."""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from llmgate.spec import Command, CommandContext, ConfigError, StageContext
from llmgate_store.config import STAGES, DatabaseConfig

if TYPE_CHECKING:
    from llmgate_store.database import Database

__all__ = ["DB_SUMMARY", "DbStatus", "DbUpgrade"]

DB_SUMMARY = "look after the tables of the databases"


class DbUpgrade(Command):
    """``llmgate db upgrade``."""

    group, group_summary = "db", DB_SUMMARY
    name, summary = "upgrade", "make and change the tables"
    description = (
        "Bring the tables of every database that the configuration names to the version that this llmgate-store wants. "
        "Gateways that run meanwhile go on."
    )

    async def run(self, args: argparse.Namespace, context: CommandContext) -> int:
        """Migrate every database."""
        del args
        # Late: SQLAlchemy takes a second, which `--help` need not.
        from llmgate_store.schema import wanted

        for database, id_ in _databases(context):
            try:
                await database.open(migrations="at-start")
            finally:
                await database.aclose()
            print(f"{id_}: the tables are of version {wanted()}")
        return 0


class DbStatus(Command):
    """``llmgate db status``."""

    group, group_summary = "db", DB_SUMMARY
    name, summary = "status", "say of which version the tables are"
    description = (
        "Say of which version the tables of every database are that the configuration names, and which is wanted. "
        "Exit status 1 when one is of another."
    )

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """How to say it."""
        parser.add_argument("--json", action="store_true", help="print JSON")

    async def run(self, args: argparse.Namespace, context: CommandContext) -> int:
        """Look at every database; 1 when one is of another version."""
        # Late: as above.
        from llmgate_store.schema import current, wanted

        found: dict[str, str | None] = {}
        for database, id_ in _databases(context):
            try:
                await database.open(migrations="never")
                async with database.read() as connection:
                    found[id_] = await connection.run_sync(current)
            finally:
                await database.aclose()
        _say(found, wanted(), context, as_json=args.json)
        return 0 if all(version == wanted() for version in found.values()) else 1


def _say(found: Mapping[str, str | None], wanted: str, context: CommandContext, *, as_json: bool) -> None:
    if as_json:
        print(json.dumps({"wanted": wanted, "databases": found}, indent=2))
    else:
        rows = [(id_, version or "none", wanted) for id_, version in found.items()]
        context.print_table(("STAGE", "VERSION", "WANTED"), rows)


def _databases(context: CommandContext) -> list[tuple[Database, str]]:
    """Each database that the configuration names, once, with the first stage that names it.

    Raises:
        ConfigError: it names none.
    """
    # Late: as above.
    from llmgate_store.database import Database

    found: dict[DatabaseConfig, tuple[Any, StageContext]] = {}
    for kind, use in STAGES:
        for config, stage_context in context.configured(kind, use):
            found.setdefault(config.database, (config, stage_context))
    if not found:
        names = " or ".join(use for _, use in STAGES)
        raise ConfigError(f"the configuration names no database: no stage of it uses {names}")
    return [(Database(one, stage), stage.id) for one, (_, stage) in found.items()]
