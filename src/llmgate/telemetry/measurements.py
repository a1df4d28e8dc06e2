"""What is measured of every exchange: the instruments, and what a record says to each of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Final, Literal, NamedTuple

import attrs

from llmgate.spec import AttemptRecord, Record

from .attributes import provider_name

__all__ = ["INSTRUMENTS", "OTHER", "Instrument", "Measure", "Measurement", "Names"]

_SECONDS: Final = (0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92)
_TOKENS: Final = tuple(4.0**power for power in range(14))
_FIRST: Final = (0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0)
_PER_TOKEN: Final = (0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.75, 1.0, 2.5)

OTHER: Final = "other"


@attrs.frozen
class Instrument:
    """Something that is measured.

    Args:
        name: As OpenTelemetry writes it.
        unit: In UCUM: ``s``, ``{token}``, ``{exchange}``.
        meaning: One line.
        labels: The attributes that every measurement has.
        buckets: Upper bounds of a histogram; empty for what is none.
        across: How what several workers say of a gauge is taken together, ``sum`` or ``max``; empty for what is none.
    """

    name: str
    unit: str
    meaning: str
    labels: Sequence[str]
    buckets: Sequence[float] = ()
    across: Literal["sum", "max", ""] = ""


_VERDICTS: Final = frozenset({"hit", "stale", "miss", "passed", "waited", "refused", "skipped"})
_MODEL: Final = ("gen_ai.operation.name", "gen_ai.provider.name", "gen_ai.request.model")

TOKENS: Final = Instrument(
    "gen_ai.client.token.usage", "{token}", "Tokens of an attempt", (*_MODEL, "gen_ai.token.type"), _TOKENS
)
DURATION: Final = Instrument(
    "gen_ai.client.operation.duration", "s", "Time that an attempt took", (*_MODEL, "error.type"), _SECONDS
)
FIRST_CHUNK: Final = Instrument(
    "gen_ai.client.operation.time_to_first_chunk", "s", "Time to the first content of a stream", _MODEL, _FIRST
)
PER_TOKEN: Final = Instrument(
    "gen_ai.server.time_per_output_token", "s", "Time per token of a stream behind its first", _MODEL, _PER_TOKEN
)
EXCHANGES: Final = Instrument(
    "llmgate.exchanges",
    "{exchange}",
    "Requests that are over",
    ("llmgate.surface", "gen_ai.operation.name", "llmgate.router", "llmgate.outcome", "http.response.status_code"),
)
EXCHANGE_DURATION: Final = Instrument(
    "llmgate.exchange.duration", "s", "Time from a request to its end", ("llmgate.surface", "llmgate.outcome"), _SECONDS
)
ATTEMPTS: Final = Instrument(
    "llmgate.attempts",
    "{attempt}",
    "Upstream tries that are over",
    ("llmgate.provider", "gen_ai.request.model", "error.type"),
)

COST: Final = Instrument(
    "llmgate.cost.nano_usd", "n{USD}", "What upstream tries cost, as far as it is known", ("llmgate.provider", *_MODEL)
)

CACHE: Final = Instrument(
    "llmgate.cache.lookups", "{lookup}", "Requests of which a cache was asked, by what it said", ("llmgate.cache",)
)
LIMITS: Final = Instrument(
    "llmgate.limits", "{exchange}", "Requests to which a limit applied, by what became of them", ("llmgate.limit",)
)

INSTRUMENTS: Final = (
    TOKENS,
    DURATION,
    FIRST_CHUNK,
    PER_TOKEN,
    EXCHANGES,
    EXCHANGE_DURATION,
    ATTEMPTS,
    COST,
    CACHE,
    LIMITS,
)


class Measurement(NamedTuple):
    """One value for one instrument; ``labels`` are in the order of the instrument's.

    A tuple, since every exchange makes eight of them or more.
    """

    instrument: Instrument
    value: float
    labels: Sequence[str]


def _verdict(said: str) -> str:
    """The word of a verdict, without which limit it speaks of; stages of others may write anything."""
    word = said.partition(":")[0]
    return word if word in _VERDICTS else OTHER


class Names:
    """Names that callers choose, as labels: so many and no more, each only once it has been answered to.

    Args:
        most: How many; the others are called ``other``.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._known: set[str] = set()

    def label(self, name: str | None, *, proven: bool) -> str:
        """A name as a label.

        Args:
            name: The name; None for none.
            proven: Whether somebody has answered to it, so that it may become known.
        """
        if not name or name in self._known:
            return name or ""
        if not proven or len(self._known) >= self._most:
            return OTHER
        self._known.add(name)
        return name


class Measure:
    """Reads measurements off records.

    Args:
        max_models: How many names of models become labels.
    """

    def __init__(self, max_models: int) -> None:
        self._models = Names(max_models)
        self._routers = Names(max_models)
        self._last: Record | None = None
        self._said: Sequence[Measurement] = ()

    def read(self, record: Record) -> Sequence[Measurement]:
        """Everything that a record says to the instruments; read once for all the sinks that ask one after another."""
        if record is not self._last:
            self._said, self._last = tuple(self._of_exchange(record)), record
        return self._said

    def _of_exchange(self, record: Record) -> Iterator[Measurement]:
        router = self._routers.label(record.router, proven=bool(record.attempts))
        status = "" if record.status is None else str(record.status)
        alike = record.metadata.get("llmgate.refused-alike", "") if record.surface == "host" else ""
        yield Measurement(
            EXCHANGES, 1 + int(alike or 0), (record.surface, record.operation, router, record.outcome, status)
        )
        yield Measurement(EXCHANGE_DURATION, record.duration, (record.surface, record.outcome))
        if record.cache is not None:
            yield Measurement(CACHE, 1, (_verdict(record.cache),))
        if record.limit is not None:
            yield Measurement(LIMITS, 1, (_verdict(record.limit),))
        for attempt in record.attempts:
            yield from self._of_attempt(record, attempt)

    def _of_attempt(self, record: Record, attempt: AttemptRecord) -> Iterator[Measurement]:
        model = self._models.label(attempt.model, proven=attempt.error_code is None and not attempt.abandoned)
        named = (record.operation, provider_name(attempt.vendor), model)
        error = attempt.error_code or ""
        yield Measurement(ATTEMPTS, 1, (attempt.provider_name, model, error))
        if attempt.cost_nano is not None:
            yield Measurement(COST, attempt.cost_nano, (attempt.provider_name, *named))
        if attempt.duration is None:
            return
        yield Measurement(DURATION, attempt.duration, (*named, error))
        usage = attempt.usage
        counts: Mapping[str, int | None] = (
            {} if usage is None else {"input": usage.input_tokens, "output": usage.output_tokens}
        )
        for kind, count in counts.items():
            if count is not None:
                yield Measurement(TOKENS, count, (*named, kind))
        if record.stream and attempt.first_content is not None:
            first = attempt.first_content - attempt.started
            yield Measurement(FIRST_CHUNK, first, named)
            output = counts.get("output")
            if output is not None and output > 1 and not error and not attempt.abandoned:
                yield Measurement(PER_TOKEN, (attempt.duration - first) / (output - 1), named)
