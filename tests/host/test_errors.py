"""Which headers and which body an error gets; more, over sockets, in surfaces/test_openai.py."""

from __future__ import annotations

import json

import pytest

from llmgate.formats import get_format
from llmgate.host.errors import RefusedError, error_body, error_headers
from llmgate.spec import AuthenticationError, GatewayTimeoutError, ProviderError, RateLimitError


@pytest.mark.parametrize(
    ("seconds", "sent"), [(0, b"1"), (-5, b"1"), (0.01, b"1"), (1.0, b"1"), (1.2, b"2"), (3600, b"3600")]
)
def test_retry_after_is_in_whole_seconds_and_never_zero(seconds, sent):
    assert dict(error_headers(RateLimitError("x", retry_after=seconds)))[b"retry-after"] == sent


def test_a_wait_for_ever_is_not_said():
    assert b"retry-after" not in dict(error_headers(RateLimitError("x", retry_after=float("inf"))))


def test_an_upstreams_own_word_on_repeating_wins():
    error = ProviderError("x", retryable=True, headers={"x-should-retry": "true"})
    assert error_headers(error) == [(b"x-should-retry", b"true")]


@pytest.mark.parametrize("said", [{}, {"x-should-retry": "true"}, {"x-should-retry": "false"}])
def test_after_repeats_of_our_own_nobody_is_to_repeat_whatever_the_upstream_says(said):
    error = ProviderError("x", retryable=True, headers=said, retry_after=1)
    error.repeated = True
    assert sorted(error_headers(error)) == [(b"retry-after", b"1"), (b"x-should-retry", b"false")]


def test_a_deadline_that_has_passed_is_not_to_be_repeated_since_ours_have_used_it_up():
    assert error_headers(GatewayTimeoutError("x")) == [(b"x-should-retry", b"false")]


@pytest.mark.parametrize(("seconds", "both"), [(59, False), (60, False), (61, True), (3600, True)])
def test_a_wait_that_client_libraries_do_not_heed_forbids_the_repeat_as_well(seconds, both):
    headers = dict(error_headers(ProviderError("x", retryable=True, retry_after=seconds)))
    assert headers[b"retry-after"] == str(seconds).encode()
    assert (headers.get(b"x-should-retry") == b"false") is both


def test_only_our_own_401_asks_for_a_bearer():
    assert error_headers(AuthenticationError()) == [(b"www-authenticate", b"Bearer")]
    assert b"www-authenticate" not in dict(error_headers(ProviderError("x", upstream_status=401)))


def test_a_refusal_brings_its_headers_and_closes():
    error = RefusedError(405, "x", code="c", headers={"allow": "GET"}, close=True)
    assert error_headers(error) == [(b"allow", b"GET"), (b"connection", b"close")]
    assert error.http_status == 405


def test_the_reason_of_a_401_stays_inside():
    body = error_body(AuthenticationError("Invalid credentials", reason="revoked yesterday"), get_format("openai-chat"))
    assert b"revoked" not in body
    assert json.loads(body)["error"]["type"] == "invalid_request_error"


def test_an_empty_upstream_body_is_an_upstream_body():
    assert error_body(ProviderError("x", body=b"{}"), get_format("openai-chat")) == b"{}"
