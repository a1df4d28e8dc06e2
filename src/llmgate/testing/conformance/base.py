"""What every stage promises, whatever its kind."""

from __future__ import annotations

import builtins
import io
import os
import re
import socket
import subprocess
import threading
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any, ClassVar, NoReturn

import attrs
import pytest

from llmgate.spec import (
    PluginError,
    ProviderConnectionError,
    Secret,
    SecretNotFoundError,
    SecretRef,
    Stage,
    StageContext,
    kind_named,
)
from llmgate.stages.state.memory import Memory, MemoryConfig
from llmgate.testing.clock import FakeClock
from llmgate.testing.transport import ScriptedTransport

__all__ = ["StageConformance", "nothing_opened"]

_SLUG = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
_KIT = __name__.rpartition(".")[0] + "."


@contextmanager
def nothing_opened() -> Iterator[None]:
    """While it lasts, opening a file or a socket, starting a thread or a process is an error."""

    def refuse(*args: object, **kwargs: object) -> NoReturn:
        raise AssertionError("a stage opens nothing before open(): move this there")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(socket.socket, "__init__", refuse)
        patch.setattr(builtins, "open", refuse)
        patch.setattr(io, "open", refuse)
        patch.setattr(os, "open", refuse)
        patch.setattr(threading.Thread, "start", refuse)
        patch.setattr(subprocess.Popen, "__init__", refuse)
        yield


