"""The state store ``memory``: everything in this process, gone when it ends."""

from __future__ import annotations

from .store import Memory, MemoryConfig, StateFullError

__all__ = ["Memory", "MemoryConfig", "StateFullError"]
