"""Reads what the gateway tells of itself: ``telemetry``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final
from urllib.parse import urlsplit

import attrs

from .bounds import bounds_of
from .decoder import UnreadableError
from .model import TelemetryConfig
from .sections import Section
from .stages import StageReader

__all__ = ["read_telemetry", "telemetry_warnings"]

_GRPC_PORT: Final = 4317


def read_telemetry(stages: StageReader, top: Section) -> TelemetryConfig:
    """What ``telemetry`` says of traces and metrics; the defaults where it says nothing, or nothing that can be read.

    Args:
        stages: What reads stages.
        top: The whole configuration.
    """
    telemetry = top.section("telemetry")
    values = {}
    for field in attrs.fields(TelemetryConfig):
        key = field.name.replace("_", "-")
        if key not in telemetry.values:
            continue
        value = telemetry.get(key)
        try:
            stages.decoder.check(value, bounds_of(TelemetryConfig, field), telemetry.place(key), key)
        except UnreadableError:
            continue  # noted
        values[field.name] = value
    endpoint = values.get("otlp_endpoint", "")
    if endpoint and urlsplit(str(endpoint)).scheme not in {"http", "https"}:
        sentence = f"{endpoint!r} is no address of a collector: write one like http://collector:4318"
        stages.decoder.problems.add(telemetry.place("otlp-endpoint"), sentence)
    return TelemetryConfig(**values)


def telemetry_warnings(top: Section) -> Sequence[str]:
    """What the operator should know of what ``telemetry`` says."""
    telemetry = top.section("telemetry")
    endpoint = str(telemetry.get("otlp-endpoint", ""))
    try:
        grpc = urlsplit(endpoint).port == _GRPC_PORT
    except ValueError:
        return ()
    if not grpc:
        return ()
    return (f"{telemetry.place('otlp-endpoint')}: collectors take gRPC on port 4317; OTLP over HTTP is on 4318",)