class StageConformance:
    """The part of the kit that is the same for every kind; the parts for the kinds derive from it.

    Attributes:
        kind: The kind's id; set by the part for the kind.
        stage_class: The class under test.
        config: Its config; None for ``config_class()``.
        secrets: What ``context.fetch_secret`` finds, by reference; none of the values may show anywhere.
    """

    kind: ClassVar[str]
    stage_class: ClassVar[type[Stage[Any]]]
    config: ClassVar[Any] = None
    secrets: ClassVar[Mapping[str, str]] = {}

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if cls.__module__.startswith(_KIT):
            return
        for name, override in _overridden_tests(cls):
            if not _is_expected_to_fail(override):
                raise TypeError(
                    f"{cls.__qualname__}.{name} replaces a test of the conformance kit: rename it, or mark it with "
                    "@pytest.mark.xfail(reason=...) where the stage cannot keep this promise"
                )

    # What a subclass may override.

    def make_config(self) -> Any:
        """The config of the stage under test."""
        return self.stage_class.config_class() if self.config is None else self.config

    def make_stage(self) -> Any:
        """A new stage, not open."""
        return self.stage_class(self.make_config())

    def make_context(self, directory: Path, clock: FakeClock) -> StageContext:
        """What the stage is opened with.

        Args:
            directory: An empty directory of the test's own.
            clock: Time and chance.
        """
        return StageContext(
            id=f"{self.kind}[0]",
            clock=clock,
            transport=ScriptedTransport(),
            fetch_secret=self._fetch_secret,
            state=lambda _: Memory(MemoryConfig()),
            directory=directory,
        )

    # What the tests use.

    @pytest.fixture
    def clock(self) -> FakeClock:
        """Time and chance in the test's hands."""
        return FakeClock()

    @pytest.fixture
    def context(self, tmp_path: Path, clock: FakeClock) -> StageContext:
        """What the stage is opened with."""
        return self.make_context(tmp_path, clock)

    @asynccontextmanager
    async def opened(self, context: StageContext) -> AsyncIterator[Any]:
        """A new stage, open; closed on leaving."""
        stage = self.make_stage()
        try:
            await stage.open(context)
            yield stage
        finally:
            await stage.aclose()

    async def _fetch_secret(self, ref: SecretRef) -> Secret:
        try:
            return Secret(value=self.secrets[str(ref)], ref=ref)
        except KeyError:
            raise SecretNotFoundError(f"{ref} is not among the secrets of this test") from None

    # The tests.

    def test_is_of_its_kind(self) -> None:
        """The class derives from the kind's base and leaves nothing abstract."""
        base = kind_named(self.kind).base
        assert issubclass(self.stage_class, base), f"derive from llmgate.spec.{base.__name__}"
        assert not getattr(self.stage_class, "__abstractmethods__", None), "implement every abstract method"

    def test_name_is_a_slug(self) -> None:
        """The id that ``use:`` takes is kebab-case."""
        name = getattr(self.stage_class, "name", None)
        assert isinstance(name, str), "set the class variable `name`"
        assert _SLUG.fullmatch(name), f"{name!r}: write lower-case letters, digits and single hyphens"

    def test_config_refuses_unknown_keys(self) -> None:
        """The config is an attrs class, whose fields are the whole schema."""
        config_class = self.stage_class.config_class
        assert attrs.has(config_class), "make config_class an attrs class"
        assert isinstance(self.make_config(), config_class), "give the kit a config of that class"
        names = [field.alias for field in attrs.fields(config_class)]
        assert "use" not in names, "`use` names the stage itself; call the field something else"
        with pytest.raises(TypeError):
            self.stage_class.config_class(no_such_key_in_any_config=1)

    def test_construction_opens_nothing(self) -> None:
        """A constructor has no side effects, so that a configuration can be checked without running it."""
        config = self.make_config()
        with nothing_opened():
            assert self.stage_class(config).config is config, "call super().__init__(config)"

    @pytest.mark.asyncio
    async def test_closes_twice(self, context: StageContext) -> None:
        """``aclose`` is idempotent."""
        stage = self.make_stage()
        await stage.open(context)
        await stage.aclose()
        await stage.aclose()

    @pytest.mark.asyncio
    async def test_closes_without_having_been_opened(self) -> None:
        """``aclose`` is safe on a stage that never got as far as ``open``."""
        await self.make_stage().aclose()

    @pytest.mark.asyncio
    async def test_closes_after_a_failed_open(self, context: StageContext) -> None:
        """``aclose`` is safe when ``open`` has failed half-way."""
        stage = self.make_stage()
        try:
            await stage.open(_broken(context))
        except Exception as error:  # noqa: BLE001 - whatever it is, closing must be safe after it
            assert not any(value in str(error) for value in self.secrets.values()), "the error shows a secret"
        await stage.aclose()

    @pytest.mark.asyncio
    async def test_opens_again(self, context: StageContext) -> None:
        """Open, close, open: a reload may bring a stage back."""
        stage = self.make_stage()
        try:
            await stage.open(context)
            await stage.aclose()
            await stage.open(context)
        finally:
            await stage.aclose()

    @pytest.mark.asyncio
    async def test_shows_no_secret(self, context: StageContext) -> None:
        """Neither the stage nor its config shows a secret in its ``repr``."""
        async with self.opened(context) as stage:
            shown = f"{stage!r} {stage} {stage.config!r} {stage.config}"
        for value in self.secrets.values():
            assert value not in shown, "keep secrets in llmgate.spec.Secret, or in fields with repr=False"


def _overridden_tests(cls: type[StageConformance]) -> Iterator[tuple[str, object]]:
    """Tests of the kit that a class has from somewhere else."""
    kit = [base for base in cls.__mro__ if base.__module__.startswith(_KIT)]
    for name in sorted({name for base in kit for name in vars(base) if name.startswith("test_")}):
        owner = next(base for base in cls.__mro__ if name in vars(base))
        if owner not in kit:
            yield name, vars(owner)[name]


def _is_expected_to_fail(test: object) -> bool:
    marks = getattr(test, "pytestmark", [])
    return any(mark.name == "xfail" and mark.kwargs.get("reason") for mark in marks)


def _broken(context: StageContext) -> StageContext:
    """A context in which nothing can be had."""

    async def no_secret(ref: SecretRef) -> Secret:
        raise SecretNotFoundError(f"{ref} is not there: this context is broken on purpose")

    def no_state(name: str) -> NoReturn:
        raise PluginError(f"there is no state store {name!r}: this context is broken on purpose")

    broken = ProviderConnectionError("not reachable: this context is broken on purpose")
    return attrs.evolve(
        context,
        transport=ScriptedTransport([broken] * 10),
        fetch_secret=no_secret,
        state=no_state,
        directory=context.directory / "not-there",
    )
