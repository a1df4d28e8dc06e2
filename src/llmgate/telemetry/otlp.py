"""Spans and metrics by OTLP over HTTP, by OpenTelemetry's SDK; it batches and sends in threads of its own."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.metrics import Counter, Histogram
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import MetricExporter, PeriodicExportingMetricReader
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter
from opentelemetry.sdk.trace.id_generator import IdGenerator
from opentelemetry.trace import (
    NonRecordingSpan,
    SpanContext,
    SpanKind,
    Status,
    StatusCode,
    TraceFlags,
    TraceState,
    set_span_in_context,
)

from llmgate.spec import AttemptRecord, Record, TraceContext

from .attributes import SCOPE, attempt_attributes, exchange_attributes
from .measurements import INSTRUMENTS, Measure

__all__ = ["OtlpSink", "endpoint_of"]

_NANOSECONDS = 1_000_000_000
_SAMPLED = TraceFlags(TraceFlags.SAMPLED)


class OtlpSink:
    """Exports what records say.

    Args:
        resource: What the gateway is: ``service.name`` and the like.
        measure: Reads measurements off records.
        spans: Where spans go.
        metrics: Where metrics go.
    """

    def __init__(
        self, resource: Mapping[str, str], measure: Measure, spans: SpanExporter, metrics: MetricExporter
    ) -> None:
        described = Resource.create(dict(resource))
        self._ids = _KnownIds()
        # Which exchanges are exported is decided when they begin: here every span that comes is.
        self._tracers = TracerProvider(resource=described, id_generator=self._ids, shutdown_on_exit=False)
        self._tracers.add_span_processor(BatchSpanProcessor(spans))
        self._tracer = self._tracers.get_tracer(SCOPE)
        self._meters = MeterProvider([PeriodicExportingMetricReader(metrics)], described, shutdown_on_exit=False)
        meter = self._meters.get_meter(SCOPE)
        self._measure = measure
        self._instruments: dict[str, Counter | Histogram] = {
            one.name: meter.create_histogram(
                one.name, one.unit, one.meaning, explicit_bucket_boundaries_advisory=list(one.buckets)
            )
            if one.buckets
            else meter.create_counter(one.name, one.unit, one.meaning)
            for one in INSTRUMENTS
        }

    @classmethod
    def to(cls, endpoint: str, resource: Mapping[str, str], measure: Measure) -> OtlpSink:
        """A sink that sends to a collector.

        Args:
            endpoint: Its address; ``""`` for what ``OTEL_EXPORTER_OTLP_*`` say, which also name headers.
            resource: See the class.
            measure: See the class.
        """
        if not endpoint:
            return cls(resource, measure, OTLPSpanExporter(), OTLPMetricExporter())
        base = endpoint_of(endpoint)
        return cls(resource, measure, OTLPSpanExporter(f"{base}/v1/traces"), OTLPMetricExporter(f"{base}/v1/metrics"))

    def record(self, record: Record) -> None:
        """Take what a record says."""
        for one in self._measure.read(record):
            labels = {name: value for name, value in zip(one.instrument.labels, one.labels, strict=True) if value}
            instrument = self._instruments[one.instrument.name]
            if isinstance(instrument, Histogram):
                instrument.record(one.value, labels)
            else:
                instrument.add(one.value, labels)
        if record.trace is not None and record.trace.sampled:
            self._write_spans(record, record.trace)

    def close(self) -> None:
        """Send what is left, and end the threads; takes as long as the collector takes, up to its time-out."""
        self._tracers.shutdown()
        self._meters.shutdown()

    def _write_spans(self, record: Record, trace: TraceContext) -> None:
        parent = None
        if trace.parent_id:
            parent = set_span_in_context(NonRecordingSpan(_context(trace, trace.parent_id, is_remote=True)))
        name = f"{record.operation} {record.request_model}" if record.request_model else record.operation
        self._ids.next_trace, self._ids.next_span = int(trace.trace_id, 16), int(trace.span_id, 16)
        span = self._tracer.start_span(
            name,
            context=parent,
            kind=SpanKind.SERVER,
            attributes=dict(exchange_attributes(record)),
            start_time=_moment(record.started_at),
        )
        if record.error_code is not None:
            span.set_status(Status(StatusCode.ERROR, record.error_code))
        beneath = set_span_in_context(span)
        for attempt in record.attempts:
            self._write_attempt(record, attempt, beneath)
        span.end(_moment(record.started_at + record.duration))

    def _write_attempt(self, record: Record, attempt: AttemptRecord, beneath: Any) -> None:
        self._ids.next_span = int(attempt.span_id, 16)
        began = record.started_at + attempt.started
        span = self._tracer.start_span(
            f"{record.operation} {attempt.model}",
            context=beneath,
            kind=SpanKind.CLIENT,
            attributes=dict(attempt_attributes(record, attempt)),
            start_time=_moment(began),
        )
        if attempt.error_code is not None:
            span.set_status(Status(StatusCode.ERROR, attempt.error_code))
        span.end(_moment(began + (attempt.duration or 0.0)))


class _KnownIds(IdGenerator):
    """Gives each span the id that its exchange or attempt has had from the beginning."""

    next_trace = 0
    next_span = 0

    def generate_trace_id(self) -> int:
        """The id of the exchange's trace."""
        return self.next_trace

    def generate_span_id(self) -> int:
        """The id of the span that is being written."""
        return self.next_span


def endpoint_of(endpoint: str) -> str:
    """A collector's address without the path of one signal, which some dialects write behind it."""
    parts = urlsplit(endpoint.rstrip("/"))
    path = parts.path
    for signal in ("/v1/traces", "/v1/metrics", "/v1/logs"):
        path = path.removesuffix(signal)
    return parts._replace(path=path).geturl()


def _context(trace: TraceContext, span_id: str, *, is_remote: bool) -> SpanContext:
    return SpanContext(
        int(trace.trace_id, 16), int(span_id, 16), is_remote, _SAMPLED, TraceState.from_header([trace.state])
    )


def _moment(seconds: float) -> int:
    return round(seconds * _NANOSECONDS)
