from __future__ import annotations

import json

import pytest

from llmgate.formats import get_format
from llmgate.spec import (
    AuthenticationError,
    BudgetExceededError,
    GatewayTimeoutError,
    InvalidRequestError,
    ModelNotFoundError,
    NoDeploymentError,
    PermissionDeniedError,
    ProviderAuthenticationError,
    ProviderError,
    RateLimitError,
    RequestTooLargeError,
)

FORMAT = get_format("anthropic-messages")


@pytest.mark.parametrize(
    ("error", "status", "kind"),
    [
        (InvalidRequestError("x"), 400, "invalid_request_error"),
        (AuthenticationError(), 401, "authentication_error"),
        (BudgetExceededError("x"), 402, "billing_error"),
        (PermissionDeniedError("x"), 403, "permission_error"),
        (ModelNotFoundError("x"), 404, "not_found_error"),
        (RequestTooLargeError("x"), 413, "request_too_large"),
        (RateLimitError("x"), 429, "rate_limit_error"),
        (ProviderAuthenticationError("x"), 502, "api_error"),
        (ProviderError("x", upstream_status=500), 500, "api_error"),
        (ProviderError("x", upstream_status=529), 529, "overloaded_error"),
        (ProviderError("x", upstream_status=503), 529, "overloaded_error"),
        (NoDeploymentError("x"), 503, "overloaded_error"),
        (GatewayTimeoutError("x"), 504, "timeout_error"),
        (ProviderError("x", upstream_status=409), 409, "invalid_request_error"),
    ],
)
def test_writes_every_class_of_error(error, status, kind):
    value = json.loads(FORMAT.encode_error(error))
    assert value == {"type": "error", "error": {"type": kind, "message": error.message}}
    assert FORMAT.error_status(error) == status


def test_the_request_is_named_where_its_id_is_known():
    error = InvalidRequestError("lone \ud800")
    error.request_id = "req_1"
    assert json.loads(FORMAT.encode_error(error))["request_id"] == "req_1"


def test_openais_clients_know_no_529():
    assert get_format("openai-chat").error_status(ProviderError("x", upstream_status=529)) == 503


@pytest.mark.parametrize(
    ("body", "message", "kind", "status"),
    [
        (
            b'{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"},"request_id":"r"}',
            "Overloaded",
            "overloaded_error",
            529,
        ),
        (b'{"error":{"type":"rate_limit_error","message":"slow"}}', "slow", "rate_limit_error", 429),
        (b'{"error":{"type":"new_error","message":"x"}}', "x", "new_error", None),
        (b'{"message":"no such path"}', "no such path", None, None),
        (b'[{"error":{"code":404,"message":"gone"}}]', "gone", None, 404),
        (b'{"detail":"nope"}', "nope", None, None),
    ],
)
def test_reads_every_shape_of_error(body, message, kind, status):
    detail = FORMAT.decode_error(400, {}, body)
    assert (detail.message, detail.type, detail.status) == (message, kind, status)


@pytest.mark.parametrize("body", [b"", b"<html>", b'"text"', b"3", b"{}"])
def test_what_is_no_error_body(body):
    assert FORMAT.decode_error(502, {}, body) is None
