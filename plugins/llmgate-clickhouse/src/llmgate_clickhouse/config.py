"""What the configuration may say: each field is a key, in kebab-case in the file."""

from __future__ import annotations

import re
from typing import Any, Final

import attrs

from llmgate.spec import Batching, SecretRef, a_service

__all__ = ["ClickHouseConfig"]

_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,63}")
_DAY: Final = 86_400.0
_LONGEST: Final = 50 * 365 * _DAY
"""The server reckons the end of a row in 32 bits, which are full in 2106; what is beyond ends at once."""


def _a_name(_: object, field: attrs.Attribute[Any], name: str) -> None:
    if not _NAME.fullmatch(name):
        raise ValueError(f"{field.name}: write letters, digits and underscores, up to 64 of them", field)


def _a_time(_: object, field: attrs.Attribute[Any], seconds: float | None) -> None:
    if seconds is not None and not _DAY <= seconds <= _LONGEST:
        raise ValueError(f"{field.name.replace('_', '-')}: write a day at least, 18250d at most, or null", field)


@attrs.frozen
class ClickHouseConfig:
    """The keys of ``clickhouse``.

    Args:
        url: Where the server's HTTP interface is.
        database: The database of the tables.
        user: Who the gateway is to the server.
        password: The user's password, None for none.
        create: Whether database, tables and columns that are missing are made.
        hourly: Whether usage by the hour is kept as well; needs ClickHouse 24.10.
        keep: Seconds that records are kept; None for ever.
        keep_content: Seconds that content is kept; None for ever.
        batch: How many records are inserted at once, and how long they wait while the server takes none.
    """

    url: str = attrs.field(validator=a_service)
    database: str = attrs.field(default="llmgate", validator=_a_name)
    user: str = "default"
    password: SecretRef | None = None
    create: bool = True
    hourly: bool = True
    keep: float | None = attrs.field(default=None, validator=_a_time)
    keep_content: float | None = attrs.field(default=30 * _DAY, validator=_a_time)
    batch: Batching = Batching(records=10_000, size=16 * 1024 * 1024, waiting=50_000)
