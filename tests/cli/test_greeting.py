"""What the start prints: where it listens, what it serves, who may call, and a request that works."""

from __future__ import annotations

import json
import shlex
import socket

import pytest

from llmgate.cli.greeting import _url, greeting as greet_lines
from llmgate.config.model import GatewayConfig, ServerConfig, StageConfig, TlsConfig
from llmgate.pipeline import ModelEntry


@pytest.fixture
def bound():
    with socket.create_server(("127.0.0.1", 0)) as one:
        yield one


def greeting(bound, config: GatewayConfig, models=("echo",), server: ServerConfig | None = None) -> list[str]:
    entries = [ModelEntry(name, "x") for name in models]
    return list(greet_lines(config, server or config.server, bound, entries))


def example(lines: list[str]) -> tuple[list[str], dict]:
    """The words of the curl line, and the body that it sends."""
    words = shlex.split(lines[-1].removeprefix("try: "))
    return words, json.loads(words[words.index("-d") + 1])


def config(*providers: str, **more) -> GatewayConfig:
    return GatewayConfig(providers=dict.fromkeys(providers), **more)


def test_the_start_says_address_providers_models_and_authentication(bound):
    lines = greeting(bound, config("echo", warnings=["openai has no key: set OPENAI_API_KEY"]))
    assert f"http://127.0.0.1:{bound.getsockname()[1]}" in lines[0]
    assert [line.partition(":")[0] for line in lines[1:]] == ["providers", "models", "authentication", "warning", "try"]
    words, body = example(lines)
    assert words[:2] == ["curl", f"http://127.0.0.1:{bound.getsockname()[1]}/v1/chat/completions"]
    assert body["model"] == "echo"
    assert "Authorization" not in lines[-1]


def test_the_example_names_a_model_of_the_first_provider(bound):
    models = ["mine", "anthropic/claude", "openai/gpt-4o", "openai/*"]
    _, body = example(greeting(bound, config("openai", "anthropic"), models))
    assert body["model"] == "openai/gpt-4o"
    _, body = example(greeting(bound, config("unknown"), ["anthropic/claude"]))
    assert body["model"] == "anthropic/claude"


def test_with_login_the_example_has_a_place_for_the_key(bound):
    lines = greeting(bound, config("echo", auth=[StageConfig("auth[0]", "static-keys", None)]))
    assert "authentication: static-keys" in lines
    assert "Authorization: Bearer $YOUR_KEY" in lines[-1]


def test_without_login_the_start_says_who_can_use_the_keys(bound):
    assert "any program on this machine" in greeting(bound, config("echo"))[3]
    opened = ServerConfig(address="0.0.0.0", allow_open=True)
    assert "whoever reaches it spends the keys" in greeting(bound, config("echo"), server=opened)[3]
    anonymous = config("echo", auth=[StageConfig("auth[0]", "anonymous", None)])
    assert greeting(bound, anonymous)[3].startswith("authentication: off")


def test_long_lists_are_cut(bound):
    lines = greeting(bound, config(*(f"p{n}" for n in range(40))), [f"p1/m{n}" for n in range(500)])
    assert "and 28 more" in lines[1]
    assert lines[2] == "models: 500 known (p1/m0, p1/m1, p1/m2, …)"


@pytest.mark.parametrize(
    ("address", "url"),
    [
        ("127.0.0.1", "http://127.0.0.1:80"),
        ("localhost", "http://localhost:80"),
        ("::1", "http://[::1]:80"),
        ("[::1]", "http://[::1]:80"),
        ("0.0.0.0", "http://127.0.0.1:80"),
        ("::", "http://[::1]:80"),
    ],
)
def test_the_address_is_one_that_works_from_here(address, url):
    assert _url(ServerConfig(address=address), 80) == url
    secured = ServerConfig(address=address, tls=TlsConfig("cert.pem", "key.pem"))
    assert _url(secured, 80) == url.replace("http:", "https:")
