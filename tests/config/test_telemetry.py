from __future__ import annotations

import pytest

from config.conftest import Loader
from llmgate.config.model import TelemetryConfig
from llmgate.spec import SecretRef


def test_nothing_is_wanted_where_nothing_is_said(loader: Loader) -> None:
    assert loader.text("telemetry: {level: info}").telemetry == TelemetryConfig()


def test_everything_can_be_said(loader: Loader) -> None:
    text = (
        "telemetry: {exporter: both, otlp-endpoint: 'http://c:4318', service-name: gate, sampling: 0.25,"
        " propagate: true, prometheus: true, max-models: 7}"
    )
    config = loader.text(text)
    assert config.telemetry == TelemetryConfig("both", "http://c:4318", "gate", 0.25, True, True, 7)
    assert config.warnings == ()


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("{sampling: 1.5}", "0 to 1"),
        ("{sampling: -1}", "0 to 1"),
        ("{max-models: 0}", "1 to 10000"),
        ("{exporter: jaeger}", "jaeger"),
        ("{otlp-endpoint: 'collector:4318'}", "write one like http://collector:4318"),
        ("{content: true}", "write records.content, for example full"),
        ("{otlp-headers: [a]}", "must be a mapping of names and secret references"),
        ("{otlp-headers: {Host: x}}", "'host' is written by the gateway"),
        ("{otlp-headers: {'a b': x}}", "no name of a header"),
        ("{otlp-headers: {x-a: [1]}}", "must be a secret reference, or a plain text"),
        ("{otlp-headers: {x-a: 'vautl:kv/a'}}", "names a secret store 'vautl' that is not configured"),
    ],
)
def test_what_makes_no_sense_is_refused(loader: Loader, text: str, part: str) -> None:
    assert part in loader.one(f"telemetry: {text}")


def test_the_port_of_another_protocol_is_worth_a_warning(loader: Loader) -> None:
    (warning,) = loader.text("telemetry: {otlp-endpoint: 'http://localhost:4317/v1/metrics'}").warnings
    assert warning == "c.yaml:1:13: collectors take gRPC on port 4317; OTLP over HTTP is on 4318"


def test_headers_are_references_and_plain_texts(loader: Loader) -> None:
    config = loader.text("telemetry: {otlp-headers: {Authorization: 'env:KEY', x-scope-orgid: team-a, x-version: 4}}")
    expected = {"authorization": SecretRef("env", "KEY"), "x-scope-orgid": "team-a", "x-version": "4"}
    assert config.telemetry.otlp_headers == expected


@pytest.mark.parametrize(
    "text", ["authorization: canary", "x-key: sk-canary0123456789abcdefghij", "x-a: 'Basic Y2FuYXJ5'"]
)
def test_a_key_that_is_written_out_is_refused_and_not_shown(loader: Loader, text: str) -> None:
    message = loader.one(f"telemetry: {{otlp-headers: {{{text}}}}}")
    assert "is not a secret reference" in message
    assert "canary" not in message
    assert "Y2Fu" not in message
