from __future__ import annotations

import json

import pytest

from llmgate.formats.openai_chat.errors import decode_error, encode_error, error_in, error_value
from llmgate.spec import (
    AuthenticationError,
    BudgetExceededError,
    ErrorDetail,
    GatewayError,
    GatewayTimeoutError,
    InvalidRequestError,
    ModelNotFoundError,
    NoDeploymentError,
    PermissionDeniedError,
    ProviderAuthenticationError,
    ProviderError,
    ProviderRateLimitError,
    ProviderTimeoutError,
    RateLimitError,
    RequestTooLargeError,
)

SHAPES = [
    ({"error": {"message": "m", "type": "t", "param": "p", "code": "c"}}, ErrorDetail("m", "t", "c", "p")),
    ({"error": "m"}, ErrorDetail("m")),
    ({"error": {"message": "m", "code": 404}}, ErrorDetail("m", code="404", status=404)),
    ([{"error": {"message": "m", "status": "INVALID_ARGUMENT", "code": 400}}],
     ErrorDetail("m", "INVALID_ARGUMENT", "400", status=400)),
    ({"error": {"code": 429, "message": "m", "status": "RESOURCE_EXHAUSTED", "details": [
        {"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": "RATE_LIMIT_EXCEEDED"},
        {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "34s"}]}},
     ErrorDetail("m", "RESOURCE_EXHAUSTED", "RATE_LIMIT_EXCEEDED", status=429, retry_after=34.0)),
    ({"message": "m"}, ErrorDetail("m")),
    ({"Message": "m"}, ErrorDetail("m")),
    ({"object": "error", "message": "m", "type": "BadRequest", "code": 400},
     ErrorDetail("m", "BadRequest", "400", status=400)),
    ({"detail": "m"}, ErrorDetail("m")),
    ({"detail": [{"loc": ["body", "messages", 0], "msg": "field required", "type": "missing"}]},
     ErrorDetail("field required", param="messages.0")),
    ({"success": False, "errors": [{"code": 10000, "message": "m"}]}, ErrorDetail("m", code="10000")),
    ({"error": {"message": {"detail": "m"}}}, ErrorDetail("m")),
    ({"error": {"code": 1}}, ErrorDetail("the provider sent an error without a message", code="1")),
]  # fmt: skip


@pytest.mark.parametrize(("value", "detail"), SHAPES)
def test_every_shape_that_is_known(value, detail):
    assert decode_error({}, json.dumps(value).encode()) == detail


@pytest.mark.parametrize(
    "body", [b"", b"<html></html>", b"null", b"1", b"[]", b"[1]", b"{}", b'{"detail": []}', b'"x"', b"\xff"]
)
def test_what_is_no_error_body(body):
    assert decode_error({}, body) is None


def test_the_class_of_error_in_a_header():
    headers = {"x-amzn-errortype": "ThrottlingException:http://internal"}
    assert decode_error(headers, b'{"message":"slow down"}') == ErrorDetail("slow down", "ThrottlingException")


@pytest.mark.parametrize("delay", ["1e400s", "-1s", "s", "1", 5, None, "9" * 400 + "s"])
def test_delays_that_make_no_sense(delay):
    body = json.dumps({"error": {"message": "m", "details": [{"retryDelay": delay}]}}).encode()
    assert decode_error({}, body).retry_after is None


def test_an_answer_is_no_error():
    assert error_in({"choices": [], "error": None}) is None
    assert error_in({"choices": [], "errors": ["x"]}) is None
    assert error_in({"id": "x"}) is None


@pytest.mark.parametrize(
    ("error", "kind", "code"),
    [
        (InvalidRequestError("m", param="p"), "invalid_request_error", "invalid_request"),
        (RequestTooLargeError("m"), "invalid_request_error", "request_too_large"),
        (AuthenticationError(), "invalid_request_error", "invalid_api_key"),
        (PermissionDeniedError("m"), "permission_error", "permission_denied"),
        (ModelNotFoundError("m"), "invalid_request_error", "model_not_found"),
        (RateLimitError("m"), "rate_limit_error", "rate_limit_exceeded"),
        (BudgetExceededError("m"), "insufficient_quota", "budget_exceeded"),
        (NoDeploymentError("m"), "service_unavailable_error", "no_deployment"),
        (GatewayTimeoutError("m"), "timeout", "deadline_exceeded"),
        (ProviderTimeoutError("m"), "timeout", "provider_timeout"),
        (ProviderRateLimitError("m", upstream_status=429), "rate_limit_error", "provider_rate_limited"),
        (ProviderAuthenticationError("m", upstream_status=401), "server_error", "provider_authentication_failed"),
        (ProviderError("m", upstream_status=529), "service_unavailable_error", "provider_error"),
        (ProviderError("m", upstream_status=400), "invalid_request_error", "provider_error"),
        (ProviderError("m", upstream_status=500), "server_error", "provider_error"),
        (GatewayError("m"), "server_error", "internal_error"),
    ],
)
def test_the_shape_that_clients_know(error, kind, code):
    value = json.loads(encode_error(error))
    assert value == error_value(error)
    assert value == {"error": {"message": error.message, "type": kind, "param": error.param, "code": code}}


def test_a_message_that_cannot_be_written_is_still_an_error():
    assert "a" in json.loads(encode_error(GatewayError("a\ud800")))["error"]["message"]


def test_the_reason_of_a_refused_login_stays_inside():
    assert b"revoked" not in encode_error(AuthenticationError(reason="key 17 is revoked"))
