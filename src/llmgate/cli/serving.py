"""One process that serves: its Pipeline, its settings, its logs, and how all of them follow the configuration."""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import socket
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from typing import Any, Final

import attrs

from llmgate.config import ConfigText
from llmgate.config.model import GatewayConfig, ServerConfig
from llmgate.host import create_app
from llmgate.host.guard import authenticates, is_loopback
from llmgate.host.server import serve
from llmgate.pipeline import Pipeline
from llmgate.pipeline.models import list_models
from llmgate.pipeline.snapshot import PlacedStage, Snapshot
from llmgate.spec import ConfigError, GatewayError, Principal

from .check import summary
from .control import Health
from .fleet import seen_by
from .greeting import greeting
from .job import Job
from .log_shapes import start_logging
from .reloads import Reloads
from .surroundings import expect_dotenv

__all__ = ["Serving", "log_problems", "problems_of"]

log = logging.getLogger("llmgate.serve")

_YOUNG: Final = 10_000
"""Objects more between two collections: a burst of events makes hundreds, and nearly all die without one."""


class Serving:
    """What one process serves. Making it reads and checks the configuration and opens nothing.

    Args:
        job: What the command line asks for.
        source: The configuration's text; None for what the environment alone says.
        server: The settings that a supervisor has settled on, for one of its workers; None to take the configuration's.

    Raises:
        ConfigError: the configuration is wrong.
        PluginError: a plugin that it names cannot be used.
    """

    def __init__(self, job: Job, source: ConfigText | None, *, server: ServerConfig | None = None) -> None:
        self._job = job
        self.pipeline = Pipeline.from_config(
            source,
            environment=os.environ,
            dotenv=expect_dotenv(),
            workers=1 if server is None else server.workers,
        )
        self.server: ServerConfig = job.settings(self.config.server) if server is None else server
        self._first: ServerConfig = self.config.server

    @property
    def config(self) -> GatewayConfig:
        """The configuration in force."""
        config: GatewayConfig = self.pipeline.config
        return config

    def reloads(
        self,
        source: ConfigText | None,
        work: Callable[[], Coroutine[Any, Any, Sequence[str]]],
        health: Health | None = None,
        restart: Callable[[], Coroutine[Any, Any, Sequence[str]]] | None = None,
    ) -> Reloads:
        """The ways to have this gateway read its configuration again.

        Args:
            source: What was read at the start.
            work: Reads it again and returns what is wrong with it.
            health: Says how the deployments of each worker do; None for what this process knows.
            restart: Puts new processes in the place of the old ones and returns why it could not.
        """

        async def own() -> Sequence[Mapping[str, Any]]:
            return [{"worker": 1, "data": seen_by(self.pipeline)}]

        dotenv = expect_dotenv()
        config = None if source is None else source.path
        beside = [] if dotenv is None else [dotenv]
        return Reloads(
            work, config=config, watch=self.server.watch, beside=beside, health=health or own, restart=restart
        )

    def refuse_unsafe(self, snapshot: Snapshot | None = None) -> None:
        """Refuse what cannot be served safely with the settings that this process was started with.

        Args:
            snapshot: What is to be served; None for what is in force.

        Raises:
            ConfigError: everybody could spend the keys, or workers would each grant the whole of a limit.
        """
        snapshot = snapshot or self.pipeline.snapshot
        server = self.server
        if not (is_loopback(server.address) or server.allow_open or authenticates(snapshot.config)):
            raise ConfigError(
                f"refusing to listen on {server.address} without client authentication, since whoever reaches the port "
                "spends the keys: configure auth, listen on 127.0.0.1, or pass --allow-open"
            )
        strict = _counting_alone(snapshot) if server.workers > 1 else []
        if strict and not server.local_share:
            raise ConfigError(
                f"refusing to serve with {server.workers} workers, since each would count alone for "
                f"{', '.join(strict)}: serve with --workers 1, keep the counts in a shared state store, or set "
                f"server.local-share so that each worker grants one part in {server.workers}"
            )

    def start_logging(self, worker: int | None = None) -> None:
        """Log as the configuration in force says; ``worker`` is the number of a worker."""
        level = self._job.log_level or self.config.log_level
        start_logging(level, self.config.log_format, access=self.server.access_log, worker=worker)

    async def run(
        self,
        sockets: Sequence[socket.socket],
        *,
        started: Callable[[Sequence[str]], None],
        stop: asyncio.Event | None = None,
        reload: Callable[[], Coroutine[Any, Any, None]] | None = None,
        shared: bool = False,
        relieved: asyncio.Event | None = None,
    ) -> None:
        """Serve until told to stop.

        Args:
            sockets: Bound sockets.
            started: Called with what the start prints, once connections are taken.
            stop: Set to stop; None listens to signals.
            reload: What SIGHUP does.
            shared: Whether other processes take connections from the same sockets.
            relieved: Set when another process has taken this one's place.

        Raises:
            GatewayError: a stage cannot be opened.
        """
        app = create_app(self.pipeline, owns_pipeline=False, server=self.server)
        async with self.pipeline:
            # Not `pipeline.models()`: that is an exchange, and an exchange leaves a record that nobody asked for.
            models = list_models(self.pipeline.snapshot, self.pipeline.secrets, Principal.local(), None)

            def greet() -> None:
                started(list(greeting(self.config, self.server, sockets[0], models)))
                # What has been built lives as long as the process: no collection need look at it again.
                gc.collect()
                gc.freeze()
                gc.set_threshold(_YOUNG)

            grace = self.server.shutdown_grace
            await serve(
                app, sockets, grace=grace, stop=stop, started=greet, reload=reload, shared=shared, relieved=relieved
            )

    async def follow(self, source: ConfigText | None, *, approve: Callable[[], Awaitable[None]] | None = None) -> None:
        """Serve by another text of the configuration from now on.

        Args:
            source: The text.
            approve: Called when everything new is open; what it raises keeps the old configuration.

        Raises:
            GatewayError: the old configuration stays in force.
        """

        async def judge(snapshot: Snapshot) -> None:
            self.refuse_unsafe(snapshot)
            if approve is not None:
                await approve()

        await self.pipeline.reload(source, approve=judge)

    def announce(self, snapshot: Snapshot) -> None:
        """Log what a configuration that has been read again comes to, and what of it only a restart can change."""
        config = snapshot.config
        log.info("%s has been read again: %s", config.source, summary(config))
        for warning in config.warnings:
            log.warning("%s", warning)
        changed = [
            f"server.{field.name.replace('_', '-')}"
            for field in attrs.fields(ServerConfig)
            if getattr(config.server, field.name) != getattr(self._first, field.name)
        ]
        if changed:
            log.warning("%s: changed in the configuration, and in force only after a restart", ", ".join(changed))
        self.announce_shares(snapshot)

    def announce_shares(self, snapshot: Snapshot) -> None:
        """Log which limits the workers divide among them."""
        workers = self.server.workers
        strict = _counting_alone(snapshot) if workers > 1 else []
        if strict:
            log.warning(
                "server.local-share: each of %d workers grants one part in %d of the limits of %s",
                workers,
                workers,
                ", ".join(strict),
            )


def problems_of(error: GatewayError) -> Sequence[str]:
    """What an error says, one problem a line."""
    return error.problems if isinstance(error, ConfigError) else (error.message,)


def log_problems(problems: Sequence[str]) -> None:
    """Log why a configuration was not taken."""
    log.error("the configuration was read again and is not used, the old one stays in force:")
    for problem in problems:
        log.error("%s", problem)


def _counting_alone(snapshot: Snapshot) -> list[str]:
    """The stages whose promise holds only within one process, as an operator would look for them."""
    return [
        f"{one.entry.id} ({one.entry.use})"
        for one in snapshot.placed
        if one.stage.strict_state and not _on_shared_store(one, snapshot)
    ]


def _on_shared_store(one: PlacedStage, snapshot: Snapshot) -> bool:
    name = getattr(one.entry.config, "state", None)
    store = snapshot.state.get(name) if isinstance(name, str) else None
    return store is not None and store.shared
