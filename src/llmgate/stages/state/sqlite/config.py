"""What ``sqlite`` can be told."""

from __future__ import annotations

from pathlib import Path

import attrs

__all__ = ["SqliteConfig"]


@attrs.frozen
class SqliteConfig:
    """The config of ``sqlite``.

    Args:
        path: The file, relative to the configuration's own. It is made where it is not there, for its owner alone.
        max_entries: Upper bound of what is kept, all kinds together.
        max_size: Bytes that values (``put``) and their keys may take; then those used longest ago go.
        timeout: Seconds that a call may wait for another process that writes.
        once_ttl: Seconds for which a word given as ``once`` is remembered.
        subscriber_queue: Messages that may wait for one subscriber.
        poll_interval: Seconds between two looks for messages of other processes, while somebody listens.
    """

    path: Path = Path("llmgate-state.db")
    max_entries: int = attrs.field(default=1_000_000, metadata={"minimum": 1, "maximum": 10**9})
    max_size: int = attrs.field(default=1024**3, metadata={"minimum": 1, "maximum": 2**46})
    timeout: float = attrs.field(default=0.25, metadata={"above": 0, "maximum": 0.5, "seconds": True})
    once_ttl: float = attrs.field(default=3600.0, metadata={"above": 0, "maximum": 31 * 86400, "seconds": True})
    subscriber_queue: int = attrs.field(default=1024, metadata={"minimum": 1, "maximum": 1_000_000})
    poll_interval: float = attrs.field(default=0.2, metadata={"minimum": 0.01, "maximum": 60, "seconds": True})
