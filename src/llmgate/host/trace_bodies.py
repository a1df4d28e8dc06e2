"""Bodies of OTLP's trace service, in its two encodings: which spans they hold, and how they are answered.

Sources: https://opentelemetry.io/docs/specs/otlp/#otlphttp and ``opentelemetry/proto/trace/v1/trace.proto`` of
https://github.com/open-telemetry/opentelemetry-proto, both as of 2026-10.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from llmgate.codecs.jsons import JSONError, dumps, top
from llmgate.codecs.protobuf import (
    Budget,
    Message,
    ProtobufError,
    Schema,
    boolean,
    decode,
    double,
    encoded,
    hexadecimal,
    octets,
    signed,
    text,
    unsigned,
    untouched,
)
from llmgate.pipeline.told_spans import Span
from llmgate.spec import InvalidRequestError

__all__ = ["JSON", "MOST_FIELDS", "PROTOBUF", "answer", "refusal", "spans_in"]

JSON: Final = "application/json"
PROTOBUF: Final = "application/x-protobuf"
MOST_FIELDS: Final = 2_000_000
"""Fields of one body that are read."""
_MARK: Final = b"gen_ai."
"""What stands in every span that tells of a model."""
_MOST_DEPTH: Final = 16
"""How deeply the value of an attribute may be nested."""
_ERROR: Final = 2
_HEX: Final = frozenset("0123456789abcdef")

_VALUE: Final[Schema] = Schema(
    {
        1: ("stringValue", text),
        2: ("boolValue", boolean),
        3: ("intValue", signed),
        4: ("doubleValue", double),
        5: ("arrayValue", Message(lambda: _VALUES)),
        6: ("kvlistValue", Message(lambda: _PAIRS)),
        7: ("bytesValue", octets),
    }
)
_VALUES: Final[Schema] = Schema({1: ("values", Message(lambda: _VALUE))}, frozenset({"values"}))
_PAIR: Final[Schema] = Schema({1: ("key", text), 2: ("value", Message(lambda: _VALUE))})
_PAIRS: Final[Schema] = Schema({1: ("values", Message(lambda: _PAIR))}, frozenset({"values"}))
_STATUS: Final[Schema] = Schema({2: ("message", text), 3: ("code", unsigned)})
_SPAN: Final[Schema] = Schema(
    {
        1: ("traceId", hexadecimal),
        2: ("spanId", hexadecimal),
        4: ("parentSpanId", hexadecimal),
        7: ("startTimeUnixNano", unsigned),
        8: ("endTimeUnixNano", unsigned),
        9: ("attributes", Message(lambda: _PAIR)),
        15: ("status", Message(lambda: _STATUS)),
    },
    frozenset({"attributes"}),
)
_SCOPE: Final[Schema] = Schema({1: ("name", text)})
_SCOPE_SPANS: Final[Schema] = Schema(
    {1: ("scope", Message(lambda: _SCOPE)), 2: ("spans", untouched)},
    frozenset({"spans"}),
)
_RESOURCE: Final[Schema] = Schema({1: ("attributes", Message(lambda: _PAIR))}, frozenset({"attributes"}))
_RESOURCE_SPANS: Final[Schema] = Schema(
    {1: ("resource", Message(lambda: _RESOURCE)), 2: ("scopeSpans", Message(lambda: _SCOPE_SPANS))},
    frozenset({"scopeSpans"}),
)
_REQUEST: Final[Schema] = Schema({1: ("resourceSpans", Message(lambda: _RESOURCE_SPANS))}, frozenset({"resourceSpans"}))


def spans_in(body: bytes, media_type: str) -> Iterator[Span | ValueError | None]:
    """The spans of a body, one after the other as they are asked for: None for one that tells of no model.

    A span that cannot be read is the error that says why, so that the others still count.

    Args:
        body: What has been sent.
        media_type: Its encoding, ``JSON`` or ``PROTOBUF``.

    Raises:
        InvalidRequestError: the body as a whole is none.
    """
    budget = Budget(MOST_FIELDS)
    for resource in _resources(body, media_type, budget):
        described = _attributes(_mapping(resource.get("resource")).get("attributes"))
        for scoped in _sequence(resource.get("scopeSpans"), "scopeSpans"):
            scope = _mapping(_mapping(scoped).get("scope")).get("name")
            for raw in _sequence(_mapping(scoped).get("spans"), "spans"):
                yield _read(raw, budget, str(described.get("service.name") or ""), str(scope or ""))


def _resources(body: bytes, media_type: str, budget: Budget) -> Iterator[Mapping[str, Any]]:
    try:
        whole = top(body).values() if media_type == JSON else decode(body, _REQUEST, budget)
    except (JSONError, ProtobufError) as error:
        raise InvalidRequestError(f"the body is no export of traces: {error}", code="invalid_traces") from None
    if not isinstance(whole, Mapping):
        raise InvalidRequestError('the body must be an object with "resourceSpans"', code="invalid_traces")
    return map(_mapping, _sequence(whole.get("resourceSpans"), "resourceSpans"))


def _read(raw: Any, budget: Budget, service: str, scope: str) -> Span | ValueError | None:
    try:
        if isinstance(raw, bytes):
            return _span(decode(raw, _SPAN, budget), service, scope) if _MARK in raw else None
        return _span(_mapping(raw), service, scope)
    except InvalidRequestError as error:
        return ValueError(error.message)
    except ValueError as error:
        return error


def _span(raw: Mapping[str, Any], service: str, scope: str) -> Span | None:
    attributes = _attributes(raw.get("attributes"))
    if not any(name.startswith(_MARK.decode()) for name in attributes):
        return None
    status = _mapping(raw.get("status"))
    parent = raw.get("parentSpanId")
    return Span(
        trace_id=_id(raw.get("traceId"), 32, "traceId"),
        span_id=_id(raw.get("spanId"), 16, "spanId"),
        parent_id=_id(parent, 16, "parentSpanId") if parent else "",
        started=_integer(raw.get("startTimeUnixNano", 0), "startTimeUnixNano"),
        ended=_integer(raw.get("endTimeUnixNano", 0), "endTimeUnixNano"),
        attributes=attributes,
        failed=status.get("code") in (_ERROR, "STATUS_CODE_ERROR"),
        message=str(status.get("message") or ""),
        service=service,
        scope=scope,
    )


def _mapping(value: Any) -> Mapping[str, Any]:
    if value is None:
        return {}
    if isinstance(value, Mapping):
        return value
    raise InvalidRequestError("a member of the body is no object where one belongs", code="invalid_traces")


def _sequence(value: Any, name: str) -> Sequence[Any]:
    if value is None:
        return ()
    if isinstance(value, list):
        return value
    raise InvalidRequestError(f"{name}: it must be a list", code="invalid_traces")


def _id(value: Any, length: int, name: str) -> str:
    said = value.lower() if isinstance(value, str) else ""
    if len(said) != length or not _HEX.issuperset(said) or not said.strip("0"):
        raise ValueError(f"{name} must be {length} hex digits, not all of them 0")
    return said


def _integer(value: Any, name: str) -> int:
    """A number of 64 bits, which JSON may write as a text."""
    if type(value) is int:
        return value
    if isinstance(value, str) and len(value) <= 20 and value.removeprefix("-").isdecimal() and value.isascii():
        return int(value)
    raise ValueError(f"{name} is no whole number")


def _attributes(pairs: Any, depth: int = 0) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for pair in map(_mapping, _sequence(pairs, "attributes")):
        name = pair.get("key", "")
        if isinstance(name, str):
            found[name] = _value(_mapping(pair.get("value")), depth)
    return found


def _value(value: Mapping[str, Any], depth: int) -> Any:
    """What an attribute says; None for nothing, and for a kind of value that is not known here."""
    if depth > _MOST_DEPTH:
        raise ValueError("an attribute is nested too deeply")
    if value.get("intValue") is not None:
        return _integer(value["intValue"], "intValue")
    if "arrayValue" in value:
        values = _sequence(_mapping(value["arrayValue"]).get("values"), "values")
        return [_value(_mapping(one), depth + 1) for one in values]
    if "kvlistValue" in value:
        return _attributes(_mapping(value["kvlistValue"]).get("values"), depth + 1)
    for name, kind in (("stringValue", str), ("boolValue", bool), ("doubleValue", float | int), ("bytesValue", str)):
        if isinstance(value.get(name), kind):
            return value[name]
    return None


def answer(media_type: str, rejected: int, reason: str) -> bytes:
    """What says that a body has been taken, or all of it but some spans.

    Args:
        media_type: The encoding, which is that of the body.
        rejected: How many spans were not taken.
        reason: Why the first of them was not, and what to do.
    """
    if not rejected:
        return b"{}" if media_type == JSON else b""
    if media_type == JSON:
        return dumps({"partialSuccess": {"rejectedSpans": str(rejected), "errorMessage": reason}})
    return encoded(1, encoded(1, rejected) + encoded(2, reason.encode()))


def refusal(media_type: str, message: str) -> bytes:
    """What says that nothing has been taken: a ``google.rpc.Status``, whose code OTLP leaves out.

    Args:
        media_type: The encoding, which is that of the body.
        message: Why, and what to do.
    """
    return dumps({"message": message}) if media_type == JSON else encoded(2, message.encode())
