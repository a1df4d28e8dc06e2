"""The kind that receives the record of every exchange."""

from __future__ import annotations

from abc import abstractmethod

from .exchange import Record
from .stage import ConfigT, Stage

__all__ = ["Logger"]


class Logger(Stage[ConfigT]):
    """Receives records from a bounded queue of its own; it can neither slow nor fail a request.

    The pipeline calls ``record`` from one task, catches and counts what it raises, counts what the full queue drops,
    and drains the queue before ``aclose``.
    """

    @abstractmethod
    async def record(self, record: Record) -> None:
        """Take the record of a settled exchange."""

    async def flush(self) -> None:
        """Everything recorded so far has been taken: write out what is buffered. Called when the queue runs empty."""
