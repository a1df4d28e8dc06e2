"""Commands of the ``llmgate`` program that plugins bring."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

from .stage import StageContext
from .state import StateStore

if TYPE_CHECKING:
    import argparse

__all__ = ["Command", "CommandContext"]


class CommandContext(Protocol):
    """What a command is given: the configuration that it was called for, none of which is open, and the terminal."""

    def configured(self, kind: str, use: str) -> Sequence[tuple[Any, StageContext]]:
        """The stages of a kind that the configuration makes of a class, in its order.

        Secrets can be fetched with their contexts, from stores that are opened when they are needed.

        Args:
            kind: The kind's id, for example ``auth``.
            use: The class's name, for example ``issued-keys``.

        Returns:
            Each one's config, and what it would be opened with.
        """
        ...

    async def open_state(self, name: str) -> StateStore[Any]:
        """The configured state store of that name, opened; it is closed when the command has ended.

        Raises:
            ConfigError: there is none.
        """
        ...

    def print_table(self, head: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
        """Print rows below their head, in columns."""
        ...


class Command(ABC):
    """One command, ``llmgate GROUP NAME``. It is made anew for each call, and prints what it has to say.

    A subclass sets ``group`` and ``name`` (the words of the command), ``group_summary`` and ``summary`` (a line of
    ``--help`` for each), and ``description`` (what the command does, whole sentences). Every command has an option
    ``--config``, for the configuration that its context is made of.
    """

    group: ClassVar[str]
    group_summary: ClassVar[str]
    name: ClassVar[str]
    summary: ClassVar[str]
    description: ClassVar[str]

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Add the command's own arguments. No secret is ever one of them: everybody can list a process's arguments."""

    @abstractmethod
    async def run(self, args: argparse.Namespace, context: CommandContext) -> int:
        """Do it.

        Returns:
            The exit status: 0 done, 1 failed, 2 the command line is wrong.

        Raises:
            GatewayError: why it cannot be done; the message is printed.
        """
