"""Reads what the gateway tells of itself: ``telemetry``."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Mapping, Sequence
from typing import Final
from urllib.parse import urlsplit

import attrs

from llmgate.spec import SecretRef

from .bounds import bounds_of
from .decoder import UnreadableError
from .model import TelemetryConfig
from .quoting import looks_secret, quoted
from .sections import Section, is_null
from .stages import StageReader
from .tree import Entry, MapNode, ValueNode

__all__ = ["read_telemetry", "telemetry_warnings"]

_GRPC_PORT: Final = 4317
_HEADER: Final = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,128}")
_PLAIN: Final = re.compile(r"[\x21-\x39\x3b-\x7e]{1,256}")
_CREDENTIALS: Final = frozenset({"authorization", "api-key", "cookie", "proxy-authorization", "x-api-key"})
"""Headers that carry a credential whatever is in them."""
_OWN: Final = frozenset(
    {"connection", "content-encoding", "content-length", "content-type", "host", "transfer-encoding"}
)
"""Headers that the exporter writes itself: another value would break the request or its framing."""


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
    if values.get("content") and top.section("records").get("content", "none") == "none":
        sentence = "tells what records keep of contents, and they keep none: write records.content, for example full"
        stages.decoder.problems.add(telemetry.place("content"), f"'telemetry.content' {sentence}")
    return TelemetryConfig(**values, otlp_headers=_headers(stages, telemetry))


def _headers(stages: StageReader, telemetry: Section) -> Mapping[str, str | SecretRef]:
    node = telemetry.nodes.get("otlp-headers")
    if node is None:
        return {}
    if not isinstance(node, MapNode):
        stages.decoder.problems.add(node.where, "'otlp-headers' must be a mapping of names and secret references")
        return {}
    found: dict[str, str | SecretRef] = {}
    for entry in node:
        with contextlib.suppress(UnreadableError):
            found[entry.key.lower()] = _header(stages, entry)
    return found


def _header(stages: StageReader, entry: Entry) -> str | SecretRef:
    name, node = entry.key.lower(), entry.node
    if not _HEADER.fullmatch(entry.key):
        raise stages.decoder.refuse(entry.where, f"{quoted(entry.key)} is no name of a header")
    if name in _OWN:
        raise stages.decoder.refuse(entry.where, f"header {name!r} is written by the gateway: take it out")
    if not isinstance(node, ValueNode) or is_null(node):
        raise stages.decoder.refuse(entry.where, f"header {name!r} must be a secret reference, or a plain text")
    if name not in _CREDENTIALS and _PLAIN.fullmatch(node.text) and not looks_secret(node.text):
        return node.text
    reference: SecretRef = stages.decoder.read(node, SecretRef, entry.key)
    return reference


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
