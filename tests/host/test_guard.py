"""What the guard refuses, and that ordinary clients never notice it."""

from __future__ import annotations

import pytest

from llmgate.config.model import GatewayConfig, ServerConfig, StageConfig
from llmgate.host.errors import RefusedError
from llmgate.host.guard import Guard, authenticates, is_loopback


def scope(path: str = "/v1/models", headers: dict[str, str] | list[tuple[str, str]] | None = None, version="1.1"):
    pairs = headers.items() if isinstance(headers, dict) else headers or []
    return {
        "type": "http",
        "http_version": version,
        "raw_path": path.encode("latin-1"),
        "path": path,
        "headers": [(name.encode("latin-1"), value.encode("latin-1")) for name, value in pairs],
    }


def admit(what, *, trusting=False, **limits):
    guard = Guard(ServerConfig(**limits), trusting=trusting)
    headers = guard.read_headers(what)
    guard.admit(what, headers)
    guard.keep_foreign_pages_out(headers)
    return headers


def refusal(what, **options) -> RefusedError:
    with pytest.raises(RefusedError) as refused:
        admit(what, **options)
    return refused.value


@pytest.mark.parametrize(
    "path",
    [
        "/v1/%2e%2e/health",
        "/v1/%2E%2e/health",
        "/v1/../health",
        "/v1/./models",
        "/v1/..",
        "/v1/.",
        "/v1%2fmodels",
        "/v1%2Fchat/completions",
        "/v1/%5cmodels",
        "/v1\\models",
        "//v1/models",
        "/v1//models",
        "/openai/http://evil/x",
        "/v1/models%00",
        "/v1/models%0d%0aX:1",
        "/v1/models%7f",
        "/v1/mod\xe9l",
        "/v1/%zz",
        "/v1/%",
        "/v1/%f",
        "http://evil/v1/models",
        "*",
        "evil:443",
        "",
        "/router/a%2fb/chat/completions",
        "/v1/models/a%2f..%2f..%2fhealth%00",
        "/v1/models/%2e%2e/x",
        "/v1/engines/a%2fb",
        "/engines/a/%2e%2e/chat",
        "/openai%2fdeployments/a/chat/completions",
        "/openai/deployments/a%2fb/chat/%2e%2e",
        "/my/deployments/a%2fb/chat",
    ],
)
def test_a_path_that_can_be_read_in_two_ways_is_refused(path):
    if path == "":
        path = "?"
    refused = refusal(scope(path))
    assert refused.http_status == 400
    assert refused.close


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/health",
        "/v1/chat/completions",
        "/router/my-router/v1/models",
        "/router/my%20router/models",
        "/a/b...c",
        "/v1/models/openai%2Fgpt-4o",
        "/ai/v1/models/gpt-4o:free",
        "/v1/models/openai/gpt-4o",
        "/v1/engines/openai%2Fgpt-4o/chat/completions",
        "/engines/openai%2fgpt-4o/embeddings",
        "/router/main/openai/deployments/openai%2Fgpt-4o/audio/transcriptions",
        "/x/..a",
        "/.well-known/x",
    ],
)
def test_a_plain_path_passes(path):
    admit(scope(path))


@pytest.mark.parametrize(
    ("headers", "version"),
    [
        ({"content-length": "4", "transfer-encoding": "chunked"}, "1.1"),
        ({"transfer-encoding": "chunked"}, "1.0"),
    ],
)
def test_ambiguous_framing_is_refused_and_the_connection_closed(headers, version):
    refused = refusal(scope(headers=headers, version=version))
    assert (refused.http_status, refused.close) == (400, True)


@pytest.mark.parametrize("name", ["x_forwarded_for", "content_length", "_"])
def test_an_underscore_in_a_header_name_is_refused(name):
    assert refusal(scope(headers={name: "1"})).http_status == 400


@pytest.mark.parametrize("name", ["authorization", "host", "x-api-key", "content-type", "content-encoding", "origin"])
def test_a_header_that_decides_something_may_come_once_only(name):
    value = "localhost" if name == "host" else "a"
    assert refusal(scope(headers=[(name, value), (name, value)])).code == "duplicate_header"


def test_other_headers_may_repeat():
    assert admit(scope(headers=[("accept", "a"), ("accept", "b")]))["accept"] == "a, b"


def test_the_number_and_the_size_of_headers_are_bounded():
    assert refusal(scope(headers=[(f"x-{i}", "1") for i in range(101)])).http_status == 431
    assert refusal(scope(headers={"x-a": "a" * 16384})).http_status == 431
    admit(scope(headers=[(f"x-{i}", "1") for i in range(100)]))


@pytest.mark.parametrize("host", ["a/admin?", "a#", "a@b", "a b", "a:b", "a:123456", "", "[::1", "évil", "a,b", "a\\b"])
def test_a_malformed_host_is_refused_whoever_asks(host):
    assert refusal(scope(headers={"host": host})).http_status == 400


