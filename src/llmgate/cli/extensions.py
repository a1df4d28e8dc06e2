"""Commands that plugins bring: added to the command line when one of their group is called for, and run."""

from __future__ import annotations

import argparse
import asyncio
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from llmgate.spec import AsgiApp, AuthProvider, Command, PluginError, Serving, StageContext, StateStore

from .subparsers import Subparsers
from .surroundings import find_dotenv
from .table import format_table

if TYPE_CHECKING:
    from llmgate.pipeline.backstage import Backstage
    from llmgate.registry.discovery import EntryPointPlugin

__all__ = ["add_offered", "run"]


def add_offered(subparsers: Subparsers, open_groups: Mapping[str, Subparsers], words: Sequence[str]) -> None:
    """Add what installed plugins offer.

    Only the plugins of the group that is called for are imported; the others are listed by their names.

    Args:
        subparsers: Where groups are added.
        open_groups: Groups of llmgate's own that take more commands.
        words: The command line, without the program's name.

    Raises:
        PluginError: a plugin of that group cannot be used.
    """
    wanted = next((word for word in words if not word.startswith("-")), "")
    if wanted in subparsers.choices and wanted not in open_groups:
        return
    # Late: looking through what is installed takes as long as the rest of the start.
    from llmgate.registry.commands import offered_commands

    groups = dict(open_groups)
    for offer in offered_commands():
        if offer.name == wanted:
            _add_group(subparsers, groups, offer)
        elif offer.name not in subparsers.choices:
            subparsers.add_parser(offer.name, help=f"comes with {offer.distribution}")


def run(args: argparse.Namespace) -> int:
    """Run the command of a plugin."""
    # Late: reads YAML and imports the plugins that the configuration names, which `llmgate --help` does not need.
    from llmgate.config import find_file
    from llmgate.pipeline.backstage import Backstage
    from llmgate.pipeline.pipeline import Pipeline

    command: Command = args.extension()
    pipeline = Pipeline.from_config(args.config or find_file(Path()), dotenv=find_dotenv())

    async def work() -> int:
        async with Backstage(pipeline) as backstage:
            return await command.run(args, _Context(backstage))

    return asyncio.run(work())


class _Context:
    """What a command is given; see ``CommandContext``."""

    def __init__(self, backstage: Backstage) -> None:
        self._backstage = backstage

    def configured(self, kind: str, use: str) -> Sequence[tuple[Any, StageContext]]:
        """The stages of a kind made of the class of that name."""
        return self._backstage.configured(kind, use)

    async def open_state(self, name: str) -> StateStore[Any]:
        """A state store, opened."""
        return await self._backstage.open_state(name)

    async def open_auth(self) -> Sequence[AuthProvider[Any]]:
        """The auth providers, opened."""
        return await self._backstage.open_auth()

    async def serve(self, app: AsgiApp, serving: Serving) -> None:
        """Serve an application until a signal."""
        # Late: the HTTP server takes a while to import, and hardly any command needs it.
        from llmgate.host.beside import serve_beside

        await serve_beside(app, serving)

    def print_table(self, head: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
        """Print rows in columns."""
        print(format_table(head, rows))


def _add_group(subparsers: Subparsers, groups: dict[str, Subparsers], offer: EntryPointPlugin) -> None:
    # Late: see ``add_offered``.
    from llmgate.registry.commands import load_commands

    for command in load_commands(offer):
        if offer.name not in groups:
            parser = subparsers.add_parser(
                offer.name, help=command.group_summary, description=f"{_sentence(command.group_summary)}."
            )
            groups[offer.name] = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
        actions = groups[offer.name]
        if command.name in actions.choices:
            raise PluginError(f"plugin {offer.label}: there is a command `llmgate {offer.name} {command.name}` already")
        one = actions.add_parser(command.name, help=command.summary, description=command.description)
        command().add_arguments(one)
        one.add_argument(
            "--config",
            type=Path,
            metavar="FILE",
            help="the configuration (default: the one that `llmgate serve` would find here)",
        )
        one.set_defaults(extension=command)


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:]
