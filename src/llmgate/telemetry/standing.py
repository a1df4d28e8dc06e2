"""What is measured of the gateway itself and not of an exchange: breakers, queues of loggers, the journal."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

import attrs

from .measurements import OTHER, Instrument, Measurement, Names

__all__ = ["STANDING", "Breaker", "LoggerStanding", "MeasureStanding", "Standing"]

MOST_LOGGERS: Final = 100
_LOGGER: Final = ("llmgate.logger",)

BREAKER: Final = Instrument(
    "llmgate.deployment.breaker",
    "1",
    "0 where a deployment is asked as ever, 1 where a request may try it, 2 where it is left out",
    ("llmgate.deployment",),
    across="max",
)
WAITING: Final = Instrument(
    "llmgate.logger.waiting", "{record}", "Records that wait for a logger", _LOGGER, across="sum"
)
BACKLOG: Final = Instrument(
    "llmgate.logger.backlog", "By", "Bytes in the journal that wait for a logger", _LOGGER, across="sum"
)
OLDEST: Final = Instrument(
    "llmgate.logger.oldest", "s", "Time that the oldest record has waited for a logger", _LOGGER, across="max"
)
FAILING: Final = Instrument(
    "llmgate.logger.failing", "1", "1 where a logger has not taken what it was last brought", _LOGGER, across="max"
)
DROPPED: Final = Instrument("llmgate.logger.dropped", "{record}", "Records that a logger will never get", _LOGGER)
FAILURES: Final = Instrument("llmgate.logger.failures", "{failure}", "How often a logger has failed", _LOGGER)
DOWN: Final = Instrument("llmgate.journal.down", "1", "1 where the journal cannot be written", (), across="max")
UNWRITTEN: Final = Instrument(
    "llmgate.journal.failed", "{record}", "Records that could not be written into the journal", ()
)

STANDING: Final = (BREAKER, WAITING, BACKLOG, OLDEST, FAILING, DROPPED, FAILURES, DOWN, UNWRITTEN)

_STATES: Final = {"closed": 0, "half-open": 1, "open": 2}


@attrs.frozen
class LoggerStanding:
    """How records get to one logger.

    Args:
        id: What messages call it.
        waiting: Records that wait for it.
        size: Their bytes in the journal; 0 where they wait in memory.
        oldest: Seconds that the oldest of them has waited; None where none waits, or nobody can tell.
        failing: Whether it has not taken what it was last brought.
        dropped: Records that it will never get.
        failed: How often it has failed.
    """

    id: str
    waiting: int
    size: int
    oldest: float | None
    failing: bool
    dropped: int
    failed: int


@attrs.frozen
class Breaker:
    """The state of one deployment; ``known`` where it has answered or is left out, so that its name is no invention."""

    deployment: str
    state: str
    known: bool


@attrs.frozen
class Standing:
    """How one process does now.

    Args:
        loggers: Each of the loggers.
        breakers: Each deployment that has been asked.
        journal_down: Whether the journal cannot be written; None where there is none.
        journal_failed: Records that could not be.
    """

    loggers: Sequence[LoggerStanding] = ()
    breakers: Sequence[Breaker] = ()
    journal_down: bool | None = None
    journal_failed: int = 0


class MeasureStanding:
    """Reads measurements off standings; those of counters are totals that never fall, also over a reload.

    Args:
        max_models: How many deployments become labels.
    """

    def __init__(self, max_models: int) -> None:
        self._deployments = Names(max_models)
        self._loggers = Names(MOST_LOGGERS)
        self._totals: dict[tuple[str, str], tuple[int, int]] = {}

    def read(self, standing: Standing) -> Iterator[Measurement]:
        """Everything that a standing says, each instrument with each label once."""
        states: dict[str, int] = {}
        for one in standing.breakers:
            label = self._deployments.label(one.deployment, proven=one.known)
            if one.known or label != OTHER:
                states[label] = max(states.get(label, 0), _STATES[one.state])
        for label, state in states.items():
            yield Measurement(BREAKER, state, (label,))
        loggers: dict[str, list[LoggerStanding]] = {}
        for logger in standing.loggers:
            loggers.setdefault(self._loggers.label(logger.id, proven=True), []).append(logger)
        for label, alike in loggers.items():
            yield Measurement(WAITING, sum(one.waiting for one in alike), (label,))
            yield Measurement(BACKLOG, sum(one.size for one in alike), (label,))
            yield Measurement(OLDEST, max(one.oldest or 0.0 for one in alike), (label,))
            yield Measurement(FAILING, int(any(one.failing for one in alike)), (label,))
            yield Measurement(DROPPED, self._total(DROPPED, label, sum(one.dropped for one in alike)), (label,))
            yield Measurement(FAILURES, self._total(FAILURES, label, sum(one.failed for one in alike)), (label,))
        if standing.journal_down is not None:
            yield Measurement(DOWN, int(standing.journal_down), ())
            yield Measurement(UNWRITTEN, self._total(UNWRITTEN, "", standing.journal_failed), ())

    def _total(self, instrument: Instrument, label: str, count: int) -> int:
        """A count that goes on where what counted has been replaced and begins anew."""
        last, total = self._totals.get((instrument.name, label), (0, 0))
        total += count - last if count >= last else count
        self._totals[instrument.name, label] = (count, total)
        return total
