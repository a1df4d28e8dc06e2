"""Records as lines of CSV."""

from __future__ import annotations

import asyncio
import csv
import io
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Final

from llmgate.spec import Logger, PluginError, Record, StageContext

from .config import ExampleLoggerConfig

__all__ = ["ExampleLogger"]

_WRITE_AT: Final = 500
"""Lines that may wait before they are written, whether or not more are coming."""
_MOST: Final = 50_000
"""Lines that may wait while the file cannot be written; beyond it they are dropped and counted."""
_FORMULA: Final = ("=", "+", "-", "@")


class ExampleLogger(Logger[ExampleLoggerConfig]):
    """Writes each record as a line of CSV. Writing happens in a thread, so that no request waits for a disk."""

    name = "example"
    config_class = ExampleLoggerConfig

    def __init__(self, config: ExampleLoggerConfig) -> None:
        super().__init__(config)
        self.dropped = 0
        self._path: Path | None = None
        self._waiting: list[str] = []
        self._one_at_a_time = asyncio.Lock()

    async def open(self, context: StageContext) -> None:
        """Open the file, and write the head of the table into a new one.

        Raises:
            PluginError: it cannot be written.
        """
        path = context.directory / self.config.path
        self._one_at_a_time = asyncio.Lock()
        try:
            await asyncio.to_thread(_append, path, (), _line(self.config.columns))
        except OSError as error:
            raise PluginError(f"{context.id}: {path} cannot be written: {error.strerror}; check the path") from error
        self._path = path

    async def record(self, record: Record) -> None:
        """Take the record; it is written at the next flush, or at once when many are waiting."""
        if len(self._waiting) >= _MOST:
            self.dropped += 1
            return
        self._waiting.append(_line(_value(record, column) for column in self.config.columns))
        if len(self._waiting) >= _WRITE_AT:
            await self.flush()

    async def flush(self) -> None:
        """Write what is waiting.

        Raises:
            OSError: it cannot be written; it waits for the next time.
        """
        async with self._one_at_a_time:
            if self._path is None or not self._waiting:
                return
            lines, self._waiting = self._waiting, []
            try:
                await asyncio.to_thread(_append, self._path, lines, _line(self.config.columns))
            except OSError:
                self._waiting[:0] = lines
                raise

    async def aclose(self) -> None:
        """Write what is waiting."""
        try:
            await self.flush()
        finally:
            self._path = None


def _append(path: Path, lines: Sequence[str], head: str) -> None:
    with path.open("a", encoding="utf-8", newline="") as file:
        file.write("".join(lines if file.tell() else (head, *lines)))


def _line(values: Iterable[Any]) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerow([_cell(value) for value in values])
    return text.getvalue()


def _value(record: Record, column: str) -> Any:
    return getattr(record, column) if hasattr(record, column) else getattr(record.usage, column, None)


def _cell(value: Any) -> Any:
    """A text in which nothing breaks a line, hides, or is taken for a formula; numbers as they are."""
    if value is None or isinstance(value, int | float):
        return value
    text = "".join(one if one.isprintable() else one.encode("unicode_escape").decode() for one in str(value))
    return f"'{text}" if text.startswith(_FORMULA) else text
