"""``llmgate check``: every problem with its place, a line when all is well, and what would be built."""

from __future__ import annotations

import re

import pytest

from llmgate.cli import main

GOOD = """\
auth:
  - use: static-keys
    keys:
      - {name: alice, hash: "sha256:2bd806c97f0e00af1a1fc3328fa763a9269723c8db8fac4f93af71db186d6e90"}
interceptors:
  - use: request-rules
    max-output-tokens: 100
loggers:
  - use: json-lines
routers:
  main:
    load-balance:
      chat:
        strategy: priority
        providers: [echo, openai]
"""


def test_a_good_file_is_said_to_be_good(here, capsys, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "a-key-that-must-not-show")
    (here / "mine.yaml").write_text(GOOD)
    assert main(["check", "mine.yaml"]) == 0
    out, err = capsys.readouterr()
    assert out.startswith("mine.yaml: ok (2 providers, 1 router, authentication by static-keys)")
    assert "a-key-that-must-not-show" not in out + err


def test_every_problem_is_named_with_its_place(here, capsys):
    (here / "mine.yaml").write_text("serverr: {}\nserver:\n  port: many\nrouters:\n  main:\n    load-balence: {}\n")
    assert main(["check", "mine.yaml"]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    places = [line.partition(": ")[0] for line in err.splitlines()]
    assert {"mine.yaml:1:1", "mine.yaml:3:9", "mine.yaml:6:5"} <= set(places)
    assert err.splitlines()[-1] == "3 problems"


def test_warnings_do_not_fail(here, capsys):
    (here / "mine.yaml").write_text("providers:\n  openai: {}\n")
    assert main(["check", "mine.yaml"]) == 0
    assert re.search(r"(?m)^warning: .*OPENAI_API_KEY", capsys.readouterr().err)


def test_a_file_that_is_not_there_is_a_problem(here, capsys):
    assert main(["check", "nowhere.yaml"]) == 2
    assert "nowhere.yaml" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("text", "status"),
    [
        ("server: {address: 0.0.0.0}", 2),
        ("server: {address: 0.0.0.0}\nauth: [{use: anonymous}]", 2),
        ("server: {address: 0.0.0.0, allow-open: true}", 0),
        (f"server: {{address: 0.0.0.0}}\n{GOOD}", 0),
        ("server: {address: '::1'}", 0),
    ],
)
def test_an_open_door_is_refused_as_serve_would(here, capsys, text, status):
    (here / "mine.yaml").write_text(f"{text}\n")
    assert main(["check", "mine.yaml"]) == status
    assert ("server.allow-open" in capsys.readouterr().err) is (status == 2)


@pytest.mark.parametrize("name", ["llmgate.yaml", "ai-gateway-config.yaml"])
def test_the_file_that_serve_would_find_is_checked(here, capsys, name):
    (here / name).write_text(GOOD)
    assert main(["check"]) == 0
    assert name in capsys.readouterr().out


def test_without_a_file_the_environment_is_checked(here, capsys, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "k")
    assert main(["check"]) == 0
    assert "(1 provider, 0 routers, no client authentication)" in capsys.readouterr().out


def test_dotenv_counts(here, capsys):
    (here / ".env").write_text("OPENAI_API_KEY=k\n")
    assert main(["check"]) == 0
    assert "(1 provider," in capsys.readouterr().out


def test_explain_prints_the_effective_chain_in_order(here, capsys):
    (here / "mine.yaml").write_text(GOOD)
    assert main(["check", "mine.yaml", "--explain"]) == 0
    told = capsys.readouterr().out
    order = [
        "authentication: static-keys",
        "router main:",
        "chat: priority over echo, openai",
        "interceptors: request-rules",
    ]
    places = [told.index(line) for line in [*order, "loggers: json-lines"]]
    assert places == sorted(places)
