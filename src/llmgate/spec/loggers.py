"""The kind that receives the record of every exchange."""

from __future__ import annotations

from abc import abstractmethod

from .records import Record
from .stage import ConfigT, Stage

__all__ = ["Logger"]


class Logger(Stage[ConfigT]):
    """Receives records from a bounded queue of its own; it can neither slow nor fail a request.

    The pipeline calls ``record`` from one task, catches and counts what it raises, counts what the full queue drops,
    and drains the queue before ``aclose``.

    A logger that is ``durable`` is brought its records from the journal instead, where one is kept
    (``records.journal``): at least once each, in the order in which each process wrote them. A record counts as taken
    when a ``flush`` behind it has returned. When ``record`` or ``flush`` raises, or the process dies, everything since
    the last ``flush`` that returned is brought again; records carry their ``id``, by which the logger knows them.
    """

    durable: bool = False
    """Whether what ``flush`` has returned from is kept, and a record that comes twice is kept once.

    A class says so for all its instances, or an instance, in its constructor, for what its config asks for.
    """

    @abstractmethod
    async def record(self, record: Record) -> None:
        """Take the record of a settled exchange."""

    async def flush(self) -> None:
        """Everything recorded so far has been taken: write out what is buffered. Called when the queue runs empty."""

    async def expect_repeats(self) -> None:
        """What comes next may have come before: a call has failed, or the process that took it is dead.

        A durable logger drops what it has taken and not yet written, since it comes again, and makes sure that it knows
        what it has written.
        """
