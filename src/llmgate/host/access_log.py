"""Our own access log: one line of JSON a request, which no request can forge."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import time
from json.encoder import encode_basestring_ascii as _quoted
from typing import TYPE_CHECKING, Any, Final, TextIO

if TYPE_CHECKING:
    from .calls import Call

__all__ = ["LineFormatter", "LineHandler", "access_logger", "write_line"]

access_logger: Final = logging.getLogger("llmgate.access")

LONGEST: Final = 512
"""Upper bound of any text in a line."""


ONE_WRITE: Final = 4096
"""Bytes that are written at once: what a pipe takes whole (POSIX), though several processes write to it."""


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


class LineHandler(logging.StreamHandler[TextIO]):
    """Writes messages as they are, those of one turn of the event loop at once.

    It is a handler like any other: a logger that has it beside others, or filters, works as ever.
    """

    def __init__(self, stream: TextIO) -> None:
        super().__init__(stream)
        self._waiting: list[str] = []
        self._size = 0

    def alone_on(self, logger: logging.Logger) -> bool:
        """Whether nothing else would see or refuse a message of that logger."""
        return logger.handlers == [self] and not (logger.propagate or logger.filters or self.filters or self.level)

    def take(self, text: str) -> None:
        """Write a line before the event loop waits again; only for the loop's own thread."""
        self._size += len(text) + 1
        if self._size > ONE_WRITE:
            self.flush()
            self._size = len(text) + 1
        if not self._waiting:
            asyncio.get_running_loop().call_soon(self.flush)
        self._waiting.append(text)

    def emit(self, record: logging.LogRecord) -> None:
        """Write a record's message behind the lines that wait."""
        self._waiting.append(self.format(record))
        self.flush()

    def flush(self) -> None:
        """Write what waits."""
        with self.lock or contextlib.nullcontext():
            waiting, self._waiting, self._size = self._waiting, [], 0
            if not waiting:
                return
            try:
                self.stream.write("\n".join(waiting) + "\n")
                self.stream.flush()
            except Exception:  # noqa: BLE001 - logging's way: a log that cannot be written stops nothing
                self.handleError(logging.makeLogRecord({"name": access_logger.name, "msg": waiting[0]}))


def write_line(call: Call) -> None:
    """Log one served request; JSON escapes control bytes, quotes and everything beyond ASCII."""
    logger = access_logger
    if not logger.isEnabledFor(logging.INFO):
        return
    line = (
        f'{{"time":{time.time():.3f},"method":{_quoted(call.method[:32])},"path":{_quoted(call.path[:LONGEST])},'
        f'"status":{call.logged_status:d},"bytes":{call.reply.sent:d},"duration_ms":{call.age * 1000:.2f},'
        f'"request_id":{_quoted(call.request_id)},"client":{_quoted(call.client_address)}'
    )
    if call.error_code is not None:
        line += f',"error":{_quoted(call.error_code[:LONGEST])}'
    if call.stopped is not None:
        line += f',"stopped":{_quoted(call.stopped.value)}'
    line += "}"
    handler = logger.handlers[0] if logger.handlers else None
    if isinstance(handler, LineHandler) and handler.alone_on(logger):
        # What logging would do besides, it would do for nobody, and it takes as long as all the rest of this.
        handler.take(line)
    else:
        logger.info("%s", line)
