from __future__ import annotations

import json

import pytest

from llmgate.formats import get_format
from llmgate.host.json_array import JSONArray, JSONArrayFormat
from llmgate.spec import GatewayChunk, ProviderError

FORMAT = get_format("gemini-generate-content")
EVENTS = b'data: {"a":1}\n\n: comment\n\ndata: {"b":"\xc3\xb6"}\r\n\r\n'


@pytest.mark.parametrize("size", [1, 7, len(EVENTS)])
def test_elements_go_out_as_they_come(size):
    array = JSONArray(FORMAT.stream_encoder())
    pieces = [array.rewritten(EVENTS[start : start + size]) for start in range(0, len(EVENTS), size)]
    assert json.loads(b"".join(pieces) + array.end()) == [{"a": 1}, {"b": "ö"}]
    assert pieces[0] == (b'[{"a":1},\r\n{"b":"\xc3\xb6"}' if size == len(EVENTS) else b"")


def test_an_empty_stream_is_an_empty_array():
    assert JSONArray(FORMAT.stream_encoder()).end() == b"[]"


@pytest.mark.parametrize("events", [b"", EVENTS])
def test_an_error_is_the_last_element(events):
    wire_format = JSONArrayFormat(FORMAT)
    data = wire_format.rewriter.rewritten(events) + wire_format.stream_encoder().error(ProviderError("m"))
    assert json.loads(data)[-1]["error"]["message"] == "m"
    assert wire_format.stream_encoder().encode(GatewayChunk()) == b""


def test_a_sign_of_life_is_white_space_of_json():
    wire_format = JSONArrayFormat(FORMAT)
    assert wire_format.stream_media_type == "application/json"
    assert json.loads(wire_format.heartbeat + b"[" + wire_format.heartbeat + b"]") == []
