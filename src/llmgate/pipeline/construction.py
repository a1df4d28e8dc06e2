"""Makes a Pipeline of a configuration: reads it, fills the registry, assembles. Imported only when one is made."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs

from llmgate import config
from llmgate.config.model import GatewayConfig
from llmgate.registry import Registry
from llmgate.spec import Clock, ConfigError, Secret, SecretRef, StageContext, StateStore, Transport
from llmgate.wire.transport import AiohttpTransport

from .assembly import Assembly
from .credentials import SecretBroker

if TYPE_CHECKING:
    from .pipeline import Pipeline

__all__ = ["ConfigSource", "construct"]


@attrs.frozen(eq=False)
class ConfigSource:
    """Where a configuration came from, to be read again.

    Args:
        source: The file, the mapping, or None.
        environment: Environment variables.
        dotenv: The ``.env`` file.
        registry: Which stages exist.
    """

    source: str | os.PathLike[str] | Mapping[str, Any] | None
    environment: Mapping[str, str]
    dotenv: Path | None
    registry: Registry

    def load(self) -> GatewayConfig:
        """Read it.

        Raises:
            ConfigError: it is wrong.
        """
        return self._load(self.source)

    def problems_of_router(self, router: Mapping[str, Any]) -> Sequence[str]:
        """What is wrong with the configuration of a router."""
        known = {
            name: {"base-url": one.base_url, "use": one.adapter.use}
            for name, one in self.load().providers.items()
            if one.base_url is not None
        }
        try:
            self._load({"routers": {"candidate": router}, "providers": known})
        except ConfigError as wrong:
            return wrong.problems
        return ()

    def _load(self, source: str | os.PathLike[str] | Mapping[str, Any] | None) -> GatewayConfig:
        return config.load(
            source,
            environment=self.environment,
            dotenv=self.dotenv,
            find=self.registry.find,
            names=self.registry.names,
        )


def construct(
    pipeline_class: type[Pipeline],
    source: str | os.PathLike[str] | Mapping[str, Any] | None,
    *,
    environment: Mapping[str, str],
    dotenv: Path | None,
    plugins: Sequence[object],
    clock: Clock,
    transport: Transport | None,
) -> Pipeline:
    """Make a pipeline; see ``Pipeline.from_config`` for the arguments and errors."""
    registry = Registry(plugins, block=config.blocked_plugins(source, environment=environment, dotenv=dotenv))
    config_source = ConfigSource(source, environment, dotenv, registry)
    gateway_config = config_source.load()
    moves = transport or AiohttpTransport()
    late = _Late()
    context = StageContext(
        id="pipeline",
        clock=clock,
        transport=moves,
        fetch_secret=late.fetch_secret,
        state=late.state,
        environment=environment,
        directory=gateway_config.directory,
        dotenv=dotenv,
    )
    snapshot = Assembly(gateway_config, registry, context).snapshot()
    secrets = SecretBroker(snapshot.secrets, clock)
    late.secrets = secrets
    late.find_state = _state_finder(snapshot.state)
    return pipeline_class(
        snapshot, clock=clock, transport=moves, context=context, secrets=secrets, source=config_source
    )


def _state_finder(stores: Mapping[str, StateStore[Any]]) -> Callable[[str], StateStore[Any]]:
    """A function that finds a configured state store by name."""

    def find(name: str) -> StateStore[Any]:
        try:
            return stores[name]
        except KeyError:
            raise ConfigError(
                f"state store {name!r} is not configured: write it under state, or use one of "
                f"{', '.join(sorted(stores))}"
            ) from None

    return find


class _Late:
    """What a stage context refers to before it exists: the context is needed to make the stages that it leads to."""

    secrets: SecretBroker
    find_state: Callable[[str], StateStore[Any]]

    async def fetch_secret(self, ref: SecretRef) -> Secret:
        return await self.secrets.fetch(ref)

    def state(self, name: str) -> StateStore[Any]:
        return self.find_state(name)
