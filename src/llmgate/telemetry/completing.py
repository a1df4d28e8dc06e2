"""Histograms of totals as OpenTelemetry's SDK has them, beside whatever else it exports."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

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

from .measurements import INSTRUMENTS, Instrument
from .totals import Labels, Spread, Totals, named

__all__ = ["Completing"]


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
        self._began = time.time_ns()
        wanted = (temporality or {}).get(HistogramKind, AggregationTemporality.CUMULATIVE)
        self._cumulative = wanted == AggregationTemporality.CUMULATIVE

    def export(self, metrics_data: MetricsData, timeout_millis: float = 10_000, **options: Any) -> MetricExportResult:
        """Export, histograms too; counters are always there where those are."""
        for resource in metrics_data.resource_metrics[:1]:
            for scope in resource.scope_metrics[:1]:
                scope.metrics.extend(self._histograms())  # type: ignore[attr-defined]
        return self._exporter.export(metrics_data, timeout_millis, **options)

    def force_flush(self, timeout_millis: float = 10_000) -> bool:
        """Export what waits."""
        return self._exporter.force_flush(timeout_millis)

    def shutdown(self, timeout_millis: float = 30_000, **options: Any) -> None:
        """Close the exporter."""
        self._exporter.shutdown(timeout_millis, **options)

    def _histograms(self) -> Iterator[Metric]:
        """The histograms as the SDK has them, from the beginning or from the last export on."""
        began, now = self._began, time.time_ns()
        spreads = self._totals.spreads(begin_anew=not self._cumulative)
        temporality = AggregationTemporality.CUMULATIVE
        if not self._cumulative:
            self._began, temporality = now, AggregationTemporality.DELTA
        for instrument in INSTRUMENTS:
            points = [_point(instrument, labels, one, began, now) for labels, one in spreads.get(instrument.name, ())]
            if points:
                yield Metric(instrument.name, instrument.meaning, instrument.unit, Histogram(points, temporality))


def _point(instrument: Instrument, labels: Labels, one: Spread, began: int, now: int) -> HistogramDataPoint:
    return HistogramDataPoint(
        attributes=named(instrument, labels),
        start_time_unix_nano=began,
        time_unix_nano=now,
        count=sum(one.counts),
        sum=one.total,
        bucket_counts=list(one.counts),
        explicit_bounds=list(instrument.buckets),
        min=one.least,
        max=one.most,
    )
