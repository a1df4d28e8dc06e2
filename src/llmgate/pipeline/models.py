"""Which models a caller may ask for, by the names that this gateway understands."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TypeAlias

import attrs

from llmgate.spec import ListedModel, ModelNotFoundError, Principal, Provider

from .credentials import SecretBroker
from .snapshot import Route, Snapshot

__all__ = ["ModelEntry", "list_models"]

_Lacks: TypeAlias = Callable[[Provider], bool]


@attrs.frozen
class ModelEntry:
    """One model of the list.

    Args:
        id: What to write as ``model``.
        owned_by: The provider, or ``llmgate`` for a router.
        listed: What the provider itself says of it; None where it was not asked.
        provider: Who serves it; None for a router or a name of the operator's.
        model: What that one calls it.
    """

    id: str
    owned_by: str
    listed: ListedModel | None = None
    provider: Provider | None = attrs.field(default=None, repr=False)
    model: str = ""

    @property
    def mapping(self) -> str | None:
        """``pending`` where nobody knows what it costs, ``known`` where somebody does; None where nothing is reckoned.

        It is looked up when it is asked for, which takes longer than a list should.
        """
        if self.provider is None or self.provider.prices is None:
            return None
        if self.provider.prices.price_of(self.model) is not None:
            return "known"
        return None if self.provider.row.self_hosted else "pending"  # of servers of one's own nobody publishes a price


def list_models(
    snapshot: Snapshot, secrets: SecretBroker, principal: Principal, router: str | None
) -> Sequence[ModelEntry]:
    """The models that a caller may ask for: the operator's own names, routers that need no model, ``provider/model``.

    Args:
        snapshot: What is configured.
        secrets: Tells which providers have a credential.
        principal: Who asks.
        router: The router whose models are wanted, None for the unified API.

    Raises:
        ModelNotFoundError: there is no such router.
    """

    def lacks(provider: Provider) -> bool:
        # Whoever is bound to a key at a provider goes with that, whether or not the provider has one of its own.
        return provider.name not in principal.secrets and secrets.lacks(provider)

    if router is None:
        aliases = [ModelEntry(name, "llmgate") for name in snapshot.unified.aliases.names]
        everyone = list(snapshot.unified.providers.values())
        entries = [*aliases, *_of_routers(snapshot), *_of_providers(everyone, lacks)]
    elif router in snapshot.routers:
        entries = list(_of_route(snapshot.routers[router], lacks))
    else:
        raise ModelNotFoundError(f"router {router!r} is not configured", code="router_not_found")
    unique = {entry.id: entry for entry in entries if _may_call(principal, entry)}
    return list(unique.values())


def _of_routers(snapshot: Snapshot) -> Iterator[ModelEntry]:
    for route in snapshot.routers.values():
        if any(balance.by_model for balance in route.balances.values()):
            yield ModelEntry(str(route.id), "llmgate")


def _of_route(route: Route, lacks: _Lacks) -> Iterator[ModelEntry]:
    for balance in route.balances.values():
        for member in balance.members:
            if member.model is not None:
                provider, model = member.provider, member.model
                yield ModelEntry(f"{provider.name}/{model}", provider.name, provider=provider, model=model)
            else:
                yield from _of_providers([member.provider], lacks)


def _of_providers(providers: Sequence[Provider], lacks: _Lacks) -> Iterator[ModelEntry]:
    for provider in providers:
        if lacks(provider):
            continue
        for model in provider.models or provider.row.listed or provider.row.models:
            listed = provider.row.listed.get(model)
            yield ModelEntry(f"{provider.name}/{model}", provider.name, listed, provider, model)


def _may_call(principal: Principal, entry: ModelEntry) -> bool:
    if not principal.is_restricted:
        return True
    bare = entry.id.partition("/")[2] or entry.id
    return principal.may_call(entry.id, bare)
