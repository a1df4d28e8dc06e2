"""The built-in stages, registered by the same hooks as those of any plugin."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from llmgate.spec import (
    AuthProvider,
    DomainBook,
    Interceptor,
    Logger,
    ProviderAdapter,
    RoutingStrategy,
    SecretStore,
    StateStore,
    hookimpl,
)

from .auth.anonymous import Anonymous
from .auth.client_certificates import ClientCertificates
from .auth.static_keys import StaticKeys
from .auth.trusted_proxy import TrustedProxy
from .domains.file import File as DomainFile
from .interceptors.cache import Cache
from .interceptors.rate_limit import RateLimit
from .interceptors.request_rules import RequestRules
from .interceptors.target_domains import TargetDomains
from .loggers.alerts import Alerts
from .loggers.json_lines import JsonLines
from .loggers.python_logging import PythonLogging
from .loggers.webhook import Webhook
from .providers.bedrock.adapter import BedrockAdapter
from .providers.echo import EchoAdapter
from .providers.openai.adapter import OpenAIAdapter
from .routing.cost import Cost
from .routing.latency import Latency
from .routing.least_busy import LeastBusy
from .routing.priority import Priority
from .routing.shuffle import Shuffle
from .routing.split import Split
from .routing.tags import Tags
from .routing.weighted import Weighted
from .secrets.env import Env
from .secrets.file import File
from .state.memory import Memory
from .state.sqlite import Sqlite

__all__ = [
    "llmgate_register_auth_providers",
    "llmgate_register_domain_books",
    "llmgate_register_interceptors",
    "llmgate_register_loggers",
    "llmgate_register_provider_adapters",
    "llmgate_register_routing_strategies",
    "llmgate_register_secret_stores",
    "llmgate_register_state_stores",
]


@hookimpl
def llmgate_register_auth_providers() -> Sequence[type[AuthProvider[Any]]]:
    """``static-keys``, ``client-certificates``, ``trusted-proxy`` and ``anonymous``."""
    return (StaticKeys, ClientCertificates, TrustedProxy, Anonymous)


@hookimpl
def llmgate_register_secret_stores() -> Sequence[type[SecretStore[Any]]]:
    """``env`` and ``file``."""
    return (Env, File)


@hookimpl
def llmgate_register_routing_strategies() -> Sequence[type[RoutingStrategy[Any]]]:
    """``priority``, ``weighted``, ``latency``, ``least-busy``, ``cost``, ``random``, ``split`` and ``tags``."""
    return (Priority, Weighted, Latency, LeastBusy, Cost, Shuffle, Split, Tags)


@hookimpl
def llmgate_register_provider_adapters() -> Sequence[type[ProviderAdapter[Any]]]:
    """``bedrock``, ``echo`` and ``openai``."""
    return (BedrockAdapter, EchoAdapter, OpenAIAdapter)


@hookimpl
def llmgate_register_interceptors() -> Sequence[type[Interceptor[Any]]]:
    """``cache``, ``rate-limit``, ``request-rules`` and ``target-domains``."""
    return (Cache, RateLimit, RequestRules, TargetDomains)


@hookimpl
def llmgate_register_state_stores() -> Sequence[type[StateStore[Any]]]:
    """``memory`` and ``sqlite``."""
    return (Memory, Sqlite)


@hookimpl
def llmgate_register_loggers() -> Sequence[type[Logger[Any]]]:
    """``alerts``, ``json-lines``, ``python-logging`` and ``webhook``."""
    return (Alerts, JsonLines, PythonLogging, Webhook)


@hookimpl
def llmgate_register_domain_books() -> Sequence[type[DomainBook[Any]]]:
    """``file``."""
    return (DomainFile,)
