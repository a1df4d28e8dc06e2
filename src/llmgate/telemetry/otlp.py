"""Spans and metrics by OTLP over HTTP, by OpenTelemetry's SDK; it batches and sends in threads of its own."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final
from urllib.parse import urlsplit

import requests
from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.metrics import CallbackOptions, Observation
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
from .completing import Completing
from .content import content_attributes
from .headers import ExportHeaders
from .measurements import INSTRUMENTS, Instrument, Measure, Measurement
from .standing import STANDING, MeasureStanding, Standing
from .totals import Totals, named

__all__ = ["OtlpSink", "endpoint_of"]

_NANOSECONDS = 1_000_000_000
_TOGETHER = 0.1
"""Seconds within which instruments are asked for one export."""
_FEW: Final = 32
"""Spans that are sent at once where they carry content, so that no request to a collector is of many megabytes."""
_QUEUE: Final = 2048
"""Spans that wait to be sent; the oldest of more are lost."""
_SAMPLED = TraceFlags(TraceFlags.SAMPLED)


class OtlpSink:
    """Exports what records say.

    Args:
        resource: What the gateway is: ``service.name`` and the like.
        measure: Reads measurements off records.
        spans: Where spans go.
        metrics: Where metrics go.
        content: Whether spans carry what was asked and answered.
    """

    def __init__(
        self,
        resource: Mapping[str, str],
        measure: Measure,
        spans: SpanExporter,
        metrics: MetricExporter,
        *,
        content: bool = False,
    ) -> None:
        self._content = content
        described = Resource.create(dict(resource))
        self._ids = _KnownIds()
        # Which exchanges are exported is decided when they begin: here every span that comes is.
        self._tracers = TracerProvider(resource=described, id_generator=self._ids, shutdown_on_exit=False)
        batch = _FEW if content else None
        self._tracers.add_span_processor(BatchSpanProcessor(spans, _QUEUE, max_export_batch_size=batch))
        self._tracer = self._tracers.get_tracer(SCOPE)
        self._totals = Totals()
        reader = PeriodicExportingMetricReader(Completing(metrics, self._totals))
        self._meters = MeterProvider([reader], described, shutdown_on_exit=False)
        meter = self._meters.get_meter(SCOPE)
        self._measure = measure
        self._standing: tuple[MeasureStanding, Callable[[], Standing | None]] | None = None
        self._observed: tuple[float, Sequence[Measurement]] = (-_TOGETHER, ())
        for one in INSTRUMENTS:
            if not one.buckets:  # histograms are added at the export
                meter.create_observable_counter(one.name, [self._counter(one)], one.unit, one.meaning)
        for one in STANDING:
            create = meter.create_observable_gauge if one.across else meter.create_observable_counter
            create(one.name, [self._observer(one)], one.unit, one.meaning)

    def observe(self, measure: MeasureStanding, ask: Callable[[], Standing | None]) -> None:
        """Tell with each export how the gateway does, too.

        Args:
            measure: Reads measurements off standings.
            ask: Asks for one, from a thread that may wait; None where nobody answers.
        """
        self._standing = measure, ask

    @classmethod
    def to(
        cls,
        endpoint: str,
        resource: Mapping[str, str],
        measure: Measure,
        *,
        content: bool = False,
        headers: ExportHeaders | None = None,
    ) -> OtlpSink:
        """A sink that sends to a collector.

        Args:
            endpoint: Its address; ``""`` for what ``OTEL_EXPORTER_OTLP_*`` say, which also name headers.
            resource: See the class.
            measure: See the class.
            content: See the class.
            headers: What it wants beside; None for nothing.
        """
        base = endpoint_of(endpoint) if endpoint else None
        spans = OTLPSpanExporter(base and f"{base}/v1/traces", session=_session(headers))
        metrics = OTLPMetricExporter(base and f"{base}/v1/metrics", session=_session(headers))
        return cls(resource, measure, spans, metrics, content=content)

    def record(self, record: Record) -> None:
        """Take what a record says."""
        self._totals.add(self._measure.read(record))
        if record.trace is not None and record.trace.sampled:
            self._write_spans(record, record.trace)

    def close(self) -> None:
        """Send what is left, and end the threads; takes as long as the collector takes, up to its time-out."""
        self._tracers.shutdown()
        self._meters.shutdown()

    def _observer(self, instrument: Instrument) -> Callable[[CallbackOptions], Iterable[Observation]]:
        def observe(_: CallbackOptions) -> Iterable[Observation]:
            return [
                Observation(one.value, dict(zip(instrument.labels, one.labels, strict=True)))
                for one in self._now()
                if one.instrument is instrument
            ]

        return observe

    def _counter(self, instrument: Instrument) -> Callable[[CallbackOptions], Iterable[Observation]]:
        def observe(_: CallbackOptions) -> Iterable[Observation]:
            return [Observation(value, named(instrument, labels)) for labels, value in self._totals.counted(instrument)]

        return observe

    def _now(self) -> Sequence[Measurement]:
        """How the gateway does, asked once for all the instruments of one export."""
        if self._standing is None:
            return ()
        asked, found = self._observed
        if time.monotonic() - asked >= _TOGETHER:
            measure, ask = self._standing
            standing = ask()
            if standing is not None:
                found = list(measure.read(standing))
            self._observed = time.monotonic(), found
        return found

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
        if self._content:
            span.set_attributes(content_attributes(record.content))
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


def _session(headers: ExportHeaders | None) -> requests.Session | None:
    if headers is None:
        return None  # the exporter makes its own
    session = requests.Session()
    session.auth = headers
    return session


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
