"""What formats have in common that are relayed and never translated."""

from __future__ import annotations

import json

import pytest

from llmgate.formats import FORMATS, get_format
from llmgate.formats.bodies import read_top
from llmgate.formats.carried import CarriedFormat
from llmgate.formats.relayed import RelayedFormat
from llmgate.spec import ChatRequest, ChatResponse, InvalidRequestError, ProviderProtocolError, RateLimitError

RELAYED = [
    name
    for name in FORMATS
    if name.startswith("openai-")
    and isinstance(get_format(name), RelayedFormat)
    and not isinstance(get_format(name), CarriedFormat)
]
BODY = b'{ "model":"m" ,\t"prompt":"p","input":["i"],"user":"u", "x_unknown":[1.50,{"\\u00e9":null}]}'


def test_there_are_some():
    assert RELAYED == ["openai-completions", "openai-embeddings"]


@pytest.mark.parametrize("name", RELAYED)
def test_a_body_without_edits_is_the_same_object(name):
    assert get_format(name).patch_request(BODY, {}) is BODY


@pytest.mark.parametrize("name", RELAYED)
def test_an_edit_changes_its_own_bytes_only(name):
    patched = get_format(name).patch_request(BODY, {"model": "n/é"})
    assert patched == BODY.replace(b'"m"', '"n/é"'.encode())
    assert b'"user"' not in get_format(name).patch_request(BODY, {"user": None})


@pytest.mark.parametrize("name", RELAYED)
def test_an_edit_without_a_counterpart_is_refused_by_name(name):
    with pytest.raises(InvalidRequestError, match="messages, tools"):
        get_format(name).patch_request(BODY, {"tools": [], "messages": []})


@pytest.mark.parametrize("name", RELAYED)
def test_nothing_is_translated(name):
    wire_format = get_format(name)
    request, response = ChatRequest("m", ()), ChatResponse("i", "m", ())
    refusals = [
        lambda: wire_format.decode_request(BODY),
        lambda: wire_format.encode_request(request),
        lambda: wire_format.decode_response(BODY),
        lambda: wire_format.encode_response(response),
    ]
    if name == "openai-embeddings":
        refusals += [wire_format.stream_reader, wire_format.stream_encoder]
    for refuse in refusals:
        with pytest.raises(InvalidRequestError) as refused:
            refuse()
        assert refused.value.code == "operation_not_supported"
        assert name in refused.value.message


@pytest.mark.parametrize("name", RELAYED)
@pytest.mark.parametrize(
    "body",
    [
        b"", b"[]", b'"x"', b"{", b'{"model":"a","model":"b"}', b'{"model":"a","\\u006dodel":"b"}', b'{"model":NaN}',
        b"\xef\xbb\xbf{}", b'{"model":"\\ud800"}', b"{}x", b'{"model":' + b"[" * 5000 + b"]" * 5000 + b"}",
    ],
)  # fmt: skip
def test_a_body_that_two_parsers_would_read_differently_is_refused(name, body):
    with pytest.raises(InvalidRequestError):
        get_format(name).peek(body)


def test_the_top_level_is_read_once_and_lazily():
    assert read_top(BODY).get("x_unknown") == [1.5, {"é": None}]


@pytest.mark.parametrize("name", RELAYED)
@pytest.mark.parametrize(
    "body", [b"", b"<html>", b"[]", b"null", b"{}", b'{"data":5,"choices":{}}', b'{"choices":[1]}']
)
def test_what_is_no_answer_is_a_protocol_error_that_may_be_tried_elsewhere(name, body):
    with pytest.raises(ProviderProtocolError) as failure:
        get_format(name).observe_response(body)
    assert failure.value.retryable


@pytest.mark.parametrize("name", RELAYED)
def test_an_error_inside_a_success_is_seen(name):
    body = json.dumps({"error": {"message": "no", "type": "server_error", "code": "boom"}}).encode()
    outcome = get_format(name).observe_response(body)
    assert outcome.error is not None
    assert (outcome.error.message, outcome.error.code) == ("no", "boom")


@pytest.mark.parametrize("name", RELAYED)
def test_errors_have_openais_shape_both_ways(name):
    wire_format = get_format(name)
    body = wire_format.encode_error(RateLimitError("slow down", param="model"))
    assert json.loads(body)["error"]["message"] == "slow down"
    detail = wire_format.decode_error(429, {}, body)
    assert detail is not None
    assert (detail.message, detail.param) == ("slow down", "model")
    assert wire_format.decode_error(502, {}, b"<html>") is None


@pytest.mark.parametrize("name", RELAYED)
def test_no_client_header_goes_up_and_no_cookie_comes_down(name):
    wire_format = get_format(name)
    assert not wire_format.request_headers
    assert "set-cookie" not in wire_format.response_headers
    assert "x-ratelimit-remaining-requests" in wire_format.response_headers
