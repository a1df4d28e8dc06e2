"""What a new snapshot takes over from the one before: stages and providers that its configuration describes alike.

They keep what they know: pools, latencies, breakers, open files, running counts.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs

from llmgate.config.model import GatewayConfig, RetryBudgetConfig, StageConfig, TelemetryConfig
from llmgate.config.records import JournalConfig
from llmgate.journal import Journal, JournalSettings
from llmgate.spec import Clock, Provider, ProviderAdapter, Stage, Transport

from .failing import Failing
from .health import Health
from .retry_budget import RetryBudget
from .snapshot import PlacedStage, ProviderRuntime, Snapshot

if TYPE_CHECKING:
    from llmgate.telemetry import Telemetry

__all__ = ["Inheritance"]


class Inheritance:
    """The stages and providers of a snapshot that another one may use as well.

    Args:
        previous: The snapshot in force; None when there is none, so that nothing is taken over.
        config: The configuration of the new one.
    """

    def __init__(self, previous: Snapshot | None, config: GatewayConfig) -> None:
        self._placed: dict[tuple[str, str], list[PlacedStage]] = {}
        self._runtimes: dict[str, list[ProviderRuntime]] = {}
        self._budgets: Mapping[str, RetryBudget] = {} if previous is None else previous.budgets
        self.failing = Failing() if previous is None else previous.failing
        """What is known of deployments that fail."""
        known = None if previous is None else previous.health
        self.health = known if known is not None and known.config == config.health else Health(config.health)
        """Who is left out: as before, where it is judged as before."""
        self.telemetry = _telemetry(previous, config.telemetry)
        """What becomes of records beside the loggers: as before, where as much is wanted as before."""
        self._journal = None if previous is None else previous.journal
        if previous is None:
            return
        for runtime in previous.runtimes.values():
            self._runtimes.setdefault(runtime.provider.name, []).append(runtime)
        replaced = _replaced_stores(previous, config)
        for one in previous.placed:
            if not one.link.uses_any(replaced):
                self._placed.setdefault((one.kind, one.entry.id), []).append(one)

    def journal(self, path: Path, said: JournalConfig, clock: Clock) -> Journal:
        """What keeps records until loggers have them: as before, where it is kept alike."""
        settings = JournalSettings(path, said.sync, said.max_size, said.segment_size, said.on_failure == "refuse")
        known = self._journal
        return known if known is not None and known.settings == settings else Journal(settings, clock)

    def stage(self, kind: str, entry: StageConfig, stage_class: type[Stage[Any]]) -> PlacedStage | None:
        """The stage of the same kind, place, name and config, each given out once; None when it must be made anew."""
        offered = self._placed.get((kind, entry.id), [])
        for one in offered:
            if one.entry == entry and type(one.stage) is stage_class:
                offered.remove(one)
                return one
        return None

    def transport(self, adapter: ProviderAdapter[Any]) -> Transport | None:
        """What moves the requests of an adapter that was taken over; None for a new adapter."""
        for offered in self._runtimes.values():
            for one in offered:
                if one.adapter is adapter:
                    return one.transport
        return None

    def budget(self, scope: str, config: RetryBudgetConfig) -> RetryBudget:
        """The retry budget of a scope: with what has been spent of it, where it is the same as before."""
        known = self._budgets.get(scope)
        return known if known is not None and known.config == config else RetryBudget(config)

    def runtime(self, made: ProviderRuntime) -> ProviderRuntime:
        """The runtime that is like the one just made, with its ``Provider``; the one just made where none is."""
        for one in self._runtimes.get(made.provider.name, []):
            if one.adapter is made.adapter and _alike(one, made) and _alike(one.provider, made.provider):
                return one
        return made


def _telemetry(previous: Snapshot | None, config: TelemetryConfig) -> Telemetry | None:
    if previous is not None and previous.config.telemetry == config:
        return previous.telemetry
    if config == TelemetryConfig():
        return None
    from llmgate.telemetry import Telemetry

    return Telemetry(**attrs.asdict(config, recurse=False))


def _replaced_stores(previous: Snapshot, config: GatewayConfig) -> set[tuple[str, str]]:
    """The stores, as kind and name, that are gone or not the same; those that rest on one of them are not either."""
    stores: Mapping[str, tuple[Mapping[str, StageConfig], Mapping[str, StageConfig]]] = {
        "secrets": (previous.config.secrets, config.secrets),
        "state": (previous.config.state, config.state),
        "domains": (_books(previous.config), _books(config)),
    }
    replaced = {
        (kind, name) for kind, (old, new) in stores.items() for name, entry in old.items() if new.get(name) != entry
    }
    placed = {(one.kind, one.entry.id): one for one in previous.placed}
    while True:
        more = {
            (kind, name)
            for kind, (old, _) in stores.items()
            for name, entry in old.items()
            if (kind, name) not in replaced and placed[kind, entry.id].link.uses_any(replaced)
        }
        if not more:
            return replaced
        replaced |= more


def _books(config: GatewayConfig) -> Mapping[str, StageConfig]:
    return {} if config.domains is None else {"book": config.domains}


def _alike(one: ProviderRuntime | Provider, other: ProviderRuntime | Provider) -> bool:
    """Whether all fields are equal but the provider itself, which is compared by its own fields."""
    names = [field.name for field in attrs.fields(type(one)) if field.name != "provider"]
    return all(getattr(one, name) == getattr(other, name) for name in names)
