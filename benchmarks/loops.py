"""The event loop of the load and of the fake provider: the fastest there is, so that they are never the bottleneck."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

__all__ = ["run"]

factory: Callable[[], asyncio.AbstractEventLoop]
try:
    from uvloop import new_event_loop as factory
except ImportError:
    factory = asyncio.new_event_loop

T = TypeVar("T")


def run(work: Coroutine[Any, Any, T]) -> T:
    """As ``asyncio.run``."""
    with asyncio.Runner(loop_factory=factory) as runner:
        return runner.run(work)
