"""Which models a caller may ask for, by the names that this gateway understands."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import attrs

from llmgate.spec import ListedModel, ModelNotFoundError, Principal, Provider

from .credentials import SecretBroker
from .snapshot import Route, Snapshot

__all__ = ["ModelEntry", "list_models"]


@attrs.frozen
class ModelEntry:
    """One model of the list.

    Args:
        id: What to write as ``model``.
        owned_by: The provider, or ``llmgate`` for a router.
        listed: What the provider itself says of it; None where it was not asked.
    """

    id: str
    owned_by: str
    listed: ListedModel | None = None


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
    if router is None:
        aliases = [ModelEntry(name, "llmgate") for name in snapshot.unified.aliases.names]
        entries = [*aliases, *_of_routers(snapshot), *_of_providers(list(snapshot.unified.providers.values()), secrets)]
    elif router in snapshot.routers:
        entries = list(_of_route(snapshot.routers[router], secrets))
    else:
        raise ModelNotFoundError(f"router {router!r} is not configured", code="router_not_found")
    unique = {entry.id: entry for entry in entries if _may_call(principal, entry)}
    return list(unique.values())


def _of_routers(snapshot: Snapshot) -> Iterator[ModelEntry]:
    for route in snapshot.routers.values():
        if any(balance.by_model for balance in route.balances.values()):
            yield ModelEntry(str(route.id), "llmgate")


def _of_route(route: Route, secrets: SecretBroker) -> Iterator[ModelEntry]:
    for balance in route.balances.values():
        for member in balance.members:
            if member.model is not None:
                yield ModelEntry(f"{member.provider.name}/{member.model}", member.provider.name)
            else:
                yield from _of_providers([member.provider], secrets)


def _of_providers(providers: Sequence[Provider], secrets: SecretBroker) -> Iterator[ModelEntry]:
    for provider in providers:
        if secrets.lacks(provider):
            continue
        for model in provider.models or provider.row.listed or provider.row.models:
            yield ModelEntry(f"{provider.name}/{model}", provider.name, provider.row.listed.get(model))


def _may_call(principal: Principal, entry: ModelEntry) -> bool:
    if not principal.is_restricted:
        return True
    bare = entry.id.partition("/")[2] or entry.id
    return principal.may_call(entry.id, bare)
