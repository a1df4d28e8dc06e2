"""Protocol Buffers, compared with Google's own library."""

from __future__ import annotations

import base64
import json
from typing import Any, Final

import pytest
from google.protobuf import json_format
from google.rpc.status_pb2 import Status
from hypothesis import given, strategies as st
from opentelemetry.proto.common.v1.common_pb2 import AnyValue
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from llmgate.codecs import protobuf
from llmgate.codecs.protobuf import MAX_DEPTH, Budget, Message, ProtobufError, Schema, decode, encoded

VALUE: Final[Schema] = Schema(
    {
        1: ("stringValue", protobuf.text),
        2: ("boolValue", protobuf.boolean),
        3: ("intValue", protobuf.signed),
        4: ("doubleValue", protobuf.double),
        5: ("arrayValue", Message(lambda: VALUES)),
        7: ("bytesValue", protobuf.octets),
    }
)
VALUES: Final[Schema] = Schema({1: ("values", Message(lambda: VALUE))}, frozenset({"values"}))
SCALARS = st.one_of(
    st.builds(lambda one: AnyValue(string_value=one), st.text(st.characters(codec="utf-8"))),
    st.builds(lambda one: AnyValue(bool_value=one), st.booleans()),
    st.builds(lambda one: AnyValue(int_value=one), st.integers(-(2**63), 2**63 - 1)),
    st.builds(lambda one: AnyValue(double_value=one), st.floats(allow_nan=False, allow_infinity=False)),
    st.builds(lambda one: AnyValue(bytes_value=one), st.binary()),
)


def nested(values: list[AnyValue]) -> AnyValue:
    made = AnyValue()
    made.array_value.SetInParent()
    made.array_value.values.extend(values)
    return made


def plain(value: Any) -> Any:
    """The JSON of Google's library, numbers of 64 bits as the numbers that they are."""
    if isinstance(value, list):
        return [plain(one) for one in value]
    if isinstance(value, dict):
        return {name: int(one) if name == "intValue" else plain(one) for name, one in value.items()}
    return value


@given(st.recursive(SCALARS, lambda inner: st.builds(nested, st.lists(inner, max_size=4)), max_leaves=12))
def test_what_is_read_is_what_googles_library_reads(value: AnyValue):
    assert decode(value.SerializeToString(), VALUE, Budget(10_000)) == plain(json_format.MessageToDict(value))


@given(st.binary(max_size=60))
def test_anything_is_a_message_or_an_error_and_never_more_than_the_budget(data: bytes):
    try:
        decode(data, VALUE, Budget(50))
    except ProtobufError:
        return


def test_fields_that_nobody_reads_are_passed_over():
    span = Span(name="x", trace_id=b"\1" * 16, start_time_unix_nano=2**63 + 5, flags=7)
    schema = Schema({1: ("traceId", protobuf.hexadecimal), 7: ("start", protobuf.unsigned)})
    assert decode(span.SerializeToString(), schema, Budget(9)) == {"traceId": "01" * 16, "start": 2**63 + 5}


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"\x0a\x05ab", "cut short"),
        (b"\x21\x01", "cut short"),
        (b"\x18\xff", "cut short or too long"),
        (b"\x18" + b"\xff" * 10 + b"\x01", "cut short or too long"),
        (b"\x0b", "wire type 3"),
        (b"\x02\x00", "number 0"),
        (b"\x08\x01", "number where bytes belong"),
        (b"\x1a\x00", "bytes where a number belongs"),
        (b"\x18\x01" * 50, "too many fields"),
    ],
)  # fmt: skip
def test_what_is_no_message_is_refused(data: bytes, said: str):
    with pytest.raises(ProtobufError, match=said):
        decode(data, VALUE, Budget(20))


def test_what_is_nested_too_deeply_is_refused():
    data = b""
    for _ in range(MAX_DEPTH):
        data = encoded(5, encoded(1, data))
    with pytest.raises(ProtobufError, match="nested"):
        decode(data, VALUE, Budget(10_000))


@given(st.integers(0, 2**31 - 1), st.text(st.characters(codec="utf-8")))
def test_what_is_written_is_what_googles_library_reads(code: int, message: str):
    read = Status.FromString(encoded(1, code) + encoded(2, message.encode()))
    assert (read.code, read.message) == (code, message)


def test_base64_is_that_of_json():
    value = AnyValue(bytes_value=b"\xff\xfe")
    assert base64.b64decode(json.loads(json_format.MessageToJson(value))["bytesValue"]) == b"\xff\xfe"
    assert decode(value.SerializeToString(), VALUE, Budget(2)) == {"bytesValue": "//4="}
