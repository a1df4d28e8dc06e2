"""State that several processes and machines share: counters, rates, leases, values and messages in Redis or Valkey."""

from __future__ import annotations

from llmgate.spec import hookimpl

from .config import RedisConfig
from .errors import StateUnavailableError
from .store import Redis

__all__ = ["Redis", "RedisConfig", "StateUnavailableError", "llmgate_register_state_stores"]


@hookimpl
def llmgate_register_state_stores() -> type[Redis]:
    """``redis``."""
    return Redis
