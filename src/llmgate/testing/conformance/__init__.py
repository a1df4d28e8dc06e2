"""The conformance kit: what every stage promises, as tests. It is the plugin documentation that runs.

A plugin's whole conformance test is a subclass with a few properties::

    from llmgate.testing.conformance import RoutingConformance

    class TestMyStrategy(RoutingConformance):
        stage_class = MyStrategy
        config = MyConfig(share=0.5)

The asynchronous tests need pytest-asyncio. A test of the kit that a stage cannot pass is overridden with
``@pytest.mark.xfail(reason=...)``; overriding one without is refused.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .auth import AuthConformance as AuthConformance
    from .base import StageConformance as StageConformance
    from .domains import DomainConformance as DomainConformance
    from .interceptors import InterceptorConformance as InterceptorConformance
    from .loggers import LoggerConformance as LoggerConformance
    from .pages import PagesConformance as PagesConformance
    from .providers import ProviderConformance as ProviderConformance
    from .routing import RoutingConformance as RoutingConformance
    from .secrets import SecretConformance as SecretConformance
    from .state import StateConformance as StateConformance

__all__ = [
    "AuthConformance",
    "DomainConformance",
    "InterceptorConformance",
    "LoggerConformance",
    "PagesConformance",
    "ProviderConformance",
    "RoutingConformance",
    "SecretConformance",
    "StageConformance",
    "StateConformance",
]

_HOMES = {
    "AuthConformance": "auth",
    "DomainConformance": "domains",
    "InterceptorConformance": "interceptors",
    "LoggerConformance": "loggers",
    "PagesConformance": "pages",
    "ProviderConformance": "providers",
    "RoutingConformance": "routing",
    "SecretConformance": "secrets",
    "StageConformance": "base",
    "StateConformance": "state",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
