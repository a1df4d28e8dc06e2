"""Commands that installed distributions offer, by the group that their entry point names."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import pluggy

from llmgate.spec import PluginError, hookspecs
from llmgate.spec.commands import Command

from .discovery import EntryPointPlugin, discover

__all__ = ["COMMANDS", "load_commands", "offered_commands"]

COMMANDS: Final = "llmgate.commands"
"""The entry-point group: one entry point for each group of commands, ``my-group = "my_distribution.commands"``."""


def offered_commands() -> list[EntryPointPlugin]:
    """Every entry point for commands, by the names of their groups; nothing is imported."""
    return discover(group=COMMANDS)


def load_commands(offer: EntryPointPlugin) -> Sequence[type[Command]]:
    """Import what an entry point points at; its commands of the group that the entry point names.

    Raises:
        PluginError: it cannot be imported, or hands over something else.
    """
    who = f"plugin {offer.name!r} of {offer.label}"
    manager = pluggy.PluginManager(hookspecs.PROJECT)
    manager.add_hookspecs(hookspecs)
    module = offer.load()
    try:
        manager.register(module)
        manager.check_pending()
        answers = manager.hook.llmgate_register_commands()
    except Exception as cause:
        raise PluginError(f"{who} cannot be registered: {' '.join(str(cause).split())}") from cause
    found: list[type[Command]] = []
    for answer in answers:
        for one in [answer] if isinstance(answer, type) else answer:
            if not isinstance(one, type) or not issubclass(one, Command):
                raise PluginError(f"{who}: return subclasses of llmgate.spec.Command, not {one!r}")
            if one.group == offer.name:
                found.append(one)
    if not found:
        raise PluginError(f"{who} has no command of the group {offer.name!r}: return one from the hook, or drop it")
    return found
