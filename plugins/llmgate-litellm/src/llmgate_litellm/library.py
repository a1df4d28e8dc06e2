"""Brings litellm in: late, beside the event loop, and quiet."""

from __future__ import annotations

import importlib
import os
import sys
import threading
from collections.abc import Mapping
from typing import Any, Final

import attrs

from llmgate.spec import PluginError

__all__ = ["bring_in", "let_go"]

_QUIET: Final = {
    "LITELLM_LOCAL_MODEL_COST_MAP": "True",
    "LITELLM_LOCAL_ANTHROPIC_BETA_HEADERS": "True",
    "LITELLM_LOCAL_BLOG_POSTS": "True",
    "LITELLM_MODE": "PRODUCTION",
}
"""What keeps litellm from fetching tables at its import, and from reading a ``.env`` into the environment."""

_HOOKS: Final = ("callbacks", "input_callback", "service_callback", "success_callback", "failure_callback",
                 "_async_success_callback", "_async_failure_callback")  # fmt: skip


_SETTINGS: Final[Mapping[str, Any]] = {
    "suppress_debug_info": True, "turn_off_message_logging": True, "disable_streaming_logging": True,
    "num_retries": None, "fallbacks": None, "cache": None, "drop_params": False,
}  # fmt: skip


@attrs.define
class _Shared:
    """litellm is one for the whole process, as its connections are: the last who lets go of it closes them."""

    lock: threading.Lock = attrs.field(factory=threading.Lock)
    users: int = 0
    ours: bool = False


_shared: Final = _Shared()


def bring_in() -> Any:
    """The library, imported when first asked for; to be called in a thread, since it takes seconds.

    Raises:
        PluginError: it is not installed, or cannot be imported.
    """
    with _shared.lock:
        known = "litellm" in sys.modules
        for name, value in _QUIET.items():
            os.environ.setdefault(name, value)
        try:
            library = importlib.import_module("litellm")
        except ImportError as error:
            raise PluginError(f"litellm cannot be imported ({error}): pip install llmgate-litellm") from error
        if not known:  # whoever has imported it before us has set it up for himself
            _silence(library)
            _shared.ours = True
        _shared.users += 1
        return library


async def let_go(library: Any) -> None:
    """Close litellm's connections, unless others in this process use them."""
    with _shared.lock:
        _shared.users -= 1
        last = _shared.users == 0 and _shared.ours
    close = getattr(library, "close_litellm_async_clients", None)
    if last and close is not None:
        await close()


def _silence(library: Any) -> None:
    for name in _HOOKS:
        if hasattr(library, name):
            setattr(library, name, [])
    for name, value in _SETTINGS.items():
        setattr(library, name, value)
