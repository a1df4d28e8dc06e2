"""Records in ClickHouse."""

from __future__ import annotations

from llmgate.spec import hookimpl

from .logger import ClickHouseRecords

__all__ = ["ClickHouseRecords", "llmgate_register_loggers"]


@hookimpl
def llmgate_register_loggers() -> type[ClickHouseRecords]:
    """``clickhouse``."""
    return ClickHouseRecords
