"""A newcomer who does what ``docs/tutorial/first_plugin.md`` says, in a clean environment, has a plugin that serves."""

from __future__ import annotations

import importlib.util
import json
import re
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from clean_environment import OFFLINE, CleanEnvironment
from docs.walkthrough import Command, Walk
from end_to_end.gateways import Gateway
from llmgate.cli.plugins_new.package import SHAPES
from plugin_packages import KIND_IDS, ROOT

PAGE = (ROOT / "docs" / "tutorial" / "first_plugin.md").read_text(encoding="utf-8")
PREPARED = (
    "python3 -m venv .venv && . .venv/bin/activate",
    "pip install 'llmgate[server]' pytest pytest-asyncio",
)
"""What the page begins with, and the fixture has done: it cannot be fetched without a network."""
FILE = re.compile(r"(?ms)^```\{code-block\} (yaml|python)\n:caption: (\S+)\n\n(.*?)^```$")

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(150),  # half a minute on two free cores
    pytest.mark.skipif(
        not all(importlib.util.find_spec(name) for name in ("hatchling", "editables")),
        reason="building a package without a network takes hatchling and editables: `make test` installs both",
    ),
]


class PluginWalk(Walk):
    """The walk of a page in an environment of its own.

    Args:
        directory: Where the newcomer is.
        environment: What is active.
    """

    def __init__(self, directory: Path, environment: CleanEnvironment) -> None:
        super().__init__(directory)
        self._clean = environment
        self._environment |= environment.variables

    def run(self, command: Command) -> None:
        """Run one command; pip fetches nothing, and what a logger writes may come a moment later."""
        if command.line in PREPARED:
            self.ran.append(command.line)
            return None
        if command.line.startswith("pip install "):
            arguments = command.line.split()[2:]
            self._clean.run("pip", "install", *OFFLINE, *arguments, directory=self.directory)
            self.ran.append(command.line)
            return None
        patience = time.monotonic() + (5 if command.line.startswith("cat ") else 0)
        while True:
            try:
                return super().run(command)
            except AssertionError:
                if time.monotonic() > patience:
                    raise
                self.ran.pop()
                time.sleep(0.05)

    def _serve(self, arguments: list[str]) -> None:
        self.stop()
        self._gateway = Gateway(
            self.directory,
            *arguments,
            "--port",
            str(self._port),
            environment={**self._environment, "PYTHONPATH": ""},
            python=self._clean.python,
        ).wait_ready()


@pytest.fixture(scope="module")
def environment(tmp_path_factory) -> CleanEnvironment:
    return CleanEnvironment(tmp_path_factory.mktemp("clean"))


@pytest.fixture
def walk(environment: CleanEnvironment, tmp_path: Path) -> Iterator[PluginWalk]:
    with PluginWalk(tmp_path, environment) as one:
        yield one


def test_the_environment_is_clean(environment: CleanEnvironment, tmp_path: Path) -> None:
    """llmgate comes from a wheel made of this checkout, and nothing but its own stages is there."""
    assert str(environment.directory) in environment.run(
        "python", "-c", "import llmgate; print(llmgate.__file__)", directory=tmp_path
    )
    listed = json.loads(environment.run("llmgate", "plugins", "--json", directory=tmp_path))
    assert {one["distribution"] for one in listed} == {"llmgate"}


def test_the_page_does_what_it_says(walk: PluginWalk) -> None:
    """Generate, install, list, test, name it, serve a request through it: every command and every file of the page."""
    walk.through(FILE.sub(r"`\2`:\n\n```\1\n\3```", PAGE))
    commands = re.findall(r"(?m)^\$ (.+)$", PAGE)
    assert [line.partition(" \\")[0] for line in walk.ran] == [
        walk._here(line).partition(" \\")[0] for line in commands
    ], "nothing on the page is left out"
    for start in ("llmgate plugins new", "pip install", "llmgate plugins", "llmgate serve", "curl"):
        assert any(line.startswith(start) for line in walk.ran), start
    written = (walk.directory / "exchanges.csv").read_text(encoding="utf-8").splitlines()
    assert [line.split(",")[1:4] for line in written[1:]] == [["ok", "anonymous", "echo"], ["ok", "local", "echo"]]


def test_a_page_that_promises_something_else_is_found_out(walk: PluginWalk) -> None:
    walk.run(Command("llmgate plugins", ("KIND", "loggers json-lines llmgate ... ok")))
    with pytest.raises(AssertionError, match="promises"):
        walk.run(Command("llmgate plugins", ("loggers tsv llmgate-tsv ... ok",)))
    with pytest.raises(AssertionError, match="llmgate-tsv"):
        walk.run(Command("pip install -q -e llmgate-tsv", ()))


def test_the_page_says_what_is_written_for_each_kind() -> None:
    assert re.findall(r"(?m)^\| `([a-z]+)` \| .+ \| \[\]\(", PAGE) == KIND_IDS == list(SHAPES)
