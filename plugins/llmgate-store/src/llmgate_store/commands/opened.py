"""What a command works on: the keys of the configuration that it was called for."""

from __future__ import annotations

import argparse
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import attrs

from llmgate.spec import CommandContext, ConfigError, Peppers, StageContext
from llmgate_store.config import KEYS, IssuedKeysConfig
from llmgate_store.keys.grant import ISSUER
from llmgate_store.keys.text import PREFIX, PUBLIC_ID
from llmgate_store.watch import CHANNEL

if TYPE_CHECKING:
    from llmgate_store.keys.book import KeyBook

__all__ = ["OpenKeys", "open_keys", "public_id"]


@attrs.frozen
class OpenKeys:
    """The keys of a configuration.

    Args:
        book: Where they are.
        config: What the operator wrote.
        context: What the stage would be opened with.
        command: What the command was given.
    """

    book: KeyBook
    config: IssuedKeysConfig
    context: StageContext
    command: CommandContext

    async def peppers(self) -> Peppers:
        """What keys are hashed with."""
        return await Peppers.fetch((self.config.pepper, *self.config.former_peppers), self.context)

    async def tell(self) -> None:
        """Tell gateways of a change, where they listen; they notice by themselves as well."""
        if self.config.state is not None:
            await (await self.command.open_state(self.config.state)).publish(CHANNEL, KEYS.encode())


@asynccontextmanager
async def open_keys(command: CommandContext) -> AsyncIterator[OpenKeys]:
    """The keys of the configuration that a command was called for.

    Raises:
        ConfigError: the configuration has no auth provider of issued keys.
        StoreUnavailableError: the database cannot be reached.
        PluginError: its tables are of another version.
    """
    # Late: SQLAlchemy takes a second, which `--help` need not.
    from llmgate_store.database import Database
    from llmgate_store.keys.book import KeyBook

    configured = command.configured("auth", ISSUER)
    if not configured:
        raise ConfigError(f"the configuration keeps no keys in a database: write `- use: {ISSUER}` under auth")
    config, context = configured[0]
    database = Database(config.database, context)
    try:
        await database.open()
        yield OpenKeys(KeyBook(database, context.clock), config, context, command)
    finally:
        await database.aclose()


def public_id(text: str) -> str:
    """The public part of a key, from an argument.

    Raises:
        argparse.ArgumentTypeError: it is none, or it is the whole key, which is now in the shell's history.
    """
    if PUBLIC_ID.fullmatch(text):
        return text
    if text.startswith(PREFIX):
        raise argparse.ArgumentTypeError(
            "that is a key itself, and now stands in your shell's history and in the list of processes: revoke it by "
            f"its public part, the 12 characters behind {PREFIX}, and make another"
        )
    raise argparse.ArgumentTypeError("write the public part of a key, 12 letters and digits: see `llmgate keys list`")
