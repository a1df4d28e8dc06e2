"""botocore's machine-readable model of Amazon Bedrock: what it takes and gives is the oracle of these tests."""

from __future__ import annotations

import base64
import functools
import json
import re
from typing import Any

import botocore.loaders
import botocore.model
import botocore.parsers
from botocore.eventstream import EventStream
from botocore.validate import ParamValidator

__all__ = ["parse_answer", "parse_stream", "problems"]


@functools.cache
def service() -> botocore.model.ServiceModel:
    return botocore.model.ServiceModel(botocore.loaders.Loader().load_service_model("bedrock-runtime", "service-2"))


def problems(body: bytes, operation: str = "Converse") -> str:
    """What botocore finds wrong with a request body; ``""`` for nothing. Patterns are checked, too."""
    shape = service().operation_model(operation).input_shape
    found: list[str] = []
    value = _typed(json.loads(body), shape, "", found)
    report = ParamValidator().validate({"modelId": "anthropic.claude", **value}, shape)
    return report.generate_report() + "; ".join(found)


def _typed(value: Any, shape: Any, path: str, found: list[str]) -> Any:
    """A JSON value as botocore's clients give it: bytes where the wire has base64."""
    if shape.type_name == "structure" and isinstance(value, dict) and not getattr(shape, "is_document_type", False):
        return {name: _member(one, shape, name, f"{path}.{name}", found) for name, one in value.items()}
    if shape.type_name == "list" and isinstance(value, list):
        return [_typed(one, shape.member, f"{path}[]", found) for one in value]
    if shape.type_name == "blob":
        return base64.b64decode(value, validate=True)
    pattern = shape.metadata.get("pattern") if shape.type_name == "string" else None
    if pattern and isinstance(value, str) and not re.fullmatch(pattern, value):
        found.append(f"{path}: {value!r} is not of {pattern}")
    enum = shape.metadata.get("enum")
    if enum and value not in enum:
        found.append(f"{path}: {value!r} is none of {enum}")
    return value


def _member(value: Any, shape: Any, name: str, path: str, found: list[str]) -> Any:
    return _typed(value, shape.members[name], path, found) if name in shape.members else value


def parse_answer(body: bytes, operation: str = "Converse", status: int = 200, headers: Any = None) -> dict[str, Any]:
    parser = botocore.parsers.create_parser("rest-json")
    response = {"body": body, "headers": headers or {}, "status_code": status}
    parsed: dict[str, Any] = parser.parse(response, service().operation_model(operation).output_shape)
    return parsed


class _Raw:
    def __init__(self, data: bytes) -> None:
        self._data = data

    def stream(self) -> Any:
        return iter([self._data])

    def close(self) -> None:
        pass


def parse_stream(data: bytes, operation: str = "ConverseStream") -> list[dict[str, Any]]:
    """The events that a client of botocore's sees; an exception in the stream is raised as its own."""
    shape = service().operation_model(operation).output_shape
    parser = botocore.parsers.create_parser("rest-json")
    member = shape.members[shape.serialization["payload"]]
    return list(EventStream(_Raw(data), member, parser._event_stream_parser, operation))
