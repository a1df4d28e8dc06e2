"""Records as ordinary Python log records, for applications that already have logging."""

from __future__ import annotations

import asyncio
import logging
from typing import Any, Final

import attrs

from llmgate.spec import Logger, Record

__all__ = ["PythonLogging", "PythonLoggingConfig", "line_of"]

_LEVELS: Final = {"debug": 10, "info": 20, "warning": 30, "error": 40, "critical": 50}


def _level(_: object, attribute: attrs.Attribute[str], value: str) -> None:
    if value.lower() not in _LEVELS:
        raise ValueError(f"{attribute.name.replace('_', '-')}: {value!r} is not one of {', '.join(_LEVELS)}")


@attrs.frozen
class PythonLoggingConfig:
    """The config of ``python-logging``.

    Args:
        logger: The name of the Python logger.
        level: The level of records of exchanges that went well: debug, info, warning, error or critical.
        failure_level: The level of the others.
    """

    logger: str = attrs.field(default="llmgate.exchange", validator=attrs.validators.min_len(1))
    level: str = attrs.field(default="info", validator=_level)
    failure_level: str = attrs.field(default="warning", validator=_level)


class PythonLogging(Logger[PythonLoggingConfig]):
    """Hands each record to a Python logger: one line of text, and the whole record as the attribute ``exchange``."""

    name = "python-logging"
    config_class = PythonLoggingConfig

    async def record(self, record: Record) -> None:
        """Log the record; the handlers run in a thread, since they may write to disk or network."""
        logger = logging.getLogger(self.config.logger)
        level = _LEVELS[(self.config.level if record.outcome == "ok" else self.config.failure_level).lower()]
        if logger.isEnabledFor(level):
            extra: dict[str, Any] = {"exchange": record.as_json()}
            await asyncio.to_thread(logger.log, level, "%s", line_of(record), extra=extra)


def line_of(record: Record) -> str:
    """The record in one line; nothing in it can begin another."""
    words = [
        f"exchange {record.id}",
        record.outcome,
        str(record.status or "-"),
        f"model={record.request_model or '-'}",
        f"provider={record.provider_name or '-'}",
        f"principal={record.principal or '-'}",
        f"attempts={len(record.attempts)}",
        f"duration={record.duration:.3f}s",
    ]
    if record.usage is not None:
        words.append(f"tokens={_count(record.usage.input_tokens)}/{_count(record.usage.output_tokens)}")
    if record.error_code is not None:
        words.append(f"error={record.error_code}: {record.error_message or ''}".rstrip())
    return " ".join(_printable(word) for word in words)


def _count(tokens: int | None) -> str:
    return "?" if tokens is None else str(tokens)


def _printable(text: str) -> str:
    """The text with control characters and line separators escaped, at most 500 characters long."""
    shown = text if len(text) <= 500 else text[:499] + "…"
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode("ascii") for char in shown)
