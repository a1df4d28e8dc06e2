"""What the command line asks ``llmgate serve`` for, in a form that a worker can be handed."""

from __future__ import annotations

import argparse
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import attrs

from llmgate.config import ConfigText, find_file
from llmgate.config.model import ServerConfig
from llmgate.config.server import LoopName, ServerName

__all__ = ["Job", "as_bound", "pack", "unpack"]

log = logging.getLogger("llmgate.workers")


BOUND: Final = ("address", "port", "workers", "backlog", "use", "loop", "allow_open", "watch")
"""Settings that new workers do not bring."""


@attrs.frozen
class Job:
    """The arguments of one start; None where an option was not given.

    Args:
        config: The configuration's file.
        host: The address to listen on.
        port: The port.
        allow_open: Whether to listen beyond loopback without client authentication.
        workers: How many processes.
        shutdown_grace: Seconds between being not ready and taking no more connections.
        log_level: The least level that is logged.
        watch: Seconds between two looks at whether the configuration has changed.
        server: Whose HTTP/1.1 reads requests.
        loop: The event loop.
    """

    config: str | None = None
    host: str | None = None
    port: int | None = None
    allow_open: bool = False
    workers: int | None = None
    shutdown_grace: float | None = None
    log_level: str | None = None
    watch: float | None = None
    server: ServerName | None = None
    loop: LoopName | None = None

    @classmethod
    def of(cls, args: argparse.Namespace) -> Job:
        """The job that parsed arguments describe."""
        return cls(
            config=None if args.config is None else str(args.config),
            host=args.host,
            port=args.port,
            allow_open=args.allow_open,
            workers=args.workers,
            shutdown_grace=args.shutdown_grace,
            log_level=getattr(args, "log_level", None),
            watch=args.watch,
            server=args.server,
            loop=args.loop,
        )

    def settings(self, server: ServerConfig) -> ServerConfig:
        """The host's settings with what the command line says instead."""
        given = {name: getattr(self, name) for name in ("port", "workers", "shutdown_grace", "watch", "loop")}
        return attrs.evolve(
            server,
            address=server.address if self.host is None else self.host,
            allow_open=server.allow_open or self.allow_open,
            use=server.use if self.server is None else self.server,
            **{name: value for name, value in given.items() if value is not None},
        )

    def read(self, known: ConfigText | None = None) -> ConfigText | None:
        """The configuration's file as it is now; None when there is none, so that the environment says everything.

        Args:
            known: What was read before; its file is read again, and no other one is looked for.

        Raises:
            ConfigError: it cannot be read.
        """
        path = known.path if known is not None else self.config or find_file(Path())
        return None if path is None else ConfigText.read(path)


def as_bound(server: ServerConfig, bound: ServerConfig) -> ServerConfig:
    """A host's settings, with those in force that belong to the sockets and to the supervisor, which stay."""
    kept = {name: getattr(bound, name) for name in BOUND}
    changed = [f"server.{name.replace('_', '-')}" for name in BOUND if getattr(server, name) != kept[name]]
    if changed:
        log.warning(
            "%s: changed in the configuration, and in force only when the supervisor starts", ", ".join(changed)
        )
    return attrs.evolve(server, **kept)


def pack(source: ConfigText | None) -> Mapping[str, str] | None:
    """A configuration's text as JSON takes it."""
    return None if source is None else {"path": str(source.path), "text": source.text}


def unpack(packed: Mapping[str, Any] | None) -> ConfigText | None:
    """The text that was packed."""
    return None if packed is None else ConfigText(Path(packed["path"]), packed["text"])
