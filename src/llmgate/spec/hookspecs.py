"""The hooks: few, synchronous, called once at assembly, and handing over classes.

A plugin module marks its functions with ``hookimpl`` and returns one class or several::

    from llmgate.spec import RoutingStrategy, hookimpl

    @hookimpl
    def llmgate_register_routing_strategies():
        return MyStrategy

A function with a mistyped hook name is an error at start. Two classes with one name in one kind are an error that names
both distributions.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pluggy

from .auth import AuthProvider
from .commands import Command
from .domain_books import DomainBook
from .interceptors import Interceptor
from .loggers import Logger
from .pages import Pages
from .providers import ProviderAdapter
from .routing import RoutingStrategy
from .secrets import SecretStore
from .state import StateStore

__all__ = ["PROJECT", "hookimpl", "hookspec"]

PROJECT = "llmgate"

hookspec = pluggy.HookspecMarker(PROJECT)
hookimpl = pluggy.HookimplMarker(PROJECT)


@hookspec
def llmgate_register_auth_providers() -> type[AuthProvider[Any]] | Sequence[type[AuthProvider[Any]]]:  # type: ignore[empty-body]
    """Return auth providers. Called once when a registry is filled, before any configuration is structured."""


@hookspec
def llmgate_register_secret_stores() -> type[SecretStore[Any]] | Sequence[type[SecretStore[Any]]]:  # type: ignore[empty-body]
    """Return secret stores. Called once when a registry is filled, before any configuration is structured."""


@hookspec
def llmgate_register_routing_strategies() -> type[RoutingStrategy[Any]] | Sequence[type[RoutingStrategy[Any]]]:  # type: ignore[empty-body]
    """Return routing strategies. Called once when a registry is filled, before any configuration is structured."""


@hookspec
def llmgate_register_provider_adapters() -> type[ProviderAdapter[Any]] | Sequence[type[ProviderAdapter[Any]]]:  # type: ignore[empty-body]
    """Return provider adapters. Called once when a registry is filled, before any configuration is structured."""


@hookspec
def llmgate_register_interceptors() -> type[Interceptor[Any]] | Sequence[type[Interceptor[Any]]]:  # type: ignore[empty-body]
    """Return interceptors. Called once when a registry is filled, before any configuration is structured."""


@hookspec
def llmgate_register_state_stores() -> type[StateStore[Any]] | Sequence[type[StateStore[Any]]]:  # type: ignore[empty-body]
    """Return state stores. Called once when a registry is filled, before any configuration is structured."""


@hookspec
def llmgate_register_loggers() -> type[Logger[Any]] | Sequence[type[Logger[Any]]]:  # type: ignore[empty-body]
    """Return loggers. Called once when a registry is filled, before any configuration is structured."""


@hookspec
def llmgate_register_pages() -> type[Pages[Any]] | Sequence[type[Pages[Any]]]:  # type: ignore[empty-body]
    """Return pages of the host. Called once when a registry is filled, before any configuration is structured."""


@hookspec
def llmgate_register_domain_books() -> type[DomainBook[Any]] | Sequence[type[DomainBook[Any]]]:  # type: ignore[empty-body]
    """Return books of domains. Called once when a registry is filled, before any configuration is structured."""


@hookspec
def llmgate_register_commands() -> type[Command] | Sequence[type[Command]]:  # type: ignore[empty-body]
    """Return commands of the ``llmgate`` program. Called when one of their group is called for, and only then."""
