"""The state store ``sqlite``: a file that all processes of a machine share, and that outlives them."""

from __future__ import annotations

from .config import SqliteConfig
from .database import StateFileError
from .store import Sqlite

__all__ = ["Sqlite", "SqliteConfig", "StateFileError"]
