from __future__ import annotations

import json

import pytest

from llmgate.formats import get_format
from llmgate.formats.adapter.errors import (
    NOT_AT_THE_SAME_PLACE,
    error_inside_success,
    parse_error,
    shown_headers,
)
from llmgate.spec import (
    AttemptCall,
    Deployment,
    Operation,
    Provider,
    ProviderAuthenticationError,
    ProviderProtocolError,
    ProviderRateLimitError,
    ProviderResponse,
    ProviderRow,
    ProviderTimeoutError,
    RelayBody,
    Secret,
    SecretRef,
)

KEY = "sk-live/with\"odd'signs"
FORMAT = get_format("openai-chat")
ROW = ProviderRow("acme", "Acme", "http://10.1.2.3:8000/v1", {"openai-chat": "/chat/completions"})
CALL = AttemptCall(
    Operation.CHAT,
    Deployment("acme/m", Provider("acme", ROW, ROW.base_url, secret=SecretRef("env", "K")), "m"),
    FORMAT,
    RelayBody(b"{}"),
    stream=False,
    secret=Secret(KEY),
    now=1_700_000_000.0,
)
JSON = {"content-type": "application/json"}


def error(status: int, value: object = None, *, body: bytes = b"", headers: dict[str, str] | None = None):
    data = json.dumps(value).encode() if value is not None else body
    return parse_error(CALL, ProviderResponse(status, JSON if headers is None else headers, data))


def test_the_vendors_words_and_body():
    value = {
        "error": {
            "message": "too long",
            "type": "invalid_request_error",
            "param": "messages",
            "code": "context_length_exceeded",
        }
    }
    found = error(400, value)
    assert str(found) == "provider 'acme' answered 400: too long"
    assert (found.code, found.param, found.retryable) == ("context_length_exceeded", "messages", False)
    assert json.loads(found.body) == value


@pytest.mark.parametrize(
    ("status", "value", "code"),
    [
        (429, {"error": {"message": "m", "code": "insufficient_quota"}}, "insufficient_quota"),
        (429, {"error": {"message": "m", "type": "insufficient_quota"}}, "insufficient_quota"),
        (402, {"error": {"message": "Insufficient Balance"}}, "insufficient_quota"),
        (404, {"detail": "Not Found"}, "model_not_found"),
        (404, {"error": {"message": "m", "code": "DeploymentNotFound"}}, "model_not_found"),
        (429, {"error": {"message": "m", "code": "rate_limit_exceeded"}}, "provider_rate_limited"),
        (500, {"error": {"message": "m", "code": 500}}, "provider_error"),
        (400, {"error": {"message": "m", "code": "a b\n"}}, "provider_error"),
        (400, {"error": {"message": "m", "code": "provider_authentication_failed"}}, "provider_error"),
    ],
)
def test_codes_that_programs_can_rely_on(status, value, code):
    found = error(status, value)
    assert found.code == code
    assert (found.code in NOT_AT_THE_SAME_PLACE) is (code in ("insufficient_quota", "model_not_found"))


@pytest.mark.parametrize("status", [402, 404, 408, 409, 425, 429, 498, 500, 501, 503, 520, 529, 599])
def test_another_attempt_may_succeed(status):
    assert error(status).retryable


@pytest.mark.parametrize("status", [400, 405, 406, 410, 413, 415, 422, 431, 451])
def test_another_attempt_would_say_the_same(status):
    assert not error(status).retryable


def test_kinds_of_errors():
    assert isinstance(error(429), ProviderRateLimitError)
    for status in (408, 504, 524):
        assert isinstance(error(status), ProviderTimeoutError)
        assert error(status).http_status == status


@pytest.mark.parametrize("status", [401, 403])
def test_a_refused_credential_shows_nothing_of_the_vendor(status):
    found = error(status, {"error": {"message": "Incorrect API key provided: sk-li***gns"}})
    assert isinstance(found, ProviderAuthenticationError)
    assert found.code == "provider_authentication_failed"
    assert (found.http_status, found.upstream_status, found.body, found.retryable) == (502, status, None, True)
    assert "sk-li" not in str(found)


