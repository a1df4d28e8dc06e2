"""What the operator wrote: read with positions, completed from the environment, checked, and turned into values.

The values (``model``) are what a running gateway holds; whoever imports only them does not pay for the YAML reader.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .loading import blocked_plugins, find_file, load
    from .source import ConfigText

__all__ = ["ConfigText", "blocked_plugins", "find_file", "load"]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from . import loading, source  # late: they take ruamel and cattrs, as long to import as all the rest

    return getattr(source if name == "ConfigText" else loading, name)
