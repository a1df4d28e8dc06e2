"""No value can end its header line, and an upstream's headers never replace ours."""

from __future__ import annotations

import pytest
from hypothesis import given, strategies as st

from llmgate.host.headers import header_pairs, header_value, relayed_request_headers, upstream_headers, valid_request_id


@pytest.mark.parametrize(
    ("text", "sent"),
    [
        ("gpt-4o", b"gpt-4o"),
        ("a\r\nset-cookie: x=1", b"a??set-cookie: x=1"),
        ("a\x00b\x7fc\x85d", b"a?b?c?d"),
        ("é", b"\xe9"),
        ("模型", b"??"),
        ("\ud800", b"?"),
        ("  padded\t", b"padded"),
        ("", b""),
    ],
)
def test_a_value_is_one_line_of_latin_1(text, sent):
    assert header_value(text) == sent


def test_a_value_is_bounded():
    assert len(header_value("x" * 1_000_000)) == 4096


def test_an_upstreams_framing_cookies_and_our_own_names_are_not_passed_on():
    sent = upstream_headers(
        {
            "x-ratelimit-remaining-requests": "9",
            "set-cookie": "a=b",
            "content-length": "5",
            "transfer-encoding": "chunked",
            "content-encoding": "gzip",
            "x-request-id": "theirs",
            "helicone-provider": "forged",
            "bad name": "x",
            "bad\r\nname": "x",
            "openai-version": "a\r\nb",
        }
    )
    assert sent == [(b"x-ratelimit-remaining-requests", b"9"), (b"openai-version", b"a??b")]


@pytest.mark.parametrize("text", ["a", "A-b_9", "x" * 128])
def test_a_plain_request_id_is_kept(text):
    assert valid_request_id(text) == text


@pytest.mark.parametrize("text", [None, "", "x" * 129, "a b", "a\nb", "a\n", "é", "a;b", "a/b"])
def test_any_other_request_id_is_not(text):
    assert valid_request_id(text) is None


def test_a_clients_credentials_cookies_and_addresses_are_not_relayed():
    kept = {"accept": "a", "content-type": "b", "openai-beta": "c", "anthropic-version": "d", "range": "bytes=0-1"}
    names = [
        "authorization",
        "x-api-key",
        "api-key",
        "x-goog-api-key",
        "helicone-auth",
        "cookie",
        "host",
        "te",
        "upgrade",
    ]
    names += ["x-forwarded-for", "forwarded", "proxy-authorization", "x-original-url", "expect", "x-amz-security-token"]
    assert relayed_request_headers(kept | dict.fromkeys(names, "secret")) == kept


def test_a_header_that_belongs_to_the_connection_is_not_relayed():
    headers = {"connection": "keep-alive , OpenAI-Beta", "openai-beta": "x", "accept": "y"}
    assert relayed_request_headers(headers) == {"accept": "y"}


@given(
    st.dictionaries(st.from_regex(r"[a-z-]{1,9}", fullmatch=True), st.text("ab \n\r\x00\x7f\u00e9\u20ac", max_size=5))
)
def test_headers_made_together_are_those_made_one_by_one(texts):
    assert header_pairs(texts) == [(name.encode(), header_value(text)) for name, text in texts.items()]


def test_headers_made_together_are_no_longer_than_those_made_one_by_one():
    assert [len(value) for _, value in header_pairs({"a": "x" * 5000, "b": "y"})] == [4096, 1]
