"""Our own access log: one line of JSON a request, which no request can forge."""

from __future__ import annotations

import json
import logging
import time
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from .calls import Call

__all__ = ["LineFormatter", "access_logger", "write_line"]

access_logger: Final = logging.getLogger("llmgate.access")

LONGEST: Final = 512
"""Upper bound of any text in a line."""


class LineFormatter(logging.Formatter):
    """One line a message, whatever is in it; traceback lines are indented, so that none looks like a message."""

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)s %(name)s: %(message)s")

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - logging's name
        """The message's line with its control characters escaped."""
        return "".join(char if char.isprintable() else _escaped(char) for char in super().formatMessage(record))

    def formatException(self, ei: Any) -> str:  # noqa: N802 - logging's name
        """The traceback, each line indented."""
        return "\n".join(f"    {line}" for line in super().formatException(ei).splitlines())


def _escaped(char: str) -> str:
    return json.dumps(char)[1:-1] if char < " " else f"\\u{ord(char):04x}"


def write_line(call: Call) -> None:
    """Log one served request; JSON escapes control bytes, quotes and everything beyond ASCII."""
    if not access_logger.isEnabledFor(logging.INFO):
        return
    line: dict[str, object] = {
        "time": round(time.time(), 3),
        "method": call.method[:32],
        "path": call.path[:LONGEST],
        "status": call.logged_status,
        "bytes": call.reply.sent,
        "duration_ms": round(call.age * 1000, 2),
        "request_id": call.request_id,
        "client": call.client_address,
    }
    if call.error_code is not None:
        line["error"] = call.error_code[:LONGEST]
    if call.stopped is not None:
        line["stopped"] = call.stopped.value
    access_logger.info("%s", json.dumps(line, ensure_ascii=True, separators=(",", ":")))
