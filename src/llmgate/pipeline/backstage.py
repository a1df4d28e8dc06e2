"""A configuration without a pipeline: single stages of it, for commands that look after what those stages keep."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AsyncExitStack
from types import TracebackType
from typing import Any, Self

import attrs

from llmgate.config.model import StageConfig
from llmgate.spec import (
    AuthProvider,
    ConfigError,
    DomainBook,
    RecordReader,
    Secret,
    SecretNotFoundError,
    SecretRef,
    SecretStore,
    StageContext,
    StateStore,
)

from .pipeline import Pipeline
from .snapshot import PlacedStage

__all__ = ["Backstage"]


class Backstage:
    """The stages of a pipeline that is not opened; stores are opened one by one, when something is asked of them.

    Use it with ``async with``; leaving closes what was opened.

    Args:
        pipeline: Assembled, and not open.
    """

    def __init__(self, pipeline: Pipeline) -> None:
        self._snapshot = pipeline.snapshot
        self._opened: set[int] = set()
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, failure: BaseException | None, traceback: TracebackType | None
    ) -> None:
        for placed in self._snapshot.placed[:1]:
            self._stack.push_async_callback(placed.context.transport.aclose)
        await self._stack.aclose()

    def configured(self, kind: str, use: str) -> Sequence[tuple[Any, StageContext]]:
        """The stages of a kind made of the class of that name; see ``CommandContext``."""
        return [
            (one.entry.config, self._context(one))
            for one in self._snapshot.placed
            if (one.kind, one.entry.use) == (kind, use)
        ]

    async def open_state(self, name: str) -> StateStore[Any]:
        """The configured state store of that name, opened.

        Raises:
            ConfigError: there is none.
        """
        entry = self._snapshot.config.state.get(name)
        if entry is None:
            raise ConfigError(f"state store {name!r} is not configured: write it under state")
        store: StateStore[Any] = await self._open("state", entry)
        return store

    async def open_records(self) -> RecordReader:
        """The first logger that can be asked for records, opened for that alone.

        Raises:
            ConfigError: there is none.
        """
        for placed in self._snapshot.placed:
            reader = placed.stage
            if placed.kind == "loggers" and isinstance(reader, RecordReader) and reader.readable:
                self._stack.push_async_callback(placed.stage.aclose)
                await reader.open_to_read(self._context(placed))
                return reader
        raise ConfigError(
            "no logger of the configuration can be asked for records: write `- use: sql`, or json-lines with a path, "
            "under loggers"
        )

    async def open_auth(self) -> Sequence[AuthProvider[Any]]:
        """The configured auth providers, opened in their order, each with the state store that its config names."""
        opened = []
        for entry in self._snapshot.config.auth:
            state = getattr(entry.config, "state", None)
            if isinstance(state, str):
                await self.open_state(state)
            opened.append(await self._open("auth", entry))
        return opened

    async def open_domains(self) -> DomainBook[Any]:
        """The book of domains, opened, with the state store that its config names.

        Raises:
            ConfigError: there is none, as no request may name its target.
        """
        entry = self._snapshot.config.domains
        if entry is None:
            raise ConfigError("the configuration keeps no book of domains: write `target-urls: true`")
        state = getattr(entry.config, "state", None)
        if isinstance(state, str):
            await self.open_state(state)
        book: DomainBook[Any] = await self._open("domains", entry)
        return book

    async def fetch_secret(self, ref: SecretRef) -> Secret:
        """The secret behind a reference, from its store alone.

        Raises:
            SecretNotFoundError: there is no such store, or no such secret in it.
        """
        entries = self._snapshot.config.secrets
        if ref.store not in entries:
            raise SecretNotFoundError(
                f"secret {ref} names no configured store: use one of {', '.join(sorted(entries))}"
            )
        store: SecretStore[Any] = await self._open("secrets", entries[ref.store])
        return await store.fetch(ref)

    async def _open(self, kind: str, entry: StageConfig) -> Any:
        """The stage of that place, opened if it is not."""
        placed = next(one for one in self._snapshot.placed if one.kind == kind and one.entry is entry)
        if id(placed) not in self._opened:
            self._opened.add(id(placed))
            self._stack.push_async_callback(placed.stage.aclose)
            await placed.stage.open(self._context(placed))
        return placed.stage

    def _context(self, placed: PlacedStage) -> StageContext:
        return attrs.evolve(placed.context, fetch_secret=self.fetch_secret, state=self._state)

    def _state(self, name: str) -> StateStore[Any]:
        """A state store that has been opened.

        Raises:
            ConfigError: it has not.
        """
        for placed in self._snapshot.placed:
            if placed.kind == "state" and id(placed) in self._opened and self._snapshot.state.get(name) is placed.stage:
                store: StateStore[Any] = placed.stage
                return store
        raise ConfigError(f"state store {name!r} is not open: a command opens it with open_state")