@pytest.mark.parametrize(
    "value",
    [
        {"error": {"message": "bad", "code": "invalid_api_key"}},
        [{"error": {"code": 400, "message": "bad", "details": [{"reason": "API_KEY_INVALID"}]}}],
    ],
)
def test_vendors_that_refuse_a_credential_with_400(value):
    assert isinstance(error(400, value), ProviderAuthenticationError)


@pytest.mark.parametrize("said", ["you sent {}", "{}", "invalid_{}"])
@pytest.mark.parametrize("place", ["message", "param", "code", "type"])
def test_the_credential_is_taken_out_wherever_it_is_echoed(place, said):
    value = {"error": {"message": "m", place: said.format(KEY)}}
    for body in (json.dumps(value).encode(), json.dumps(value).replace("/", "\\/").replace("s", "\\u0073").encode()):
        found = error(400, body=body)
        shown = f"{found} {found!r} {found.param} {found.code} {found.type if hasattr(found, 'type') else ''}"
        assert KEY not in shown
        assert found.body is None


def test_the_address_of_the_provider_is_not_shown():
    found = error(500, {"error": {"message": "cannot reach http://10.1.2.3:8000/v1/x from\nhere"}})
    assert str(found) == "provider 'acme' answered 500: cannot reach <acme>/x from here"
    assert found.body is None


def test_long_messages_are_cut_and_made_one_line():
    found = error(500, {"error": {"message": "a\r\n\x1b[31m\u2028" + "b" * 5000}})
    assert len(str(found)) < 400
    assert str(found).isprintable()


@pytest.mark.parametrize(
    ("body", "headers", "words"),
    [
        (b"", JSON, "service unavailable, with an empty body"),
        (
            b"<html><h1>oops</h1>",
            {"content-type": "text/html"},
            "service unavailable, with a body that is no JSON error",
        ),
        (b"no healthy upstream", {"content-type": "text/plain; charset=utf-8"}, "no healthy upstream"),
        (b"\xff\xfe", {"content-type": "text/plain"}, "\ufffd\ufffd"),
        (b"{}", JSON, "service unavailable, with a body that is no JSON error"),
        (b"", {}, "service unavailable, with an empty body"),
    ],
)
def test_bodies_that_are_no_errors(body, headers, words):
    found = error(503, body=body, headers=headers)
    assert str(found) == f"provider 'acme' answered 503: {words}"
    assert found.body is None


def test_a_huge_body_is_not_kept():
    found = error(400, {"error": {"message": "m", "dump": "x" * 100_000}})
    assert found.body is None
    assert "answered 400: m" in str(found)


@pytest.mark.parametrize("status", [100, 204, 301, 304, 600, 999])
def test_statuses_that_are_neither_success_nor_error(status):
    found = error(status, headers={"location": "http://evil.invalid"})
    assert isinstance(found, ProviderProtocolError)
    assert found.http_status == 502
    assert "evil" not in str(found)


def test_errors_inside_a_success():
    response = ProviderResponse(200, {"retry-after": "3"}, b'{"error":{"message":"slow down","code":429}}')
    found = error_inside_success(CALL, FORMAT.decode_error(200, {}, response.body), response)
    assert isinstance(found, ProviderRateLimitError)
    assert (found.upstream_status, found.retry_after) == (429, 3.0)
    without = error_inside_success(CALL, FORMAT.decode_error(200, {}, b'{"error":"broke"}'), response)
    assert (without.http_status, without.retryable) == (502, True)


def test_headers_by_allow_list():
    headers = {"retry-after": "1", "set-cookie": "a", "openai-organization": "org", "x-ratelimit-remaining-tokens": "9"}
    assert shown_headers(FORMAT, headers) == {"retry-after": "1", "x-ratelimit-remaining-tokens": "9"}
    found = error(429, {"error": {"message": "m"}}, headers=headers)
    assert found.headers == {"retry-after": "1", "x-ratelimit-remaining-tokens": "9"}
    assert found.retry_after == 1.0
