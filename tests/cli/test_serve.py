"""What ``llmgate serve`` prints and refuses before it serves; the serving itself is in end_to_end/test_serve.py."""

from __future__ import annotations

import argparse
import errno
import json
import logging
import shlex
import socket

import attrs
import pytest

from llmgate.cli import serve
from llmgate.config.model import GatewayConfig, ServerConfig, StageConfig
from llmgate.pipeline import ModelEntry


@pytest.fixture
def parse():
    parser = argparse.ArgumentParser()
    serve.add_parser(parser.add_subparsers())
    return lambda *arguments: parser.parse_args(["serve", *arguments])


@pytest.fixture
def bound():
    with socket.create_server(("127.0.0.1", 0)) as one:
        yield one


def greeting(bound, config: GatewayConfig, models=("echo",), server: ServerConfig | None = None) -> list[str]:
    entries = [ModelEntry(name, "x") for name in models]
    return list(serve._greeting(config, server or config.server, bound, entries))


def example(lines: list[str]) -> tuple[list[str], dict]:
    """The words of the curl line, and the body that it sends."""
    words = shlex.split(lines[-1].removeprefix("try: "))
    return words, json.loads(words[words.index("-d") + 1])


def config(*providers: str, **more) -> GatewayConfig:
    return GatewayConfig(providers=dict.fromkeys(providers), **more)


def test_the_command_line_wins_over_the_configuration(parse):
    configured = ServerConfig(address="::1", port=9000, hosts=["gw"], allow_open=True)
    assert serve._settings(parse(), configured) == configured
    changed = serve._settings(parse("--host", "127.0.0.2", "--port", "0"), configured)
    assert changed == attrs.evolve(configured, address="127.0.0.2", port=0)
    assert serve._settings(parse("--allow-open"), ServerConfig()).allow_open


@pytest.mark.parametrize(
    "arguments", [["--port", "65536"], ["--port", "-1"], ["--port", "x"], ["--shutdown-grace", "-1"]]
)
def test_numbers_out_of_range_are_refused(parse, arguments, capsys):
    with pytest.raises(SystemExit) as refused:
        parse(*arguments)
    assert refused.value.code == 2
    assert arguments[0] in capsys.readouterr().err


def test_more_than_one_worker_is_refused_not_pretended(parse, capsys):
    assert serve.run(parse("--workers", "4")) == 2
    assert "--workers 4" in capsys.readouterr().err


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
    assert serve._url(address, 80) == url


@pytest.mark.parametrize(
    ("number", "words"), [(errno.EADDRINUSE, "in use"), (errno.EACCES, "1024"), (errno.EADDRNOTAVAIL, "assign")]
)
def test_an_address_that_cannot_be_had_is_explained(number, words):
    import os

    problem = serve._bind_problem(ServerConfig(port=81), OSError(number, os.strerror(number)))
    assert problem.startswith("cannot listen on 127.0.0.1:81: ")
    assert words in problem


def test_the_logs_go_their_own_ways(parse, capsys):
    before = {name: logging.getLogger(name).__dict__.copy() for name in ("llmgate", "llmgate.access", "asyncio")}
    try:
        serve._start_logging(parse(), config("echo", log_level="warning"))
        logging.getLogger("llmgate.pipeline").info("hidden")
        logging.getLogger("llmgate.pipeline").warning("a\nb")
        logging.getLogger("llmgate.access").info('{"a":1}')
    finally:
        for name, state in before.items():
            logging.getLogger(name).__dict__.update(state)
            logging.getLogger(name).manager._clear_cache()
    captured = capsys.readouterr()
    assert captured.out == '{"a":1}\n'
    assert captured.err.endswith("WARNING llmgate.pipeline: a\\nb\n")
    assert "hidden" not in captured.err
