"""The bounds of the file: what has ended goes first, then the values used longest ago."""

from __future__ import annotations

import sqlite3
from typing import Final

from .database import KINDS, StateFileError

__all__ = ["Room"]

_EVERY: Final = 10.0
"""Seconds between two sweeps."""
_SWEPT_AT_ONCE: Final = 500
"""Entries of a kind that one sweep removes at most, so that nobody waits long for it."""
_PAGES: Final = 200
"""Pages that one sweep gives back to the disk at most."""
_EVICTED_AT_ONCE: Final = 50


class Room:
    """Sees to it that what is put into the file fits.

    Args:
        max_entries: Upper bound of entries.
        max_size: Upper bound of the bytes of values.
    """

    def __init__(self, max_entries: int, max_size: int) -> None:
        self._max_entries = max_entries
        self._max_size = max_size
        self._swept = float("-inf")

    def make(self, file: sqlite3.Connection, now: float, wanted: int) -> None:
        """Make room for entries.

        Raises:
            StateFileError: there is none.
        """
        if not abs(now - self._swept) < _EVERY:
            self.sweep(file, now)
        if self._entries(file) + wanted <= self._max_entries:
            return
        self.sweep(file, now, most=None)
        while self._entries(file) + wanted > self._max_entries and self._evict(file):
            pass
        if self._entries(file) + wanted > self._max_entries:
            raise StateFileError(
                f"the state store is full: {self._max_entries} limits, counters and leases are running; "
                "raise max-entries",
                code="state_store_full",
            )

    def make_for_value(self, file: sqlite3.Connection, now: float, size: int) -> bool:
        """Make room for a value of so many bytes; False where there will be none."""
        if size > self._max_size:
            return False
        try:
            self.make(file, now, 1)
        except StateFileError:
            return False
        if self._size(file) + size > self._max_size:
            self.sweep(file, now, most=None)
        while self._size(file) + size > self._max_size and self._evict(file):
            pass
        return self._size(file) + size <= self._max_size

    def sweep(self, file: sqlite3.Connection, now: float, most: int | None = _SWEPT_AT_ONCE) -> None:
        """Remove what has ended."""
        self._swept = now
        for kind in KINDS:
            file.execute(
                f"DELETE FROM {kind} WHERE rowid IN (SELECT rowid FROM {kind} WHERE ends <= ? LIMIT ?)",  # noqa: S608
                (now, -1 if most is None else most),
            )
        (free,) = file.execute("PRAGMA freelist_count").fetchone()
        for _ in range(min(free, _PAGES)):
            file.execute("PRAGMA incremental_vacuum(1)")  # of more than one, sqlite3 would do one all the same

    def _evict(self, file: sqlite3.Connection) -> bool:
        removed = file.execute(
            "DELETE FROM vals WHERE rowid IN (SELECT rowid FROM vals ORDER BY used LIMIT ?)", (_EVICTED_AT_ONCE,)
        )
        return removed.rowcount > 0

    def _entries(self, file: sqlite3.Connection) -> int:
        return int(file.execute("SELECT entries FROM totals").fetchone()[0])

    def _size(self, file: sqlite3.Connection) -> int:
        return int(file.execute("SELECT size FROM totals").fetchone()[0])
