"""The nine kinds of stages: what each is called, where it is configured and which hook registers it."""

from __future__ import annotations

from typing import Any, Final

import attrs

from .auth import AuthProvider
from .domain_books import DomainBook
from .interceptors import Interceptor
from .loggers import Logger
from .pages import Pages
from .providers import ProviderAdapter
from .routing import RoutingStrategy
from .secrets import SecretStore
from .stage import Stage
from .state import StateStore

__all__ = ["KINDS", "StageKind", "kind_named"]


@attrs.frozen
class StageKind:
    """One kind of stage.

    Args:
        id: Its short name: the folder in ``stages/`` and what ``llmgate plugins`` prints.
        base: The class that its stages derive from.
        hook: The registration hook.
    """

    id: str
    base: type[Stage[Any]]
    hook: str


KINDS: Final = (
    StageKind("auth", AuthProvider, "llmgate_register_auth_providers"),
    StageKind("secrets", SecretStore, "llmgate_register_secret_stores"),
    StageKind("routing", RoutingStrategy, "llmgate_register_routing_strategies"),
    StageKind("providers", ProviderAdapter, "llmgate_register_provider_adapters"),
    StageKind("interceptors", Interceptor, "llmgate_register_interceptors"),
    StageKind("state", StateStore, "llmgate_register_state_stores"),
    StageKind("loggers", Logger, "llmgate_register_loggers"),
    StageKind("pages", Pages, "llmgate_register_pages"),
    StageKind("domains", DomainBook, "llmgate_register_domain_books"),
)


def kind_named(kind_id: str) -> StageKind:
    """The kind with that id.

    Raises:
        KeyError: there is none.
    """
    for kind in KINDS:
        if kind.id == kind_id:
            return kind
    raise KeyError(kind_id)
