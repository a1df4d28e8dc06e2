"""Which stage classes exist: the built-in ones, those handed over, and those that installed distributions offer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .discovery import GROUP, EntryPointPlugin, discover
from .info import PluginInfo

if TYPE_CHECKING:
    from .registry import Registry

__all__ = ["GROUP", "EntryPointPlugin", "PluginInfo", "Registry", "discover"]


def __getattr__(name: str) -> Any:
    # Late: the registry brings every built-in stage, which looking for the commands of plugins need not.
    if name != "Registry":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from .registry import Registry

    return Registry
