"""What the operator wrote: read with positions, completed from the environment, checked, and turned into values."""

from __future__ import annotations

from .loading import blocked_plugins, find_file, load
from .source import ConfigText

__all__ = ["ConfigText", "blocked_plugins", "find_file", "load"]
