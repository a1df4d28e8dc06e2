"""What every stage is: a name, a config class, a constructor without side effects, ``open`` and ``aclose``."""

from __future__ import annotations

from abc import ABC
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Generic, TypeVar

import attrs

from .clock import Clock
from .identity import Secret, SecretRef
from .transport import Transport

if TYPE_CHECKING:
    from .domain_books import DomainBook
    from .state import StateStore

__all__ = ["NoConfig", "Stage", "StageContext"]


@attrs.frozen
class NoConfig:
    """The config of a stage that has none: any key is refused."""


ConfigT = TypeVar("ConfigT")


def _no_book() -> None:
    return None


@attrs.frozen(eq=False)
class StageContext:
    """What the pipeline hands to a stage when it opens.

    Args:
        id: What the configuration calls the stage, for messages, for example ``auth[0]`` or ``providers.openai``.
        clock: Time and chance.
        transport: HTTP out, for a stage that must call somebody.
        fetch_secret: Fetches a secret by its reference; raises ``SecretNotFoundError``.
        state: Finds a configured state store by name.
        domains: Gives the book of domains, opened before every stage that may ask for it; None where none is kept.
        environment: Environment variables, ``.env`` included where the host reads one.
        directory: What relative paths in the configuration are relative to.
        dotenv: The ``.env`` file in use, None when there is none.
        workers: How many processes serve this configuration at once. Where that is more than one, a stage with
            ``strict_state`` is there only because the operator allowed it (``server.local-share``), and grants one part
            in ``workers`` of its limit.
    """

    id: str
    clock: Clock
    transport: Transport
    fetch_secret: Callable[[SecretRef], Awaitable[Secret]]
    state: Callable[[str], StateStore[Any]]
    environment: Mapping[str, str] = attrs.field(factory=dict, repr=False)
    directory: Path = attrs.field(factory=Path)
    dotenv: Path | None = None
    workers: int = 1
    domains: Callable[[], DomainBook[Any] | None] = _no_book


class Stage(ABC, Generic[ConfigT]):
    """Base of every kind of stage.

    A subclass sets ``name`` (the id that the configuration writes after ``use:``, kebab-case) and ``config_class`` (an
    attrs class; its fields are the stage's whole schema, in kebab-case in the file).

    Args:
        config: An instance of ``config_class``.
    """

    name: ClassVar[str]
    config_class: ClassVar[type[Any]] = NoConfig

    strict_state: bool = False
    """Whether what the stage promises (a limit, a budget) holds only while all workers see the same state.

    A class says so for all its instances, or an instance, in its constructor, for what its config asks for. Several
    workers are not served with such a stage unless the operator allows it (``server.local-share``). A stage whose
    config has a field ``state``, the name of a state store, is held to that store: where it is ``shared``, all is well.
    """

    def __init__(self, config: ConfigT) -> None:
        self.config = config

    async def open(self, context: StageContext) -> None:
        """Get ready; may do I/O and may fail. Called once, before any request."""

    async def aclose(self) -> None:
        """Let go of everything. Idempotent, and safe after a failed ``open``."""
