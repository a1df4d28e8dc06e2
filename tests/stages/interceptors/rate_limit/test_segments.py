"""Requests that are counted together share a key, and no others do."""

from __future__ import annotations

import itertools

import pytest

from llmgate.spec import ExchangeView, Principal
from llmgate.stages.interceptors.rate_limit.segments import network_of, segment_suffix, wants_body
from llmgate.testing.samples import sample_deployment, sample_exchange, sample_request


def key(*by, request=None, **fields):
    request = request or sample_request()
    return segment_suffix(by, ExchangeView(sample_exchange(request, **fields)), request)


def anybody(address):
    return {"principal": Principal(id="anonymous", kind="anonymous"), "client_address": address}


def test_nothing_to_count_by_is_one_key():
    assert key() == "" == key(**anybody("192.0.2.1"))


def test_callers_are_told_apart_by_issuer_and_id():
    callers = [Principal("a", "x"), Principal("a", "y"), Principal("b", "x"), Principal("x", "a"), Principal("ax", "")]
    keys = [key("api-key", principal=one) for one in callers]
    assert len(set(keys)) == len(keys)
    assert key("api-key", principal=Principal("a", "x"), client_address="192.0.2.9") == keys[0]


def test_nobody_is_told_apart_by_address():
    assert key("api-key", **anybody("192.0.2.1")) != key("api-key", **anybody("192.0.2.2"))
    named_like_one = Principal(id="192.0.2.1", issuer="anonymous")
    assert key("api-key", principal=named_like_one) != key("api-key", **anybody("192.0.2.1"))


@pytest.mark.parametrize(
    ("address", "network"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("2001:db8::1", "2001:db8::/64"),
        ("2001:db8:0:0:ffff::1", "2001:db8::/64"),
        ("2001:db8:0:1::1", "2001:db8:0:1::/64"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("fe80::1%eth0", "fe80::/64"),
        ("", ""),
        ("/run/gateway.sock", "/run/gateway.sock"),
    ],
)
def test_what_counts_as_one_address(address, network):
    assert network_of(address) == network


def test_every_segment_tells_apart():
    one = {
        "client_headers": {"helicone-user-id": "u", "helicone-property-app": "p", "x-team": "t"},
        "principal": Principal("a", attributes={"team": "blue"}),
        "router": "r",
        "surface": "openai",
        "client_address": "192.0.2.1",
    }
    other = {
        "client_headers": {"helicone-user-id": "v", "helicone-property-app": "q", "x-team": "s"},
        "principal": Principal("b", attributes={"team": "red"}),
        "router": "s",
        "surface": "anthropic",
        "client_address": "192.0.2.2",
    }
    segments = ("user", "property:App", "header:X-Team", "attribute:team", "router", "surface", "ip", "api-key")
    for by in segments:
        assert key(by, **one) == key(by, **one) != key(by, **other), by
    for several in itertools.combinations(segments, 2):
        assert key(*several, **one) != key(*several, **other)
    assert key("model", request=sample_request("a")) != key("model", request=sample_request("b"))
    assert key("team", **one) == key("team", **one) != key("team", **other)


def test_an_attempt_says_provider_and_the_model_of_a_chain():
    def at(by, model, *where):
        request = sample_request(model)
        deployment = sample_deployment("/".join(where))
        return segment_suffix([by], ExchangeView(sample_exchange(request)), request, deployment)

    assert at("provider", "m", "a", "m") == at("provider", "m", "a", "n") != at("provider", "m", "b", "m")
    assert at("model", "m", "a", "m") == at("model", "m", "b", "n")
    assert at("model", "m,n", "a", "m") != at("model", "m,n", "a", "n")


def test_values_cannot_be_shifted_between_segments():
    def asked(first, second):
        return key("header:a", "header:b", client_headers={"a": first, "b": second})

    assert len({asked("x", "y"), asked("xy", ""), asked('x","y', ""), asked("", "xy")}) == 4


def test_the_body_names_the_user_where_the_header_does_not():
    named = sample_request(user="u")
    assert key("user", request=named) == key("user", client_headers={"helicone-user-id": "u"})
    assert key("user", request=named, client_headers={"helicone-user-id": "v"}) != key("user", request=named)
    assert (wants_body(("user",)), wants_body(("api-key", "ip"))) == (True, False)


def test_a_key_is_short_and_shows_nothing():
    found = key("user", client_headers={"helicone-user-id": "ann@example.org" * 1000})
    assert len(found) < 60
    assert "ann" not in found


@pytest.mark.parametrize("by", ["header:authorization", "header:x-api-key", "header:helicone-auth"])
def test_a_credential_is_nothing_to_count_by(by):
    name = by.partition(":")[2]
    assert key(by, client_headers={name: "secret"}) == key(by, client_headers={})
