"""A target is written in one way, or it is none; only its origin counts."""

from __future__ import annotations

import pytest
from hypothesis import given, strategies as st
from yarl import URL

from llmgate.catalogue import parse_target


@pytest.mark.parametrize(
    ("url", "origin", "host", "port"),
    [
        ("https://api.groq.com", "https://api.groq.com", "api.groq.com", 443),
        ("https://api.groq.com/", "https://api.groq.com", "api.groq.com", 443),
        ("https://api.groq.com/openai/v1", "https://api.groq.com", "api.groq.com", 443),
        (" HTTPS://API.Groq.com:443 ", "https://api.groq.com", "api.groq.com", 443),
        ("https://api.groq.com.", "https://api.groq.com", "api.groq.com", 443),
        ("https://api.groq.com:8443", "https://api.groq.com:8443", "api.groq.com", 8443),
        ("http://localhost:11434", "http://localhost:11434", "localhost", 11434),
        ("https://8.8.8.8", "https://8.8.8.8", "8.8.8.8", 443),
        ("https://[2606:4700:0::1111]:8", "https://[2606:4700::1111]:8", "2606:4700::1111", 8),
        ("https://us-central1-aiplatform.googleapis.com", "https://us-central1-aiplatform.googleapis.com",
         "us-central1-aiplatform.googleapis.com", 443),
        ("https://my_host.example", "https://my_host.example", "my_host.example", 443),
    ],
)  # fmt: skip
def test_an_address_is_taken_apart(url: str, origin: str, host: str, port: int) -> None:
    target = parse_target(url, path="/v1/chat?x=1", label=" Groq\n\x00 ")
    assert (target.origin, target.host, target.port) == (origin, host, port)
    assert (target.path, target.label) == ("/v1/chat?x=1", "Groq")


@pytest.mark.parametrize(
    "url",
    [
        "", "x", "api.groq.com", "//api.groq.com", "ftp://a.example", "https://", "https://a@b.example", "https://a:b@c.d",
        "https://a.example\\@b", "https://a.example?x", "https://a.example#x",
        "https://a.example/?x=1", "https://a.example/v1?key=x", "https://a.example/v1#x", "https://a.example/#",
        "https://a%2e.example", "https://a..b",
        "https://.a", "https://-a.b", "https://a-.b", "https://127.1", "https://1", "https://0x7f.1", "https://a.0x7f",
        "https://0177.0.0.1", "https://1.2.3.4.5", "https://1.2.3.256", "https://[::g]", "https://[::1%25a]",
        "https://a.example:0", "https://a.example:99999", "https://ä.example", "https://①.example",
        "https://a.example/\x00", "https://a.example/ x", "h\tttps://a.example", "https://a.exa\nmple",
    ],
)  # fmt: skip
def test_whatever_can_be_read_in_two_ways_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match=r"^it "):
        parse_target(url)


@pytest.mark.parametrize(
    ("url", "row"),
    [
        ("https://api.openai.com", "openai"),
        ("https://API.OPENAI.COM.:443/v1", "openai"),
        ("https://bedrock-runtime.eu-west-1.amazonaws.com", "bedrock"),
        ("https://api.openai.com.attacker.example", ""),
        ("https://api-openai.com", ""),
        ("https://a.example", ""),
    ],
)
def test_the_vendor_is_known_by_the_whole_host(url: str, row: str) -> None:
    assert parse_target(url).row == row


@given(st.text(max_size=60))
def test_what_is_taken_is_read_alike_by_the_client(rest: str) -> None:
    for text in (rest, f"https://{rest}", f"https://api.openai.com{rest}"):
        try:
            target = parse_target(text)
        except ValueError:
            continue
        url = URL(target.origin, encoded=True)
        assert (url.host, url.port) == (target.host, target.port)
        assert url.user is None
        assert target.host.isascii()
