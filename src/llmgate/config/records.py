"""What the configuration says of records, once it has been read: ``records``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, TypeAlias

import attrs

__all__ = ["JournalConfig", "JournalSync", "RecordsConfig"]

JournalSync: TypeAlias = Literal["group", "os", "always"]


@attrs.frozen
class JournalConfig:
    """The local journal of records.

    Args:
        path: Its directory, shared by all processes.
        sync: When a record is on the disk: before the answer ends, together with others that wait (``group``) or each
            alone (``always``), or when the system likes (``os``), which a killed process survives and a lost power does
            not.
        max_size: Bytes that the undelivered records of one process may take.
        segment_size: Bytes of one of its files.
        on_failure: What becomes of answers whose record cannot be written down.
    """

    path: str
    sync: JournalSync = "group"
    max_size: int = 1024**3
    segment_size: int = 16 * 1024**2
    on_failure: Literal["serve", "refuse"] = "serve"


@attrs.frozen
class RecordsConfig:
    """What is kept of every exchange.

    Args:
        journal: The local journal; None for none.
        content: Which contents are kept.
        content_limit: Bytes of a request and of an answer that are kept.
        redact_keys: Names of members whose values are not kept, beside the usual ones.
        redact_patterns: Regular expressions of what is not kept, beside the usual shapes of secrets.
        stages: Whether the steps on a request's way are measured.
        ingest: Whether callers may tell of calls that they made directly.
    """

    journal: JournalConfig | None = None
    content: Literal["none", "request", "response", "full"] = "none"
    content_limit: int = 64 * 1024
    redact_keys: Sequence[str] = ()
    redact_patterns: Sequence[str] = ()
    stages: bool = False
    ingest: bool = True