@pytest.mark.parametrize(
    "host",
    ["localhost", "localhost:8080", "127.0.0.1:1", "127.9.9.9", "[::1]:8080", "app.localhost", "LOCALHOST.", "gw.lan"],
)
def test_without_login_loopback_and_listed_hosts_are_served(host):
    admit(scope(headers={"host": host}), trusting=True, hosts=["gw.lan"])


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example", "localhost.evil", "10.0.0.5", "gw.lan"])
def test_without_login_any_other_host_is_refused(host):
    refused = refusal(scope(headers={"host": host}), trusting=True)
    assert refused.http_status == 403
    assert "server.hosts" in refused.message


def test_without_login_a_missing_host_is_refused():
    assert refusal(scope(version="1.0"), trusting=True).http_status == 403


def test_an_open_gateway_serves_addresses_but_no_names():
    admit(scope(headers={"host": "10.0.0.5:8080"}), trusting=True, allow_open=True)
    assert refusal(scope(headers={"host": "evil.example"}), trusting=True, allow_open=True).http_status == 403


@pytest.mark.parametrize(
    "headers",
    [
        {"origin": "https://evil.example"},
        {"origin": "null"},
        {"origin": "http://localhost.evil.example"},
        {"origin": "chrome-extension://abc"},
        {"origin": "http://[bad"},
        {"origin": ""},
        {"sec-fetch-site": "cross-site"},
    ],
)
def test_without_login_pages_of_other_sites_are_kept_out(headers):
    assert refusal(scope(headers={"host": "localhost"} | headers), trusting=True).http_status == 403
    admit(scope(headers={"host": "localhost"} | headers))


@pytest.mark.parametrize(
    "headers",
    [
        {"origin": "http://localhost:3000", "sec-fetch-site": "same-site"},
        {"origin": "http://127.0.0.1:8080"},
        {"origin": "https://gw.lan"},
        {"sec-fetch-site": "none"},
    ],
)
def test_without_login_pages_of_this_machine_may_call(headers):
    admit(scope(headers={"host": "localhost"} | headers), trusting=True, hosts=["gw.lan"])


@pytest.mark.parametrize(
    ("method", "headers", "served"),
    [
        ("POST", {"content-type": "text/plain"}, False),
        ("POST", {"content-type": "multipart/form-data; boundary=x"}, False),
        ("POST", {}, False),
        ("POST", {"content-type": "text/plain", "cookie": "a=b", "accept": "*/*"}, False),
        ("POST", {"content-type": "Text/Plain ;charset=utf-8;application/json"}, False),
        ("POST", {"content-type": "application/json"}, True),
        ("POST", {"content-type": "application/octet-stream"}, True),
        ("POST", {"content-type": "text/plain", "authorization": "Bearer x"}, True),
        ("POST", {"content-type": "text/plain", "x-request-id": "x"}, True),
        ("POST", {"content-type": "text/plain", "origin": "http://localhost"}, True),
        ("GET", {}, True),
        ("PUT", {"content-type": "text/plain"}, True),
    ],
)
def test_without_login_a_body_that_any_page_can_send_needs_what_no_page_can(method, headers, served):
    for trusting in (True, False):
        guard = Guard(ServerConfig(), trusting=trusting)
        if served or not trusting:
            guard.keep_simple_requests_out(method, headers)
        else:
            with pytest.raises(RefusedError) as refused:
                guard.keep_simple_requests_out(method, headers)
            assert (refused.value.http_status, refused.value.code) == (403, "cross_site")
            assert "Authorization" in refused.value.message


def test_with_login_any_host_is_served():
    admit(scope(headers={"host": "gateway.example"}))


@pytest.mark.parametrize(
    ("uses", "answer"),
    [([], False), (["static-keys"], True), (["anonymous"], False), (["static-keys", "anonymous"], False)],
)
def test_anonymous_is_no_login(uses, answer):
    config = GatewayConfig(auth=[StageConfig(f"auth[{i}]", use, None) for i, use in enumerate(uses)])
    assert authenticates(config) is answer


@pytest.mark.parametrize(("host", "answer"), [("::1", True), ("0.0.0.0", False), ("::", False), ("example.com", False)])
def test_loopback(host, answer):
    assert is_loopback(host) is answer


def test_whether_anybody_must_log_in_is_asked_each_time():
    """A reload may put a login in, or take it away."""
    trusting = [True]
    guard = Guard(ServerConfig(), trusting=lambda: trusting[-1])
    with pytest.raises(RefusedError):
        guard.keep_foreign_pages_out({"host": "evil.example"})
    trusting.append(False)
    guard.keep_foreign_pages_out({"host": "evil.example"})
