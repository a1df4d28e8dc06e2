"""Where a request may go and what its head may say: checked before a socket is opened."""

from __future__ import annotations

import pytest
from hypothesis import example, given, strategies as st
from yarl import URL

from llmgate.spec import ProviderConnectionError, ProviderProtocolError, ProviderRequest
from llmgate.wire.outgoing import checked_headers, checked_url

ORIGIN = "https://api.example.com"


def request(url: str = f"{ORIGIN}/v1", *, origin: str = ORIGIN, **headers: str) -> ProviderRequest:
    return ProviderRequest("POST", url, headers, b"{}", provider_name="example", origin=origin)


@pytest.mark.parametrize(
    ("url", "origin"),
    [
        (ORIGIN, ORIGIN),
        ("https://api.example.com:443/v1", ORIGIN),
        ("https://API.example.com/v1", ORIGIN),
        ("https://api.example.com/http://evil.com/x", ORIGIN),
        ("https://api.example.com//evil.com/x", ORIGIN),
        ("https://api.example.com/../..//@evil.com", ORIGIN),
        ("https://api.example.com/v1?u=https://evil.com&k=%0d%0a", ORIGIN),
        ("http://127.0.0.1:8080/v1", "http://127.0.0.1:8080"),
        ("http://[::1]:8080/v1", "http://[::1]:8080"),
        ("http://my_service:80/v1", "http://my_service"),
    ],
)
def test_addresses_within_the_origin_go_out_byte_for_byte(url: str, origin: str) -> None:
    checked = checked_url(request(url, origin=origin))
    assert f"{url}/".endswith(f"{checked.raw_path_qs.rstrip('/')}/")
    assert str(checked.origin()).lower() == origin


@pytest.mark.parametrize(
    "url",
    [
        "http://api.example.com/v1",
        "https://api.example.com:8443/v1",
        "https://api.example.com.evil.com/v1",
        "https://api.example.com@evil.com/v1",
        "https://evil.com/https://api.example.com",
        "https://u:p@api.example.com/v1",
        "https://@api.example.com/v1",
        "https://api.example.com./v1",
        "https://api.example.com#@evil.com/",
        "https://api.example.com/v1#x",
        "https://api.example.com\\@evil.com/",
        "https://api.example.com/v1\\..",
        "https://api.example.com/v 1",
        "https://api.example.com/v1\r\nx: y",
        "https://api.example.com/\x00",
        "https://api.example.com/é",
        "https://api。example。com/v1",
        "https://api.example.com%2f@evil.com/",
        "https://api.example.com:99999/",
        "https:///v1",
        "//api.example.com/v1",
        "/v1",
        "",
        "file:///etc/passwd",
        "ftp://api.example.com/",
        "unix:///run/x.sock",
    ],
)
def test_any_other_address_is_refused_in_words_that_do_not_repeat_it(url: str) -> None:
    with pytest.raises(ProviderConnectionError, match="nothing was sent to provider example") as caught:
        checked_url(request(url))
    assert caught.value.code == "provider_address_refused"
    assert not caught.value.retryable
    assert caught.value.__context__ is None
    assert "evil" not in str(caught.value)
    assert "example.com" not in str(caught.value)


def test_without_an_origin_nothing_goes_out() -> None:
    with pytest.raises(ProviderConnectionError):
        checked_url(request(origin=""))


@given(st.text(max_size=30))
def test_no_text_in_the_place_of_a_path_changes_the_host(text: str) -> None:
    try:
        url = checked_url(request(f"{ORIGIN}/v1/{text}"))
    except ProviderConnectionError:
        return
    assert (url.scheme, url.raw_host, url.port, url.user) == ("https", "api.example.com", 443, None)
    assert str(url).isascii()


@given(st.text(max_size=20))
@example(":")  # a port that is not written is the usual one
def test_no_text_right_behind_the_host_changes_it_unseen(text: str) -> None:
    try:
        url = checked_url(request(f"{ORIGIN}{text}"))
    except ProviderConnectionError:
        return
    assert (url.scheme, url.raw_host, url.port, url.user) == ("https", "api.example.com", 443, None)


def test_names_are_lowered_and_defaults_give_way() -> None:
    headers = checked_headers(
        request(**{"X-A": "1", "User-Agent": "sdk", "accept": "text/event-stream"}), URL(ORIGIN), "me"
    )
    assert headers == {"accept": "text/event-stream", "user-agent": "sdk", "x-a": "1", "accept-encoding": "identity"}


@pytest.mark.parametrize("name", ["", "x y", "x:", "x\r\n", "é", "x\x00", "x(", '"x"'])
def test_a_header_name_that_is_no_token_is_refused(name: str) -> None:
    with pytest.raises(ProviderProtocolError, match="does not allow") as caught:
        checked_headers(request(**{"x-fine": "1", name: "v"}), URL(ORIGIN), "me")
    assert caught.value.code == "provider_request_refused"


@pytest.mark.parametrize("value", ["\r", "\n", "a\r\n b", "\x00", "\x1b[0m", "\x7f", "\u2028", "日本", "\udcff"])
def test_a_header_value_that_http_cannot_carry_is_refused_without_being_shown(value: str) -> None:
    with pytest.raises(ProviderProtocolError, match="'x-key'") as caught:
        checked_headers(request(**{"x-key": f"secret{value}"}), URL(ORIGIN), "me")
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("value", ["", "plain", "tab\tinside", "Zürich"])
def test_ordinary_values_pass(value: str) -> None:
    assert checked_headers(request(**{"x-key": value}), URL(ORIGIN), "me")["x-key"] == value


@pytest.mark.parametrize(
    "headers",
    [
        {"host": "evil.com"},
        {"Host": "evil.com"},
        {"content-length": "1"},
        {"transfer-encoding": "chunked"},
        {"Transfer-Encoding": "chunked"},
        {"connection": "close"},
        {"expect": "100-continue"},
        {"upgrade": "h2c"},
        {"proxy-authorization": "Basic x"},
    ],
)
def test_the_framing_is_not_an_adapters_to_set(headers: dict[str, str]) -> None:
    with pytest.raises(ProviderProtocolError, match="connection's own"):
        checked_headers(request(**headers), URL(ORIGIN), "me")


def test_a_host_and_a_length_that_are_signed_and_right_are_left_to_the_wire() -> None:
    headers = checked_headers(
        request(**{"host": "api.example.com", "content-length": "2", "x-a": "1"}), URL(ORIGIN), "me"
    )
    assert "host" not in headers
    assert "content-length" not in headers
    assert headers["x-a"] == "1"
