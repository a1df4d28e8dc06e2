"""Against a collector that is real as far as OTLP goes: a server that reads the protocol's own messages."""

from __future__ import annotations

from typing import Any

import attrs
import pytest

from llmgate.spec import TraceContext
from llmgate.telemetry.measurements import Measure
from llmgate.telemetry.otlp import OtlpSink, endpoint_of
from llmgate.testing.samples import sample_record
from telemetry.collectors import Collector, collector, said

TRACE = TraceContext("4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7", "b7ad6b7169203331", state="a=b")


def exported(*records: Any) -> Collector:
    with collector() as kept:
        sink = OtlpSink.to(kept.url, {"service.name": "gate"}, Measure(50))
        for record in records:
            sink.record(record)
        sink.close()
    return kept


def traced(trace: TraceContext = TRACE) -> Any:
    record = sample_record(trace=trace, stream=True)
    attempt = attrs.evolve(record.attempts[0], span_id="1111111111111111", vendor="openai")
    lost = attrs.evolve(
        attempt, span_id="2222222222222222", error_code="provider_timeout", usage=None, started=0.0, duration=0.001
    )
    return attrs.evolve(record, attempts=(lost, attempt))


def test_an_exchange_and_its_attempts_become_spans_with_the_ids_they_had_from_the_beginning() -> None:
    kept = exported(traced())
    spans = {span.span_id.hex(): span for span in kept.spans}
    assert set(spans) == {"00f067aa0ba902b7", "1111111111111111", "2222222222222222"}
    assert {span.trace_id.hex() for span in kept.spans} == {TRACE.trace_id}
    root, answer, lost = (spans[one] for one in ("00f067aa0ba902b7", "1111111111111111", "2222222222222222"))
    assert root.parent_span_id.hex() == TRACE.parent_id
    assert root.trace_state == "a=b"
    assert {answer.parent_span_id.hex(), lost.parent_span_id.hex()} == {TRACE.span_id}
    assert root.name == answer.name == "chat gpt-4o-mini"
    assert (root.kind, answer.kind) == (root.SPAN_KIND_SERVER, root.SPAN_KIND_CLIENT)
    assert said(answer)["gen_ai.provider.name"] == "openai"
    assert said(answer)["gen_ai.usage.input_tokens"] == 9
    assert lost.status.code == lost.status.STATUS_CODE_ERROR
    assert root.end_time_unix_nano - root.start_time_unix_nano == pytest.approx(0.45e9, rel=1e-3)
    assert answer.start_time_unix_nano - root.start_time_unix_nano == pytest.approx(0.001e9, rel=1e-2)
    assert said(kept.resources[0])["service.name"] == "gate"


def test_what_is_not_sampled_is_measured_and_not_traced() -> None:
    kept = exported(traced(attrs.evolve(TRACE, sampled=False)), sample_record())
    assert kept.spans == []
    (tokens,) = [one for one in kept.metrics if one.name == "gen_ai.client.token.usage"]
    assert sum(point.count for point in tokens.histogram.data_points) == 4
    assert list(tokens.histogram.data_points[0].explicit_bounds)[:3] == [1, 4, 16]


def test_a_collector_that_is_not_there_fails_nobody(caplog: pytest.LogCaptureFixture) -> None:
    sink = OtlpSink.to("http://127.0.0.1:9", {"service.name": "gate"}, Measure(50))
    sink.record(traced())
    sink.close()
    caplog.clear()


@pytest.mark.parametrize(
    ("written", "base"),
    [
        ("http://c:4318", "http://c:4318"),
        ("http://c:4318/", "http://c:4318"),
        ("http://localhost:4317/v1/metrics", "http://localhost:4317"),
        ("https://cloud.example/api/public/otel/", "https://cloud.example/api/public/otel"),
        ("https://cloud.example/api/public/otel/v1/traces", "https://cloud.example/api/public/otel"),
    ],
)
def test_an_address_may_be_written_with_the_path_of_a_signal(written: str, base: str) -> None:
    assert endpoint_of(written) == base
