"""``llmgate vault put``, ``list``, ``remove`` and ``rekey``. A secret comes in by a prompt or by standard input."""

from __future__ import annotations

import argparse
import asyncio
import getpass
import json
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Final

import attrs

from llmgate.spec import Command, CommandContext, ConfigError, StageContext
from llmgate_store.config import SqlVaultConfig

from .moments import written

if TYPE_CHECKING:
    from llmgate_store.vault.book import VaultBook
    from llmgate_store.vault.sealing import MasterKeys

__all__ = ["VAULT_SUMMARY", "VaultList", "VaultPut", "VaultRekey", "VaultRemove"]

VAULT_SUMMARY = "look after the provider keys in the vault"
LONGEST: Final = 16 * 1024
"""Characters of a secret."""


@attrs.frozen
class OpenVault:
    """The vault of a configuration."""

    book: VaultBook
    config: SqlVaultConfig
    context: StageContext

    async def keys(self) -> MasterKeys:
        """What it is sealed with."""
        # Late: cryptography and SQLAlchemy take their time, which `--help` need not.
        from llmgate_store.vault.sealing import MasterKeys

        return await MasterKeys.fetch((self.config.master_key, *self.config.former_master_keys), self.context)


class VaultPut(Command):
    """``llmgate vault put``."""

    group, group_summary = "vault", VAULT_SUMMARY
    name, summary = "put", "put a provider's key into the vault"
    description = (
        "Put a provider's key into the vault, or a new one in its place, which gateways use within seconds. It is "
        "asked for, or read from standard input; never from an argument, which others could see."
    )

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Which secret."""
        _add_name(parser)
        parser.add_argument("--note", metavar="TEXT", help="what it is, for whoever looks later")
        parser.add_argument("--by", metavar="WHO", help="who puts it there (default: you)")

    async def run(self, args: argparse.Namespace, context: CommandContext) -> int:
        """Read it and seal it."""
        async with _open(context) as vault:
            keys = await vault.keys()
            value = await asyncio.to_thread(_asked, args.name)
            version = await vault.book.put(args.name, value, keys, by=args.by or getpass.getuser(), note=args.note)
        print(f"{args.name}: version {version}; refer to it as STORE:{args.name}")
        return 0


class VaultList(Command):
    """``llmgate vault list``."""

    group, group_summary = "vault", VAULT_SUMMARY
    name, summary = "list", "list what is in the vault"
    description = "List what is in the vault; no secret is opened."

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """How to say it."""
        parser.add_argument("--json", action="store_true", help="print JSON")

    async def run(self, args: argparse.Namespace, context: CommandContext) -> int:
        """List it."""
        async with _open(context) as vault:
            found = await vault.book.list()
        if args.json:
            names = ("name", "version", "note", "created_at", "created_by")
            rows = [{name: getattr(one, name) for name in names} | {"master": one.sealed.master_id} for one in found]
            print(json.dumps(rows, indent=2))
        else:
            context.print_table(
                ("NAME", "VERSION", "PUT", "BY", "MASTER KEY", "NOTE"),
                [
                    (
                        one.name,
                        str(one.version),
                        written(one.created_at),
                        one.created_by,
                        one.sealed.master_id,
                        one.note or "-",
                    )
                    for one in found
                ],
            )
        return 0


class VaultRemove(Command):
    """``llmgate vault remove``."""

    group, group_summary = "vault", VAULT_SUMMARY
    name, summary = "remove", "take a secret out of the vault"
    description = "Take a secret out of the vault, with all its versions."

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Which secret."""
        _add_name(parser)

    async def run(self, args: argparse.Namespace, context: CommandContext) -> int:
        """Take it out."""
        async with _open(context) as vault:
            await vault.book.remove(args.name)
        print(f"{args.name}: removed")
        return 0


class VaultRekey(Command):
    """``llmgate vault rekey``."""

    group, group_summary = "vault", VAULT_SUMMARY
    name, summary = "rekey", "seal everything with the master key in force"
    description = (
        "Seal everything in the vault with the master key in force. Before: write the new key as master-key and the "
        "old one under former-master-keys, and let every gateway take that over. After: take the old one out."
    )

    async def run(self, args: argparse.Namespace, context: CommandContext) -> int:
        """Seal it anew."""
        del args
        async with _open(context) as vault:
            keys = await vault.keys()
            count = await vault.book.seal_anew(keys)
        print(f"{count} sealed with the master key {keys.current}")
        return 0


def _add_name(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name", type=_name, metavar="NAME", help="what references call it: openai, or team-a/openai")


def _name(text: str) -> str:
    # Late: as above.
    from llmgate_store.vault.book import is_name

    if not is_name(text) or text.startswith("sk-"):
        raise argparse.ArgumentTypeError(
            "write a name of letters, digits and . _ / -, and the secret when it is asked for"
        )
    return text


def _asked(name: str) -> str:
    """The secret, from whoever types it or from what is piped in.

    Raises:
        ConfigError: there is none.
    """
    if sys.stdin.isatty():
        value = getpass.getpass(f"the secret {name}: ")
    else:
        value = sys.stdin.read(LONGEST + 1).removesuffix("\n").removesuffix("\r")
    if not value.strip() or len(value) > LONGEST:
        raise ConfigError(f"there is no secret on standard input, or one of more than {LONGEST} characters")
    return value


@asynccontextmanager
async def _open(command: CommandContext) -> AsyncIterator[OpenVault]:
    """The vault of the configuration.

    Raises:
        ConfigError: it has none.
    """
    # Late: as above.
    from llmgate_store.database import Database
    from llmgate_store.vault.book import VaultBook

    configured = command.configured("secrets", "sql-vault")
    if not configured:
        raise ConfigError("the configuration has no vault: write `vault: {use: sql-vault}` under secrets")
    config, context = configured[0]
    database = Database(config.database, context)
    try:
        await database.open()
        yield OpenVault(VaultBook(database, context.clock), config, context)
    finally:
        await database.aclose()
