"""Errors carry the status that a surface answers with, a stable code, and never what must not be shown."""

from __future__ import annotations

import pytest

from llmgate.spec import (
    AuthenticationError,
    ConfigError,
    GatewayError,
    InvalidRequestError,
    ModelNotFoundError,
    ProviderAuthenticationError,
    ProviderConnectionError,
    ProviderError,
    ProviderProtocolError,
    RequestTooLargeError,
    errors,
)


def test_a_class_has_a_code_and_an_instance_may_have_another():
    assert ModelNotFoundError("x").code == "model_not_found"
    assert ModelNotFoundError("x", code="router_not_found").code == "router_not_found"
    assert RequestTooLargeError("x").http_status == 413
    assert isinstance(RequestTooLargeError("x"), InvalidRequestError)


def test_no_two_classes_share_a_code():
    classes = [value for value in vars(errors).values() if isinstance(value, type) and issubclass(value, GatewayError)]
    codes = [error.default_code for error in classes]
    assert len(set(codes)) == len(codes) == len(errors.__all__)


def test_a_config_error_shows_every_problem():
    assert str(ConfigError("wrong", problems=["a", "b"])) == "a\nb"
    assert ConfigError("wrong").problems == ("wrong",)


def test_a_refusal_keeps_its_reason_for_the_record():
    error = AuthenticationError(reason="key of alice has expired")
    assert "alice" not in str(error)
    assert error.reason == "key of alice has expired"
    assert AuthenticationError("no").reason == "no"


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (ProviderError("x", upstream_status=429), 429),
        (ProviderError("x", upstream_status=200), 502),
        (ProviderError("x"), 502),
        (ProviderConnectionError("x"), 502),
        (ProviderAuthenticationError("x", upstream_status=401), 502),
        (ProviderProtocolError("x", upstream_status=404), 502),
    ],
)
def test_a_providers_status_is_passed_on_where_it_says_something_to_the_caller(error, status):
    assert error.http_status == status
