"""The logs of ``llmgate serve``: the application's on standard error, the access log on standard output.

Whatever is in a message, it is one line, and none can look like another.
"""

from __future__ import annotations

import json
import logging
import sys
import traceback
from typing import Final

from llmgate.host.access_log import LineFormatter, LineHandler, access_logger

__all__ = ["CompactFormatter", "JSONFormatter", "start_logging"]

LONGEST: Final = 32 * 1024
"""Characters of a message or a traceback; the rest is left out."""


class CompactFormatter(LineFormatter):
    """Time of day, the level's first letter, message; a traceback is its last line, at the end of the same line."""

    def __init__(self) -> None:
        super().__init__()
        self._style = logging.PercentStyle("%(asctime)s %(levelname).1s %(name)s: %(message)s")
        self.datefmt = "%H:%M:%S"

    def format(self, record: logging.LogRecord) -> str:
        """The line."""
        record.message = record.getMessage()
        record.asctime = self.formatTime(record, self.datefmt)
        if record.exc_info and record.exc_info[0] is not None:
            last = traceback.format_exception_only(*record.exc_info[:2])[-1].strip()
            record.message = f"{record.message} ({last})"
        return self.formatMessage(record)


class JSONFormatter(logging.Formatter):
    """One JSON object a line, in ASCII, so that no control byte survives.

    Args:
        worker: The number of the worker that writes; None for a single process.
    """

    def __init__(self, worker: int | None = None) -> None:
        super().__init__()
        self._worker = worker

    def format(self, record: logging.LogRecord) -> str:
        """The line."""
        line: dict[str, object] = {
            "time": round(record.created, 3),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage()[:LONGEST],
        }
        if self._worker is not None:
            line["worker"] = self._worker
        if record.exc_info and record.exc_info[0] is not None:
            line["exception"] = self.formatException(record.exc_info)[-LONGEST:]
        return json.dumps(line, ensure_ascii=True, separators=(",", ":"))


def start_logging(level: str, shape: str, *, access: bool, worker: int | None = None) -> None:
    """Send the application log to standard error and the access log to standard output, each on its own.

    Args:
        level: The least level that is logged.
        shape: ``pretty``, ``compact`` or ``json``.
        access: Whether requests are logged.
        worker: The number of the worker that writes; None for a single process.
    """
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_formatter(shape, worker))
    ours = logging.getLogger("llmgate")
    ours.setLevel(level.upper())
    ours.handlers = [handler]
    ours.propagate = False
    # Plugins, libraries and warnings too: one line that is not JSON breaks whoever reads the log.
    logging.getLogger().handlers = [handler]
    logging.captureWarnings(capture=True)
    access_logger.handlers = [LineHandler(sys.stdout)]
    access_logger.propagate = False
    access_logger.setLevel("INFO" if access else "WARNING")


def _formatter(shape: str, worker: int | None) -> logging.Formatter:
    if shape == "json":
        return JSONFormatter(worker)
    return CompactFormatter() if shape == "compact" else LineFormatter()
