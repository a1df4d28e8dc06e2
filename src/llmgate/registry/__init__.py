"""Which stage classes exist: the built-in ones, those handed over, and those that installed distributions offer."""

from __future__ import annotations

from .discovery import GROUP, EntryPointPlugin, discover
from .info import PluginInfo
from .registry import Registry

__all__ = ["GROUP", "EntryPointPlugin", "PluginInfo", "Registry", "discover"]
