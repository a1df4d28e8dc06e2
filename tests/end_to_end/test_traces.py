"""The exporter of OpenTelemetry's own SDK against ``llmgate serve``: what an application traces is in the records."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.exporter.otlp.proto.http import Compression
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor, SpanExportResult
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind

from end_to_end.gateways import Gateway, gateway

KEY = "key-of-ann-0123456789012345678901234567890"
CONFIG = """\
providers:
  echo: {}
auth:
  - use: static-keys
    keys:
      - {name: ann, secret: "env:ANN"}
loggers:
  - use: json-lines
    path: records.jsonl
"""
CHAT = {
    "gen_ai.operation.name": "chat",
    "gen_ai.provider.name": "openai",
    "gen_ai.request.model": "gpt-4o-mini",
    "gen_ai.usage.input_tokens": 1000,
    "gen_ai.usage.output_tokens": 500,
}


def traced() -> list[ReadableSpan]:
    """An agent with two calls of a model, of which one went through the gateway."""
    made = InMemorySpanExporter()
    tracers = TracerProvider(resource=Resource.create({"service.name": "shop"}), shutdown_on_exit=False)
    tracers.add_span_processor(SimpleSpanProcessor(made))
    tracer = tracers.get_tracer("shop")
    agent = {"gen_ai.operation.name": "invoke_agent", "gen_ai.usage.input_tokens": 2000}
    with tracer.start_as_current_span("invoke_agent", attributes=agent):
        for _ in range(2):
            with tracer.start_as_current_span("chat gpt-4o-mini", kind=SpanKind.CLIENT, attributes=CHAT):
                pass
        with tracer.start_as_current_span("GET"):
            pass
    tracers.shutdown()
    return list(made.get_finished_spans())


@contextmanager
def serving(directory: Path) -> Iterator[Gateway]:
    (directory / "llmgate.yaml").write_text(CONFIG)
    with gateway(directory, "--config", "llmgate.yaml", environment={"ANN": KEY}) as one:
        yield one


def send(one: Gateway, spans: list[ReadableSpan], key: str, **options: Any) -> SpanExportResult:
    headers = {"authorization": f"Bearer {key}"}
    exporter = OTLPSpanExporter(f"{one.url}/v1/traces", headers=headers, timeout=30, **options)
    try:
        return exporter.export(spans)
    finally:
        exporter.shutdown()


@pytest.mark.parametrize("compression", list(Compression))
def test_an_exporters_spans_are_recorded_once_however_often_they_are_sent(tmp_path: Path, compression: Compression):
    spans = traced()
    with serving(tmp_path) as one:
        for _ in range(2):
            assert send(one, spans, KEY, compression=compression) is SpanExportResult.SUCCESS
    lines = [json.loads(line) for line in (tmp_path / "records.jsonl").read_text().splitlines()]
    told = [record for record in lines if record["operation"] == "chat"]
    assert len(told) == 2
    for record in told:
        assert (record["provider_name"], record["principal"]) == ("openai", "ann")
        assert (record["properties"], record["cost_nano"]) == ({"service": "shop"}, 1000 * 150 + 500 * 600)
    assert {record["trace"]["span_id"] for record in told} == {
        f"{span.context.span_id:016x}" for span in spans if span.name.startswith("chat")
    }


def test_an_exporter_that_nobody_knows_is_told_so(tmp_path: Path):
    with serving(tmp_path) as one:
        assert send(one, traced(), "wrong") is SpanExportResult.FAILURE
