"""Commands of the ``llmgate`` program that plugins bring."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, MutableMapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Protocol, TypeAlias

import attrs

from .auth import AuthProvider
from .stage import StageContext
from .state import StateStore

if TYPE_CHECKING:
    import argparse

__all__ = ["AsgiApp", "Command", "CommandContext", "Serving"]

AsgiApp: TypeAlias = Callable[
    [
        MutableMapping[str, Any],
        Callable[[], Awaitable[MutableMapping[str, Any]]],
        Callable[[MutableMapping[str, Any]], Awaitable[None]],
    ],
    Awaitable[None],
]
"""An application by the ASGI specification, version 3 (https://asgi.readthedocs.io)."""


async def _nothing() -> None:
    pass


@attrs.frozen
class Serving:
    """How an application is served.

    Args:
        address: Where to listen.
        port: The port; 0 takes a free one.
        certificate: The file of the certificate and those that vouch for it (PEM); None for no TLS.
        private_key: The file of its key.
        max_message_bytes: Upper bound of a WebSocket message that a client sends.
        heartbeat: Seconds between two pings on a WebSocket.
        stall: Seconds that a closing connection waits for a client that does not read.
        started: Called with the address, as clients write it, once connections are taken.
        ending: Awaited when no more connections are taken, before those that are left are cut.
    """

    address: str
    port: int
    certificate: Path | None = None
    private_key: Path | None = None
    max_message_bytes: int = 64 * 1024
    heartbeat: float = 20.0
    stall: float = 5.0
    started: Callable[[str], None] = print
    ending: Callable[[], Awaitable[None]] = _nothing


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

    async def open_auth(self) -> Sequence[AuthProvider[Any]]:
        """The configured auth providers, opened in their order; they are closed when the command has ended."""
        ...

    async def serve(self, app: AsgiApp, serving: Serving) -> None:
        """Serve an application of the command's own as the gateway is served, until SIGTERM or SIGINT.

        Args:
            app: Gets requests and WebSockets; no lifespan.
            serving: Where and how.

        Raises:
            ConfigError: the address cannot be listened on, or the certificate cannot be used.
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
