"""Bodies of OTLP's trace service, made by the protocol's own messages."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from google.protobuf import json_format
from google.rpc.status_pb2 import Status
from hypothesis import given, strategies as st
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, ArrayValue, KeyValue, KeyValueList

from llmgate.host import trace_bodies
from llmgate.host.trace_bodies import JSON, PROTOBUF, answer, refusal, spans_in
from llmgate.pipeline.told_spans import Span
from llmgate.spec import InvalidRequestError

TRACE, SPAN = bytes.fromhex("4bf92f3577b34da6a3ce929d0e0e4736"), bytes.fromhex("00f067aa0ba902b7")
IDS = {"traceId": "1" * 32, "spanId": "1" * 16}
MODEL = {"gen_ai.request.model": "gpt-4o-mini"}


def value_of(value: Any) -> AnyValue:
    match value:
        case bool():
            return AnyValue(bool_value=value)
        case int():
            return AnyValue(int_value=value)
        case float():
            return AnyValue(double_value=value)
        case str():
            return AnyValue(string_value=value)
        case list():
            return AnyValue(array_value=ArrayValue(values=[value_of(one) for one in value]))
    return AnyValue(kvlist_value=KeyValueList(values=pairs_of(value)))


def pairs_of(values: dict[str, Any]) -> list[KeyValue]:
    return [KeyValue(key=name, value=value_of(value)) for name, value in values.items()]


def export(*spans: dict[str, Any], service: str = "shop", scope: str = "openai") -> ExportTraceServiceRequest:
    made = ExportTraceServiceRequest()
    resource = made.resource_spans.add()
    resource.resource.attributes.extend(pairs_of({"service.name": service}))
    scoped = resource.scope_spans.add()
    scoped.scope.name = scope
    for fields in spans:
        told = {"trace_id": TRACE, "span_id": SPAN, "attributes": MODEL, **fields}
        failure = told.pop("failure", None)
        one = scoped.spans.add(**{**told, "attributes": pairs_of(told["attributes"])})
        if failure is not None:
            one.status.code, one.status.message = one.status.STATUS_CODE_ERROR, failure
    return made


def as_json(made: ExportTraceServiceRequest) -> bytes:
    """OTLP's JSON: Protocol Buffers' own, but for ids, which are hex digits, and enumerations, which are numbers."""
    value = json_format.MessageToDict(made, use_integers_for_enums=True)
    for resource in value["resourceSpans"]:
        for scoped in resource["scopeSpans"]:
            for span in scoped.get("spans", ()):
                for name in ("traceId", "spanId", "parentSpanId"):
                    if name in span:
                        span[name] = base64.b64decode(span[name]).hex()
    return json.dumps(value).encode()


VALUES = st.recursive(
    st.one_of(st.text(), st.booleans(), st.integers(-(2**63), 2**63 - 1), st.floats(-1e9, 1e9)),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.text(), inner, max_size=3)),
    max_leaves=8,
)


@given(st.dictionaries(st.text(), VALUES, max_size=5), st.text(), st.integers(0, 2**63), st.booleans())
def test_both_encodings_say_the_same(attributes: dict[str, Any], service: str, start: int, fails: bool):
    span = {"start_time_unix_nano": start, "end_time_unix_nano": start + 1, "parent_span_id": SPAN}
    failing = {"failure": "slow down"} if fails else {}
    made = export({**span, **failing, "attributes": {**attributes, **MODEL}}, service=service)
    (one,) = spans_in(made.SerializeToString(), PROTOBUF)
    (other,) = spans_in(as_json(made), JSON)
    assert one == other == Span(
        TRACE.hex(), SPAN.hex(), SPAN.hex(), start, start + 1, {**attributes, **MODEL}, fails,
        "slow down" if fails else "", service, "openai",
    )  # fmt: skip


@pytest.mark.parametrize("kind", [JSON, PROTOBUF])
def test_spans_of_something_else_are_passed_over(kind: str):
    made = export({"attributes": {"http.request.method": "GET"}}, {"attributes": {}}, {"name": "gen_ai."})
    body = made.SerializeToString() if kind == PROTOBUF else as_json(made)
    assert [one is None for one in spans_in(body, kind)] == [True, True, False]


@pytest.mark.parametrize("kind", [JSON, PROTOBUF])
@pytest.mark.parametrize("change", [{"trace_id": b"\0" * 16}, {"span_id": b"x"}, {"trace_id": b""}])
def test_a_span_that_cannot_be_is_an_error_beside_the_others(kind: str, change: dict[str, Any]):
    made = export(change, {})
    wrong, right = spans_in(made.SerializeToString() if kind == PROTOBUF else as_json(made), kind)
    assert isinstance(wrong, ValueError)
    assert "hex digits" in str(wrong)
    assert isinstance(right, Span)


@pytest.mark.parametrize(
    ("span", "said"),
    [
        ([], "no object"),
        ({"attributes": {}}, "attributes"),
        ({"attributes": [{"key": "gen_ai.x", "value": {"intValue": "many"}}]}, "whole number"),
        ({"attributes": [{"key": "gen_ai.x", "value": {"intValue": 1.5}}]}, "whole number"),
        ({"attributes": [{"key": "gen_ai.x", "value": {"arrayValue": []}}]}, "no object"),
        ({"attributes": [{"key": "gen_ai.x"}], "traceId": 5}, "traceId"),
        ({"attributes": [{"key": "gen_ai.x"}], **IDS, "startTimeUnixNano": "soon"}, "startTimeUnixNano"),
    ],
)  # fmt: skip
def test_json_of_another_shape_is_an_error(span: Any, said: str):
    body = json.dumps({"resourceSpans": [{"scopeSpans": [{"spans": [span]}]}]}).encode()
    (one,) = spans_in(body, JSON)
    assert isinstance(one, ValueError)
    assert said in str(one)


def test_an_attribute_that_is_nested_without_end_is_an_error():
    value: Any = "x"
    for _ in range(20):
        value = [value]
    (one,) = spans_in(export({"attributes": {**MODEL, "deep": value}}).SerializeToString(), PROTOBUF)
    assert isinstance(one, ValueError)


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (b"{", JSON),
        (b"[]", JSON),
        (b'{"resourceSpans": 5}', JSON),
        (b'{"resourceSpans": [5]}', JSON),
        (b'{"resourceSpans": [{"scopeSpans": {}}]}', JSON),
        (b"\x0a\xff", PROTOBUF),
        (b"{}", PROTOBUF),
    ],
)  # fmt: skip
def test_a_body_that_is_none_is_refused_as_a_whole(body: bytes, kind: str):
    with pytest.raises(InvalidRequestError):
        list(spans_in(body, kind))


def test_a_body_without_anything_has_no_spans():
    assert list(spans_in(b"", PROTOBUF)) == list(spans_in(b"{}", JSON)) == []


def test_a_body_of_tiny_fields_is_not_read_to_its_end(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(trace_bodies, "MOST_FIELDS", 100)
    with pytest.raises(InvalidRequestError, match="too many fields"):
        list(spans_in(b"\x0a\x00" * 200, PROTOBUF))


def test_answers_are_those_of_the_protocol():
    assert answer(JSON, 0, "x") == b"{}"
    assert answer(PROTOBUF, 0, "x") == b""
    for said in (
        ExportTraceServiceResponse.FromString(answer(PROTOBUF, 300, "why")),
        json_format.Parse(answer(JSON, 300, "why"), ExportTraceServiceResponse()),
    ):
        assert (said.partial_success.rejected_spans, said.partial_success.error_message) == (300, "why")
    assert Status.FromString(refusal(PROTOBUF, "why")).message == "why"
    assert json.loads(refusal(JSON, "why")) == {"message": "why"}
