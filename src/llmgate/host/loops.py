"""Which event loop a server runs on, and whether what it is told to use is there."""

from __future__ import annotations

import asyncio
import importlib.util
from collections.abc import Callable
from typing import TypeAlias

from llmgate.config.server import ServerConfig

__all__ = ["LoopFactory", "loop_factory", "loop_name", "require_installed"]

LoopFactory: TypeAlias = "Callable[[], asyncio.AbstractEventLoop]"


def loop_name(server: ServerConfig) -> str:
    """The loop that a host's settings come to: ``asyncio`` or ``uvloop``.

    ``auto`` leaves hypercorn on asyncio's: there uvloop gains nothing that could be measured.
    """
    if server.loop != "auto":
        return server.loop
    return "uvloop" if server.use == "uvicorn" and importlib.util.find_spec("uvloop") is not None else "asyncio"


def loop_factory(name: str) -> LoopFactory:
    """What makes a loop of a name.

    Raises:
        ModuleNotFoundError: it is not installed.
    """
    if name == "uvloop":
        import uvloop  # late: it comes with llmgate[fast] only

        factory: LoopFactory = uvloop.new_event_loop
        return factory
    return asyncio.new_event_loop


def require_installed(server: ServerConfig) -> None:
    """Refuse a choice that is not there, before anything is bound or started.

    Raises:
        ModuleNotFoundError: naming what is missing.
    """
    wanted = [*(("uvicorn", "httptools") if server.use == "uvicorn" else ()), loop_name(server)]
    for name in wanted:
        if importlib.util.find_spec(name) is None:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
