"""Histograms of totals against what OpenTelemetry's own SDK makes of the same measurements."""

from __future__ import annotations

import random
from typing import Any

import pytest
from opentelemetry.sdk.metrics import Histogram, MeterProvider
from opentelemetry.sdk.metrics.export import (
    AggregationTemporality,
    InMemoryMetricReader,
    MetricExporter,
    MetricExportResult,
    MetricsData,
    ResourceMetrics,
    ScopeMetrics,
)
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.util.instrumentation import InstrumentationScope

from llmgate.telemetry.completing import Completing
from llmgate.telemetry.measurements import INSTRUMENTS, Measurement
from llmgate.telemetry.totals import Totals


def measurements(count: int = 500) -> list[Measurement]:
    dice = random.Random(3)
    found = []
    for _ in range(count):
        instrument = dice.choice(INSTRUMENTS)
        value = dice.choice([dice.lognormvariate(0, 2), *instrument.buckets[:3]])
        found.append(Measurement(instrument, value, [dice.choice(["", "a", "b"]) for _ in instrument.labels]))
    return found


def by_sdk(told: list[Measurement]) -> dict[str, Any]:
    reader = InMemoryMetricReader()
    meter = MeterProvider([reader], shutdown_on_exit=False).get_meter("test")
    for instrument in INSTRUMENTS:
        if instrument.buckets:
            bounds = list(instrument.buckets)
            kept = meter.create_histogram(instrument.name, explicit_bucket_boundaries_advisory=bounds)
            for one in told:
                if one.instrument is instrument:
                    labels = zip(instrument.labels, one.labels, strict=True)
                    kept.record(one.value, {name: value for name, value in labels if value})
    return points(reader.get_metrics_data())


def points(data: Any) -> dict[str, Any]:
    found = {}
    for metric in data.resource_metrics[0].scope_metrics[0].metrics:
        for one in metric.data.data_points:
            key = (metric.name, *sorted(one.attributes.items()))
            extent = [one.min, one.max, pytest.approx(one.sum)]
            found[key] = [one.count, list(one.bucket_counts), list(one.explicit_bounds), *extent]
    return found


class Kept(MetricExporter):
    def __init__(self, temporality: AggregationTemporality) -> None:
        super().__init__({Histogram: temporality})
        self.told: list[dict[str, Any]] = []

    def export(self, metrics_data: MetricsData, timeout_millis: float = 10_000, **_: Any) -> MetricExportResult:
        self.told.append(points(metrics_data))
        return MetricExportResult.SUCCESS

    def force_flush(self, timeout_millis: float = 10_000) -> bool:
        return True

    def shutdown(self, timeout_millis: float = 30_000, **_: Any) -> None:
        pass


def nothing() -> MetricsData:
    return MetricsData([ResourceMetrics(Resource({}), [ScopeMetrics(InstrumentationScope("x"), [], "")], "")])


@pytest.mark.parametrize("temporality", [AggregationTemporality.CUMULATIVE, AggregationTemporality.DELTA])
def test_totals_are_what_the_sdk_would_have_made_of_it(temporality: AggregationTemporality) -> None:
    told, later = measurements(), measurements(60)
    totals, kept = Totals(), Kept(temporality)
    completing = Completing(kept, totals)
    totals.add(told)
    completing.export(nothing())
    totals.add(later)
    completing.export(nothing())
    assert kept.told[0] == by_sdk(told)
    whole = temporality is AggregationTemporality.CUMULATIVE
    assert kept.told[1] == by_sdk([*told, *later] if whole else later)
