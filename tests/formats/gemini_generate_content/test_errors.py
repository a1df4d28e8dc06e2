from __future__ import annotations

import json

import pytest

from llmgate.formats.gemini_generate_content.errors import decode_error, encode_error, error_in, error_status
from llmgate.spec import (
    AuthenticationError,
    InvalidRequestError,
    ModelNotFoundError,
    ProviderError,
    RateLimitError,
)

RECORDED = {
    "error": {
        "code": 429,
        "message": "You exceeded your current quota.",
        "status": "RESOURCE_EXHAUSTED",
        "details": [
            {"@type": "type.googleapis.com/google.rpc.QuotaFailure", "violations": [{"quotaId": "q"}]},
            {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "34.5s"},
        ],
    }
}


def test_a_status_of_googles_is_read():
    detail = decode_error({}, json.dumps(RECORDED).encode())
    assert (detail.status, detail.type, detail.retry_after) == (429, "RESOURCE_EXHAUSTED", 34.5)
    assert decode_error({}, json.dumps([RECORDED]).encode()) == detail
    assert error_in(RECORDED) == detail


def test_a_word_alone_says_the_status():
    detail = error_in({"error": {"message": "m", "status": "UNAVAILABLE"}})
    assert (detail.status, detail.message) == (503, "m")
    assert error_in({"candidates": []}) is None
    assert error_in({"error": 7}).message


def test_the_reason_of_an_error_is_its_code():
    info = {"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": "API_KEY_INVALID"}
    body = {"error": {"code": 400, "message": "m", "status": "INVALID_ARGUMENT", "details": [info]}}
    assert decode_error({}, json.dumps(body).encode()).code == "API_KEY_INVALID"


@pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b"7", b"{}"])
def test_what_is_no_error_body_is_none(body):
    assert decode_error({}, body) is None


@pytest.mark.parametrize(
    ("error", "code", "status"),
    [
        (InvalidRequestError("m", param="contents"), 400, "INVALID_ARGUMENT"),
        (AuthenticationError("m"), 401, "UNAUTHENTICATED"),
        (ModelNotFoundError("m"), 404, "NOT_FOUND"),
        (RateLimitError("m", retry_after=2.5), 429, "RESOURCE_EXHAUSTED"),
        (ProviderError("m", upstream_status=529), 503, "UNAVAILABLE"),
        (ProviderError("m", upstream_status=500), 500, "INTERNAL"),
    ],
)
def test_errors_are_written_as_google_writes_them(error, code, status):
    value = json.loads(encode_error(error))["error"]
    assert (value["code"], value["status"], value["message"]) == (code, status, "m")
    assert error_status(error) == code
    assert value["details"][0]["reason"] == error.code
    again = decode_error({}, encode_error(error))
    assert (again.status, again.code, again.retry_after) == (code, error.code, error.retry_after)


def test_the_field_and_the_request_are_named():
    error = InvalidRequestError("m", param="contents")
    error.request_id = "r1"
    details = json.loads(encode_error(error))["error"]["details"]
    assert details[1]["fieldViolations"][0]["field"] == "contents"
    assert details[2]["requestId"] == "r1"


def test_a_surrogate_does_no_harm():
    assert b"?" in encode_error(InvalidRequestError("\ud800"))
