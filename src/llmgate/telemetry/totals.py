"""What measurements add up to between two exports, without the SDK's work for each of them.

OpenTelemetry's SDK takes 5 µs or more for one value of a histogram, and an exchange has six. Here they are added to
totals, which an export turns into the SDK's own values.
"""

from __future__ import annotations

import threading
import time
from bisect import bisect_left
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

import attrs
from opentelemetry.sdk.metrics import Histogram as HistogramKind
from opentelemetry.sdk.metrics.export import (
    AggregationTemporality,
    Histogram,
    HistogramDataPoint,
    Metric,
    MetricExporter,
    MetricExportResult,
    MetricsData,
)

from .measurements import Instrument, Measurement

__all__ = ["Completing", "Totals"]

Labels = tuple[str, ...]


@attrs.define(eq=False)
class _Spread:
    """The values of a histogram under one set of labels."""

    counts: list[int]
    total: float = 0.0
    least: float = float("inf")
    most: float = float("-inf")


@attrs.define(eq=False)
class _Sum:
    """The values of a counter under one set of labels."""

    value: float = 0


class Totals:
    """Adds up measurements; safe to be asked in one thread while another adds."""

    def __init__(self) -> None:
        self._lock: Final = threading.Lock()
        self._sums: dict[str, dict[Labels, _Sum]] = {}
        self._spreads: dict[str, tuple[Instrument, dict[Labels, _Spread]]] = {}
        self._began = time.time_ns()

    def add(self, measurements: Sequence[Measurement]) -> None:
        """Add what a record says."""
        with self._lock:
            for one in measurements:
                instrument, value, labels = one.instrument, one.value, tuple(one.labels)
                if instrument.buckets:
                    self._spread(instrument, value, labels)
                else:
                    sums = self._sums.get(instrument.name)
                    if sums is None:
                        sums = self._sums[instrument.name] = {}
                    found = sums.get(labels)
                    if found is None:
                        found = sums[labels] = _Sum()
                    found.value += value

    def _spread(self, instrument: Instrument, value: float, labels: Labels) -> None:
        spreads = self._spreads.get(instrument.name)
        if spreads is None:
            spreads = self._spreads[instrument.name] = (instrument, {})
        found = spreads[1].get(labels)
        if found is None:
            found = spreads[1][labels] = _Spread([0] * (len(instrument.buckets) + 1))
        found.counts[bisect_left(instrument.buckets, value)] += 1  # a bound belongs to the bucket that it ends
        found.total += value
        found.least = min(found.least, value)
        found.most = max(found.most, value)

    def counted(self, instrument: Instrument) -> Sequence[tuple[Mapping[str, str], float]]:
        """What a counter stands at, under each set of labels."""
        with self._lock:
            sums = self._sums.get(instrument.name, {})
            return [(_named(instrument, labels), one.value) for labels, one in sums.items()]

    def histograms(self, *, cumulative: bool) -> Iterator[Metric]:
        """The histograms as the SDK has them.

        Args:
            cumulative: Whether they count from the beginning; else from the last time that they were asked for.
        """
        now = time.time_ns()
        with self._lock:
            began, known = self._began, list(self._spreads.values())
            points = {
                instrument.name: [_point(instrument, labels, one, began, now) for labels, one in spreads.items()]
                for instrument, spreads in known
            }
            if not cumulative:
                self._spreads, self._began = {}, now
        temporality = AggregationTemporality.CUMULATIVE if cumulative else AggregationTemporality.DELTA
        for instrument, _ in known:
            data = Histogram(points[instrument.name], temporality)
            yield Metric(instrument.name, instrument.meaning, instrument.unit, data)


class Completing(MetricExporter):
    """Exports the histograms of totals with whatever else is exported.

    Args:
        exporter: What exports.
        totals: Whose histograms.
    """

    def __init__(self, exporter: MetricExporter, totals: Totals) -> None:
        # The SDK's readers know how an exporter wants its values by these two, which have no public names.
        temporality, aggregation = exporter._preferred_temporality, exporter._preferred_aggregation  # noqa: SLF001
        super().__init__(temporality, aggregation)
        self._exporter = exporter
        self._totals = totals
        wanted = (temporality or {}).get(HistogramKind, AggregationTemporality.CUMULATIVE)
        self._cumulative = wanted == AggregationTemporality.CUMULATIVE

    def export(self, metrics_data: MetricsData, timeout_millis: float = 10_000, **options: Any) -> MetricExportResult:
        """Export, histograms too; counters are always there where those are."""
        for resource in metrics_data.resource_metrics[:1]:
            for scope in resource.scope_metrics[:1]:
                scope.metrics.extend(self._totals.histograms(cumulative=self._cumulative))  # type: ignore[attr-defined]
        return self._exporter.export(metrics_data, timeout_millis, **options)

    def force_flush(self, timeout_millis: float = 10_000) -> bool:
        """Export what waits."""
        return self._exporter.force_flush(timeout_millis)

    def shutdown(self, timeout_millis: float = 30_000, **options: Any) -> None:
        """Close the exporter."""
        self._exporter.shutdown(timeout_millis, **options)


def _point(instrument: Instrument, labels: Labels, one: _Spread, began: int, now: int) -> HistogramDataPoint:
    return HistogramDataPoint(
        attributes=_named(instrument, labels),
        start_time_unix_nano=began,
        time_unix_nano=now,
        count=sum(one.counts),
        sum=one.total,
        bucket_counts=list(one.counts),
        explicit_bounds=list(instrument.buckets),
        min=one.least,
        max=one.most,
    )


def _named(instrument: Instrument, labels: Labels) -> Mapping[str, str]:
    return {name: value for name, value in zip(instrument.labels, labels, strict=True) if value}
