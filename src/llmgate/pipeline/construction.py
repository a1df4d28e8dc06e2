"""Makes a Pipeline of a configuration: reads it, fills the registry, assembles. Imported only when one is made."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import attrs

from llmgate import config
from llmgate.config import ConfigText
from llmgate.config.model import GatewayConfig
from llmgate.registry import Registry
from llmgate.spec import Clock, ConfigError, StageContext, Transport
from llmgate.wire.proxies import Proxy
from llmgate.wire.transport import AiohttpTransport

from .assembly import Assembly
from .credentials import SecretBroker
from .inheritance import Inheritance
from .links import StageLink
from .listing import ModelList, lists_path, load_lists
from .reloading import Edition
from .snapshot import Snapshot

if TYPE_CHECKING:
    from .pipeline import Pipeline

__all__ = ["ConfigSource", "construct"]

Source: TypeAlias = "str | os.PathLike[str] | Mapping[str, Any] | ConfigText | None"


@attrs.frozen(eq=False)
class ConfigSource:
    """Where a configuration came from, to be read again.

    Args:
        source: The file, the text, the mapping, or None.
        environment: Environment variables.
        dotenv: The ``.env`` file.
        plugins: What is registered beside the installed plugins.
        blocked: Plugins that must not be used.
        registry: Which stages exist.
    """

    source: Source
    environment: Mapping[str, str]
    dotenv: Path | None
    plugins: Sequence[object]
    blocked: Sequence[str]
    registry: Registry

    @classmethod
    def of(
        cls, source: Source, environment: Mapping[str, str], dotenv: Path | None, plugins: Sequence[object]
    ) -> ConfigSource:
        """A source with a registry of its own, less the plugins that it blocks."""
        blocked = config.blocked_plugins(source, environment=environment, dotenv=dotenv)
        return cls(source, environment, dotenv, plugins, blocked, Registry(plugins, block=blocked))

    def read_again(self, source: Source = None) -> tuple[ConfigSource, GatewayConfig]:
        """Read it as it is now, or another one in its place; changes nothing, and may run in a thread.

        Raises:
            ConfigError: it is wrong.
        """
        source = self.source if source is None else source
        blocked = config.blocked_plugins(source, environment=self.environment, dotenv=self.dotenv)
        if blocked == self.blocked:
            again = attrs.evolve(self, source=source)  # the same registry, hence the same classes
        else:
            again = ConfigSource.of(source, self.environment, self.dotenv, self.plugins)
        return again, again.load()

    def load(self) -> GatewayConfig:
        """Read it.

        Raises:
            ConfigError: it is wrong.
        """
        return self._load(self.source)

    def problems_of_router(self, router: Mapping[str, Any]) -> Sequence[str]:
        """What is wrong with the configuration of a router; may run in a thread.

        Plugins that nobody has named so far are not known to it: who asks is a caller and loads no code.
        """
        known = {
            name: {"base-url": one.base_url, "use": one.adapter.use}
            for name, one in self.load().providers.items()
            if one.base_url is not None
        }
        try:
            config.load(
                {"routers": {"candidate": router}, "providers": known},
                environment=self.environment,
                dotenv=self.dotenv,
                find=self.registry.find_loaded,
                names=self.registry.names_loaded,
            )
        except ConfigError as wrong:
            return wrong.problems
        return ()

    def assemble(
        self,
        gateway_config: GatewayConfig,
        context: StageContext,
        previous: Snapshot | None,
        lists: Mapping[str, ModelList],
    ) -> Edition:
        """The edition that a configuration read from here comes to.

        Args:
            gateway_config: What was read.
            context: What stages are opened with; id, links and directory are set for each.
            previous: The snapshot in force, whose stages are used where they are the same.
            lists: The models that providers have listed.

        Raises:
            ConfigError: a provider or a balance makes no sense.
            PluginError: a stage cannot be made.
        """
        if previous is not None and previous.config.directory != gateway_config.directory:
            previous = None  # relative paths mean something else now
        context = attrs.evolve(context, directory=gateway_config.directory)
        assembly = Assembly(gateway_config, self.registry, context, Inheritance(previous, gateway_config), lists)
        snapshot = assembly.snapshot()
        return Edition(snapshot, SecretBroker(snapshot.secrets, context.clock, gateway_config.credential_cool_down))

    def _load(self, source: Source) -> GatewayConfig:
        return config.load(
            source,
            environment=self.environment,
            dotenv=self.dotenv,
            find=self.registry.find,
            names=self.registry.names,
        )


def construct(
    pipeline_class: type[Pipeline],
    source: Source,
    *,
    environment: Mapping[str, str],
    dotenv: Path | None,
    plugins: Sequence[object],
    clock: Clock,
    transport: Transport | None,
    workers: int,
) -> Pipeline:
    """Make a pipeline; see ``Pipeline.from_config`` for the arguments and errors."""
    config_source = ConfigSource.of(source, environment, dotenv, plugins)
    gateway_config = config_source.load()
    nowhere = StageLink()
    context = StageContext(
        id="pipeline",
        clock=clock,
        transport=transport or AiohttpTransport(proxy=_proxy(gateway_config)),
        fetch_secret=nowhere.fetch_secret,
        state=nowhere.state,
        environment=environment,
        dotenv=dotenv,
        workers=workers,
    )
    path = lists_path(gateway_config)
    lists = load_lists(path) if path is not None else {}
    edition = config_source.assemble(gateway_config, context, None, lists)
    return pipeline_class(edition, context=context, source=config_source, lists=lists)


def _proxy(gateway_config: GatewayConfig) -> Proxy | None:
    egress = gateway_config.egress
    return Proxy(egress.proxy, egress.direct) if egress.proxy else None
