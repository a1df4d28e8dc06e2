"""What records add up to: counts, tokens, money and times, and the words by which they are grouped."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Mapping
from typing import Any, Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import attrs

from .histograms import Histogram, bucket_of
from .money import usd
from .operations import HOUSEKEEPING
from .records import Record

__all__ = [
    "DIMENSIONS",
    "PERIODS",
    "PROPERTY",
    "SUMS",
    "Tally",
    "client_of",
    "is_counted",
    "period_of",
    "value_in",
    "zone_named",
]

PERIODS: Final = ("hour", "day", "month")
"""Lengths of time by which usage is grouped."""
PROPERTY: Final = "property:"
"""What stands before the name of a property where usage is grouped by it."""
_VERSION: Final = re.compile(r"/v?\d.*")
_LONGEST: Final = 128
_LONGEST_EVER: Final = 1e12
"""Seconds of one exchange that are added up."""


@attrs.define
class Tally:
    """What some records add up to.

    Args:
        requests: How many there are.
        errors: How many of them failed, or were cut.
        cache_hits: How many the gateway answered from a cache of its own.
        input_tokens: Tokens in, cached ones included, where providers have told them.
        output_tokens: Tokens out.
        cache_read: The part of the input that providers had cached.
        cache_write: The part of the input that providers cached.
        reasoning: The part of the output that is reasoning.
        cost_nano: What is known of what they cost, in nano-USD.
        cost_unknown: For how many it is not known what they cost.
        duration_us: How long they took, all together, in microseconds.
        durations: How long they took.
        first_contents: How long the first content took.
    """

    requests: int = 0
    errors: int = 0
    cache_hits: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    cache_read: int = 0
    cache_write: int = 0
    reasoning: int = 0
    cost_nano: int = 0
    cost_unknown: int = 0
    duration_us: int = 0
    durations: dict[int, int] = attrs.field(factory=dict)
    first_contents: dict[int, int] = attrs.field(factory=dict)

    def add(self, record: Record) -> None:
        """Count a record."""
        self.requests += 1
        self.errors += record.outcome in ("error", "incomplete")
        self.cache_hits += record.cache in ("hit", "stale")
        if record.usage is not None:
            usage = record.usage
            self.input_tokens += usage.input_tokens or 0
            self.output_tokens += usage.output_tokens or 0
            self.cache_read += usage.cache_read or 0
            self.cache_write += (usage.cache_write_5m or 0) + (usage.cache_write_1h or 0)
            self.reasoning += usage.reasoning or 0
        self.cost_nano += record.cost_nano or 0
        self.cost_unknown += record.cost_nano is None
        self.duration_us += round(min(record.duration, _LONGEST_EVER) * 1e6)
        _count(self.durations, bucket_of(record.duration))
        if record.first_content is not None:
            _count(self.first_contents, bucket_of(record.first_content))

    def merge(self, other: Tally) -> None:
        """Count what another has counted."""
        for name in SUMS:
            setattr(self, name, getattr(self, name) + getattr(other, name))
        for mine, theirs in ((self.durations, other.durations), (self.first_contents, other.first_contents)):
            for bucket, count in theirs.items():
                _count(mine, bucket, count)

    def as_json(self) -> dict[str, Any]:
        """The tally as plain JSON values: what was summed, and the percentiles of what was timed."""
        sums = {name: getattr(self, name) for name in SUMS if name != "duration_us"}
        return {
            **sums,
            "cost_usd": usd(self.cost_nano),
            "error_rate": round(self.errors / self.requests, 6) if self.requests else None,
            "duration_seconds": _percentiles(self.durations, self.duration_us, self.requests),
            "first_content_seconds": _percentiles(self.first_contents),
        }


SUMS: Final = tuple(one.name for one in attrs.fields(Tally) if one.name not in ("durations", "first_contents"))
"""The fields of a tally that are plain sums."""


def _count(counts: dict[int, int], bucket: int, times: int = 1) -> None:
    counts[bucket] = counts.get(bucket, 0) + times


def _percentiles(counts: Mapping[int, int], total_us: int | None = None, number: int = 0) -> dict[str, float | None]:
    histogram = Histogram(counts)
    found: dict[str, float | None] = {}
    if total_us is not None:
        found["mean"] = round(total_us / number / 1e6, 6) if number else None
    for name, share in (("p50", 0.5), ("p90", 0.9), ("p95", 0.95), ("p99", 0.99)):
        seconds = histogram.percentile(share)
        found[name] = None if seconds is None else round(seconds, 6)
    return found


def is_counted(record: Record) -> bool:
    """Whether a record is usage; who asks the gateway about itself is recorded, and not counted."""
    return record.operation not in HOUSEKEEPING


def client_of(user_agent: str | None) -> str | None:
    """The program that a ``User-Agent`` names, without its version, so that its users are counted together."""
    words = (user_agent or "").split(None, 1)
    return (_VERSION.sub("", words[0])[:_LONGEST] or None) if words else None


def _model(record: Record) -> str | None:
    return record.attempts[-1].model if record.attempts else record.request_model


def _provider(record: Record) -> str | None:
    return record.attempts[-1].provider_name if record.attempts else record.provider_name


def _credential(record: Record) -> str | None:
    return record.attempts[-1].credential_ref if record.attempts else None


DIMENSIONS: Final[Mapping[str, Any]] = {
    "model": _model,
    "provider": _provider,
    "credential": _credential,
    "principal": lambda record: record.principal,
    "key": lambda record: record.key_id,
    "team": lambda record: record.team,
    "user": lambda record: record.user,
    "client": lambda record: client_of(record.user_agent),
    "router": lambda record: record.router,
    "operation": lambda record: record.operation,
    "outcome": lambda record: record.outcome,
}
"""By what usage is grouped, and how a record's value is found: model, provider and credential are those tried last."""


def value_in(record: Record, dimension: str) -> str | None:
    """A record's value in a dimension, one of ``DIMENSIONS`` or a property; None where it has none.

    Raises:
        KeyError: there is no such dimension.
    """
    if dimension.startswith(PROPERTY):
        return record.properties.get(dimension.removeprefix(PROPERTY).lower())
    value: str | None = DIMENSIONS[dimension](record)
    return value


def period_of(moment: float, period: str, zone: dt.tzinfo) -> str:
    """The hour, day or month of a moment, by the clocks of a zone: ``2026-11-21T23:00+01:00``, ``2026-11-21``.

    Args:
        moment: Seconds since the epoch.
        period: One of ``PERIODS``.
        zone: Whose clocks.
    """
    there = dt.datetime.fromtimestamp(moment, zone)
    if period == "hour":
        return there.replace(minute=0, second=0, microsecond=0).isoformat(timespec="minutes")
    return there.strftime("%Y-%m-%d" if period == "day" else "%Y-%m")


def zone_named(name: str) -> dt.tzinfo:
    """The time zone of that name, ``UTC`` or one of the IANA's, for example ``Europe/Berlin``.

    Raises:
        ValueError: there is none here.
    """
    if name.upper() == "UTC":
        return dt.UTC
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise ValueError(
            f"{name[:64]!r} is no time zone that is known here: write UTC or, say, Europe/Berlin"
        ) from None
