"""Tokens are found wherever client libraries put them, with or without the word Bearer."""

from __future__ import annotations

import pytest

from llmgate.host.credentials import gather


@pytest.mark.parametrize("place", ["authorization", "x-api-key", "api-key", "x-goog-api-key", "helicone-auth"])
@pytest.mark.parametrize("value", ["sk-1", "Bearer sk-1", "bearer  sk-1", " BEARER sk-1 ", "Bearer Bearer sk-1"])
def test_a_token_is_found(place, value):
    assert dict(gather({place: value}, "").tokens) == {place: "sk-1"}


@pytest.mark.parametrize("value", ["", " ", "Bearer", "Bearer ", "Basic dXNlcjpwYXNz", "Digest a b", "Bearer a b"])
def test_what_is_no_token_is_none(value):
    assert dict(gather({"authorization": value}, "").tokens) == {}


@pytest.mark.parametrize("name", ["x-user", "x-forwarded-user", "x-authenticated", "cookie", "proxy-authorization"])
def test_no_other_header_is_a_credential(name):
    assert dict(gather({name: "sk-1"}, "").tokens) == {}


def test_auth_providers_see_the_other_headers_and_the_address():
    credentials = gather({"x-signature": "s"}, "10.0.0.1")
    assert credentials.headers["x-signature"] == "s"
    assert credentials.client_address == "10.0.0.1"
    assert "s" not in repr(credentials).replace("headers", "").replace("tokens", "").replace("address", "").split("'")


def test_a_key_in_the_query_counts_where_the_header_is_absent():
    assert dict(gather({}, "", query="alt=sse&key=sk%2D1").tokens) == {"x-goog-api-key": "sk-1"}
    assert dict(gather({"x-goog-api-key": "a"}, "", query="key=b").tokens) == {"x-goog-api-key": "a"}
    for query in ("key=", "key", "monkey=a", "key=a%20b"):
        assert dict(gather({}, "", query=query).tokens) == {}


@pytest.mark.parametrize(
    ("offered", "token"),
    [
        ("realtime, openai-insecure-api-key.sk-1, openai-beta.realtime-v1", "sk-1"),
        ("openai-insecure-api-key.sk-1", "sk-1"),
        ("openai-insecure-api-key.", None),
        ("realtime", None),
    ],
)
def test_a_browser_puts_its_key_among_the_subprotocols(offered, token):
    expected = {} if token is None else {"authorization": token}
    assert dict(gather({"sec-websocket-protocol": offered}, "").tokens) == expected


def test_a_key_in_a_header_wins_over_one_among_the_subprotocols():
    headers = {"authorization": "Bearer a", "sec-websocket-protocol": "openai-insecure-api-key.b"}
    assert dict(gather(headers, "").tokens) == {"authorization": "a"}


@pytest.mark.parametrize("value", ["Bearer sk-gateway", "sk-gateway"])
@pytest.mark.parametrize("place", ["authorization", "x-api-key", "api-key", "x-goog-api-key"])
def test_where_helicone_auth_is_it_alone_says_who_asks(place, value):
    credentials = gather({"helicone-auth": value, place: "Bearer sk-own"}, "")
    assert dict(credentials.tokens) == {"helicone-auth": "sk-gateway"}
    assert credentials.provider_key == "sk-own"
    assert "sk-own" not in repr(credentials)


@pytest.mark.parametrize("value", ["", "Basic dXNlcjpwYXNz", "Bearer"])
def test_one_that_cannot_be_read_lets_no_other_header_speak_for_it(value):
    credentials = gather({"helicone-auth": value, "authorization": "Bearer sk-own"}, "")
    assert (dict(credentials.tokens), credentials.provider_key) == ({}, "sk-own")


def test_without_it_no_key_is_the_callers_own():
    assert gather({"authorization": "Bearer a", "x-api-key": "b"}, "").provider_key == ""


def test_a_key_in_the_query_is_the_callers_own_beside_it():
    assert gather({"helicone-auth": "a"}, "", query="key=sk-own").provider_key == "sk-own"
